# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import gc
import weakref
from copy import deepcopy

import numpy as np
import pytest
import torch

from mmrmix import RMHistory
from mmrmix.history import finite_batch, mixing_of
from mmrmix.models.heads.labels import stack_rows


def attach(history, num_samples=2, num_classes=3, value=1.0):
    """Attach a batch whose tensors can be told apart; returns its labels."""
    scores = torch.full((num_samples, num_classes), value + 0.1)
    inputs = torch.full((num_samples, 3, 4, 4), value)
    boxes, area_ratios = torch.full((num_samples, 4), value + 0.3), torch.full((num_samples,), value + 0.4)
    history.attach(scores, inputs, boxes, area_ratios, history.recall(inputs, scores).logits, history.batch is not None)
    return scores


def commit(history, scores, logits):
    history.commit(mixing_of(scores), scores, logits)


class TestRMHistory:
    def test_starts_empty(self):
        history = RMHistory(seed=7)
        assert (history.seed, history.iteration, history.batch, history.num_pasted) == (7, 0, None, 0)

    def test_labels_carry_what_was_done(self):
        history = RMHistory()
        scores = attach(history)
        mixing = mixing_of(scores)
        assert mixing.inputs.equal(torch.full((2, 3, 4, 4), 1.0))
        assert mixing.boxes.equal(torch.full((2, 4), 1.3)) and mixing.area_ratios.equal(torch.full((2,), 1.4))
        assert mixing.history_logits.equal(torch.zeros(2, 3))
        assert mixing.history is history and history.batch is None
        # As often as they come, and nothing else carries it.
        assert mixing_of(scores) is mixing
        assert mixing_of(scores.clone()) is mixing_of(scores[:]) is mixing_of(None) is None

    def test_what_is_attached_goes_with_the_labels(self):
        """No batch of images is kept for a batch that is gone."""
        history = RMHistory()
        scores = attach(history)
        inputs = weakref.ref(mixing_of(scores).inputs)
        rows = scores.unbind()
        del scores
        gc.collect()
        assert mixing_of(stack_rows(rows)).inputs is inputs()
        del rows
        gc.collect()
        assert inputs() is None

    def test_commit_keeps_a_reference_to_the_images(self):
        history = RMHistory()
        scores = attach(history)
        logits = torch.randn(2, 3, requires_grad=True) * 2
        commit(history, scores, logits)
        assert history.batch.inputs is mixing_of(scores).inputs
        assert history.batch.scores.equal(scores)
        assert history.batch.logits.equal(logits) and not history.batch.logits.requires_grad
        # A compiled model may write into its outputs again.
        assert history.batch.logits.data_ptr() != logits.data_ptr()
        assert history.batch.is_finite.tolist() == [True, True]

    def test_the_next_batch_gets_the_committed_logits(self):
        history = RMHistory()
        commit(history, attach(history), torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
        assert mixing_of(attach(history, 3)).history_logits.tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0]]
        assert mixing_of(attach(history, 1)).history_logits.tolist() == [[1, 2, 3]]
        assert history.num_pasted == 2

    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
    def test_logits_of_half_precision_come_back_in_float32(self, dtype):
        history = RMHistory()
        commit(history, attach(history), torch.full((2, 3), 1.5, dtype=dtype))
        logits = mixing_of(attach(history)).history_logits
        assert logits.dtype == torch.float32
        assert logits.equal(torch.full((2, 3), 1.5))

    @pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
    @pytest.mark.parametrize('what', ['logits', 'scores', 'inputs'])
    @pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
    def test_values_that_are_not_finite_are_never_committed(self, value, what, dtype):
        batch = dict(
            inputs=torch.ones(3, 2, 4, 5, dtype=dtype).to(memory_format=torch.channels_last),
            scores=torch.ones(3, 3),
            logits=torch.ones(3, 3, dtype=dtype),
        )
        batch[what][1, -1] = value
        kept = finite_batch(**batch)
        assert kept.is_finite.tolist() == [True, False, True]
        assert kept.inputs is batch['inputs']
        assert kept.scores.tolist() == kept.logits.tolist() == [[1, 1, 1], [0, 0, 0], [1, 1, 1]]
        assert (kept.scores.dtype, kept.logits.dtype) == (torch.float32, dtype)

    def test_large_values_of_half_precision_are_finite(self):
        images = torch.full((1, 3, 64, 64), 6e4, dtype=torch.float16)
        assert finite_batch(images, torch.ones(1, 2), torch.full((1, 2), 6e4, dtype=torch.float16)).is_finite.item()

    def test_an_older_batch_never_replaces_a_newer_one(self):
        history = RMHistory()
        older, newer = attach(history, value=1.0), attach(history, value=2.0)
        commit(history, newer, torch.ones(2, 3))
        commit(history, older, torch.zeros(2, 3))
        assert history.batch.inputs is mixing_of(newer).inputs
        # The same batch again, as in SAM's second forward, does.
        commit(history, newer, torch.full((2, 3), 2.0))
        assert history.batch.logits.equal(torch.full((2, 3), 2.0))

    def test_copied_labels_belong_to_the_same_batch(self):
        history = RMHistory()
        scores = attach(history)
        assert mixing_of(deepcopy(scores)) is mixing_of(scores)

    def test_clear_forgets_the_batch_alone(self):
        history, other = RMHistory(seed=3), RMHistory(seed=3)
        scores = attach(history)
        commit(history, scores, torch.ones(2, 3))
        history.begin_step(5)
        history.clear()
        assert history.batch is None and history.boxes is None
        other.begin_step(5)
        assert (history.seed, history.iteration) == (3, 5)
        assert history.generator.random() == other.generator.random()

    def test_a_head_that_never_finds_a_batch(self):
        history = RMHistory()
        for _ in range(100):
            attach(history)
        with pytest.raises(RuntimeError, match=r'prepared 100 batches and RMHead trained on none .* not a copy'):
            attach(history)
        history = RMHistory()
        commit(history, attach(history), torch.ones(2, 3))
        for _ in range(200):
            attach(history)

    @pytest.mark.parametrize('num_samples', [1, 2, 5])
    def test_recall_is_as_long_as_the_batch(self, num_samples):
        history = RMHistory()
        committed = attach(history)
        commit(history, committed, torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
        past = history.recall(torch.zeros(num_samples, 3, 4, 4), torch.zeros(num_samples, 3))
        known = min(2, num_samples)
        assert past.inputs.equal(history.batch.inputs[:known])
        assert past.scores[:known].equal(committed[:known]) and past.logits[0].tolist() == [1, 2, 3]
        assert past.is_finite.tolist() == [True] * known + [False] * (num_samples - known)
        assert len(past.scores) == len(past.logits) == num_samples
        assert not past.scores[known:].any() and not past.logits[known:].any()

    def test_recall_of_nothing(self):
        past = RMHistory().recall(torch.ones(2, 3, 4, 4, dtype=torch.float16), torch.ones(2, 5))
        assert past.inputs.shape == (0, 3, 4, 4) and past.inputs.dtype is torch.float16
        assert past.scores.equal(torch.zeros(2, 5)) and past.logits.equal(torch.zeros(2, 5))
        assert past.is_finite.tolist() == [False, False]


class TestStackRows:
    @pytest.mark.parametrize('rows_of', [torch.unbind, list, lambda scores: [scores[n] for n in range(len(scores))]])
    @pytest.mark.parametrize('num_samples', [1, 4])
    def test_rows_of_one_tensor_are_that_tensor(self, rows_of, num_samples):
        scores = torch.rand(num_samples, 3)
        assert stack_rows(rows_of(scores)) is scores

    @pytest.mark.parametrize(
        'rows_of',
        [
            lambda scores: [row.clone() for row in scores],
            lambda scores: [scores[1], scores[0], scores[2]],
            lambda scores: [scores[0], scores[1]],
            lambda scores: [scores[0], scores[1], scores.clone()[2]],
            lambda scores: scores.t().contiguous().t().unbind(),
            lambda scores: torch.cat([scores, scores])[::2].unbind(),
        ],
    )
    def test_others_are_stacked(self, rows_of):
        rows = rows_of(torch.rand(3, 3))
        stacked = stack_rows(rows)
        assert stacked.equal(torch.stack(list(rows))) and stacked is not rows[0]._base

    @pytest.mark.parametrize('pick', [[0, 1], [2, 1, 0], [0, 0, 0], [0, 1, 2, 0]])
    def test_a_mixed_batch_is_taken_whole_or_not_at_all(self, pick):
        scores = attach(RMHistory(), num_samples=3)
        with pytest.raises(ValueError, match=rf'{len(pick)} samples belong to a batch of 3 .*accumulative_counts'):
            stack_rows([scores[n] for n in pick])


def draw(seed=0, rank=0, iteration=0, count=4096):
    """The first 64-bit words of a stream."""
    history = RMHistory(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmrmix.history.get_rank', lambda: rank)
        history.begin_step(iteration)
        return history.generator.bit_generator.random_raw(count).tolist()


class TestGenerator:
    @pytest.mark.parametrize('iteration', [0, 1, 255, 450_000, 2**40])
    def test_neighbouring_iterations_do_not_overlap(self, iteration):
        """Philox counts up while it draws: the next stream must not begin inside this one."""
        current = set(draw(iteration=iteration))
        assert len(current) == 4096
        assert current.isdisjoint(draw(iteration=iteration + 1, count=64))

    def test_seeds_and_ranks_have_streams_of_their_own(self):
        keys = [(seed, rank) for seed in (0, 1, 2**31 - 1) for rank in (0, 1, 7)]
        words = [word for seed, rank in keys for word in draw(seed, rank, iteration=5, count=256)]
        assert len(set(words)) == 9 * 256

    def test_it_is_a_function_of_seed_rank_and_iteration(self):
        assert draw(3, 1, 20) == draw(3, 1, 20)
        history = RMHistory()
        history.begin_step(20, seed=3)
        history.generator.random(5)
        history.begin_step(20)
        assert history.generator.bit_generator.random_raw(4096).tolist() == draw(3, 0, 20)

    def test_without_begin_step_one_stream_serves_all_draws(self):
        history = RMHistory(seed=3)
        draws = [history.generator.random() for _ in range(1000)]
        assert len(set(draws)) == 1000
        history.begin_step(0)
        assert [history.generator.random() for _ in range(1000)] == draws

    def test_global_random_states_are_neither_read_nor_changed(self):
        np.random.seed(0)
        before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
        first = draw(count=8)
        assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
        np.random.seed(1)
        assert draw(count=8) == first
