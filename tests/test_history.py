# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

import mmrmix
from mmrmix import RMHistory
from mmrmix.history import fit_batch


def stage(history, num_samples=2, num_classes=3, value=1.0):
    """Stage a batch whose five tensors can be told apart."""
    batch = (
        torch.full((num_samples, 3, 4, 4), value),
        torch.full((num_samples, num_classes), value + 0.1),
        torch.full((num_samples, num_classes), value + 0.2),
        torch.full((num_samples, 4), value + 0.3),
        torch.full((num_samples,), value + 0.4),
    )
    history.stage(*batch)
    return batch


class TestRMHistory:
    def test_starts_empty(self):
        history = RMHistory(seed=7)
        assert (history.seed, history.iteration, history.triple, history.take()) == (7, 0, None, None)

    def test_take_hands_over_what_was_staged_once(self):
        history = RMHistory()
        staged = stage(history)
        batch = history.take()
        assert all(a is b for a, b in zip(batch, staged))
        assert batch.history_logits.equal(torch.zeros(2, 3))
        assert batch.weights.equal(batch.area_ratios)
        assert history.take() is None
        assert history.triple is None

    def test_commit_keeps_a_reference_to_the_images(self):
        history = RMHistory()
        stage(history)
        batch = history.take()
        logits = torch.randn(2, 3, requires_grad=True) * 2
        history.commit(batch, logits)
        assert history.triple.inputs is batch.inputs
        assert history.triple.scores is batch.scores
        assert history.triple.logits.equal(logits) and not history.triple.logits.requires_grad
        assert history.triple.is_finite.tolist() == [True, True]

    def test_the_next_batch_gets_the_committed_logits(self):
        history = RMHistory()
        stage(history)
        history.commit(history.take(), torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
        stage(history, num_samples=3)
        assert history.take().history_logits.tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0]]
        stage(history, num_samples=1)
        assert history.take().history_logits.tolist() == [[1, 2, 3]]

    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
    def test_logits_of_half_precision_come_back_in_float32(self, dtype):
        history = RMHistory()
        stage(history)
        history.commit(history.take(), torch.full((2, 3), 1.5, dtype=dtype))
        stage(history)
        logits = history.take().history_logits
        assert logits.dtype == torch.float32
        assert logits.equal(torch.full((2, 3), 1.5))

    @pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
    @pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
    def test_logits_that_overflowed_are_never_committed(self, value, dtype):
        history = RMHistory()
        stage(history, num_samples=3)
        logits = torch.ones(3, 3, dtype=dtype)
        logits[1, 2] = value
        history.commit(history.take(), logits)
        assert history.triple.logits.tolist() == [[1, 1, 1], [0, 0, 0], [1, 1, 1]]
        assert history.triple.logits.dtype is dtype
        assert history.triple.is_finite.tolist() == [True, False, True]
        # The images and labels are all right, and are mixed; the loss leaves the sample out.
        for num_samples, weights in [(2, [1.4, 0]), (4, [1.4, 0, 1.4, 0])]:
            *_, area_ratios = stage(history, num_samples=num_samples)
            batch = history.take()
            assert batch.area_ratios is area_ratios
            assert batch.weights.tolist() == pytest.approx(weights)
            assert batch.weights.dtype is torch.float32

    def test_discard_drops_only_what_is_staged(self):
        history = RMHistory()
        stage(history)
        history.commit(history.take(), torch.ones(2, 3))
        triple = history.triple
        stage(history, value=5.0)
        # As a forward pre-hook it is given the module and its arguments.
        history.discard(nn.Identity(), (torch.ones(1),))
        assert history.take() is None
        assert history.triple is triple

    def test_a_newer_batch_replaces_what_is_staged(self):
        history = RMHistory()
        stage(history, value=1.0)
        newer = stage(history, value=2.0)
        assert history.take().inputs is newer[0]
        assert history.take() is None

    def test_clear_forgets_all_but_the_numbering(self):
        history = RMHistory(seed=3)
        stage(history)
        history.commit(history.take(), torch.ones(2, 3))
        stage(history)
        history.next_generator()
        history.clear()
        assert (history.triple, history.take()) == (None, None)
        assert (history.seed, history.iteration) == (3, 1)

    def test_fit_batch(self):
        rows = torch.tensor([[1.0, 2.0]])
        assert fit_batch(rows, 1) is rows
        assert fit_batch(rows, 3).tolist() == [[1, 2], [0, 0], [0, 0]]
        assert fit_batch(rows[:0], 2).tolist() == [[0, 0], [0, 0]]
        assert fit_batch(torch.tensor([True]), 3).tolist() == [True, False, False]
        assert fit_batch(torch.tensor([1, 2, 3]), 2).tolist() == [1, 2]


class TestRestore:
    def triple(self, num_samples=2, **changes):
        history = RMHistory()
        stage(history, num_samples)
        history.commit(history.take(), torch.ones(num_samples, 3))
        return history.triple._replace(**changes)

    def first_batch(self, history, shape=(2, 3, 4, 4), num_classes=3, dtype=torch.float32):
        history.drop_unlike(torch.zeros(shape, dtype=dtype), torch.zeros(shape[0], num_classes))
        return history.triple

    def test_a_batch_like_the_saved_one_keeps_it(self):
        for shape in [(2, 3, 4, 4), (1, 3, 4, 4), (7, 3, 4, 4)]:
            history, triple = RMHistory(), self.triple()
            history.restore(triple, 'epoch_1.pth')
            assert self.first_batch(history, shape) is triple

    @pytest.mark.parametrize(
        'first_batch, message',
        [
            (dict(shape=(2, 3, 8, 4)), r'image shape \(C, H, W\) \(3, 4, 4\) → \(3, 8, 4\)'),
            (dict(shape=(2, 1, 4, 4)), r'image shape \(C, H, W\) \(3, 4, 4\) → \(1, 4, 4\)'),
            (dict(dtype=torch.float16), r'image dtype torch.float32 → torch.float16'),
            (dict(num_classes=5), r'number of classes 3 → 5'),
        ],
    )
    def test_other_data_drop_it_with_a_warning(self, first_batch, message):
        history = RMHistory()
        history.restore(self.triple(), 'epoch_1.pth')
        with pytest.MonkeyPatch.context() as patch:
            lines = []
            patch.setattr('mmrmix.history.print_log', lambda text, **_: lines.append(text))
            assert self.first_batch(history, **first_batch) is None
        (line,) = lines
        assert re.search(rf'history in epoch_1\.pth was dropped.*: {message}\. Training goes on', line)

    def test_only_the_first_batch_is_compared(self):
        """Images may change their size during a training; that is no reason to drop anything."""
        history, triple = RMHistory(), self.triple()
        history.restore(triple, 'epoch_1.pth')
        self.first_batch(history)
        assert self.first_batch(history, (2, 3, 8, 8)) is triple

    def test_what_was_not_restored_is_not_compared(self):
        history = RMHistory()
        history.triple = triple = self.triple()
        assert self.first_batch(history, (2, 3, 8, 8)) is triple
        history.restore(None, 'epoch_1.pth')
        assert self.first_batch(history, (2, 3, 8, 8)) is None
        history.restore(self.triple(), 'epoch_1.pth')
        history.clear()
        history.triple = triple
        assert self.first_batch(history, (2, 3, 8, 8)) is triple


def draw(seed=0, rank=0, iteration=0, count=4096):
    """The first 64-bit words of a stream."""
    history = RMHistory(seed)
    history.iteration = iteration
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmrmix.history.get_rank', lambda: rank)
        return history.next_generator().bit_generator.random_raw(count).tolist()


class TestNextGenerator:
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
        history = RMHistory(seed=3)
        first = [history.next_generator().random() for _ in range(4)]
        assert history.iteration == 4
        history.iteration = 2
        assert [history.next_generator().random() for _ in range(2)] == first[2:]
        assert len(set(first)) == 4

    def test_global_random_states_are_neither_read_nor_changed(self):
        np.random.seed(0)
        before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
        first = draw(count=8)
        assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
        np.random.seed(1)
        assert draw(count=8) == first


NUM_CLASSES = 5


class Pool(nn.Module):
    """A backbone that costs nothing, and fails on demand."""

    failing = False

    def forward(self, inputs):
        if self.failing:
            raise RuntimeError('broken backbone')
        return (nn.functional.adaptive_avg_pool2d(inputs, 4),)


class Training:
    """A training loop, and beside it what the history should be.

    Batch number i consists of images that are i + n / 8 everywhere, n being
    the sample's index. So each pixel tells which sample it comes from.
    """

    def __init__(self, alpha):
        self.model = MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=Pool(),
                head=dict(type='mmrmix.RMHead', num_classes=NUM_CLASSES, in_channels=3),
                train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=alpha)),
                data_preprocessor=dict(num_classes=NUM_CLASSES, to_onehot=True, mean=[0.0] * 3, std=[1.0] * 3),
            )
        )
        self.history = mmrmix.link_history(self.model)
        augments = self.model.data_preprocessor.batch_augments
        cutmix = type(augments)([dict(type='CutMix', alpha=1.0)])
        self.augments = dict(rm=augments, cutmix=cutmix, off=None)
        self.number = 0
        self.expected = None

    def preprocess(self, augment, num_samples, side, training=True):
        """A new batch; returns it preprocessed, and its one-hot labels."""
        self.number += 1
        values = self.number + torch.arange(num_samples) / 8
        labels = torch.randint(NUM_CLASSES, (num_samples,))
        self.model.data_preprocessor.batch_augments = self.augments[augment]
        data = self.model.data_preprocessor(
            dict(
                inputs=values[:, None, None, None].expand(-1, 3, side, side + 4).clone(),
                data_samples=[DataSample().set_gt_label(label) for label in labels],
            ),
            training=training,
        )
        scores = torch.stack([sample.gt_score for sample in data['data_samples']]).float()
        assert torch.allclose(scores.sum(1), torch.ones(num_samples), atol=1e-5)
        if training and augment == 'rm':
            self.check_mix(data['inputs'], scores, values, nn.functional.one_hot(labels, NUM_CLASSES))
        return data, scores

    def check_mix(self, inputs, scores, values, onehot):
        """Labels and λ, worked out from the pixels."""
        for n, value in enumerate(values):
            pasted = inputs[n] != value
            ratio = pasted.float().mean()
            if self.expected is None or n >= len(self.expected['scores']):
                assert ratio == 0
                history_score = onehot[n]
            else:
                assert set(inputs[n][pasted].tolist()) <= set(self.expected['inputs'][n].flatten().tolist())
                history_score = self.expected['scores'][n]
            assert torch.allclose(scores[n], ratio * history_score + (1 - ratio) * onehot[n], atol=1e-6)

    def forward(self, data, scores, mixed):
        """Losses, compared with plain cross-entropy; trains a little."""
        fc = self.model.head.fc
        logits = (data['inputs'].mean((2, 3)) @ fc.weight.T + fc.bias).detach()
        cross_entropy = -(scores * logits.log_softmax(1)).sum(1).mean()
        losses = self.model(**data, mode='loss')
        assert torch.allclose(losses['loss_cls'], cross_entropy, atol=1e-4)
        if mixed:
            self.expected = dict(inputs=data['inputs'].clone(), scores=scores.clone(), logits=logits)
            assert self.history.triple.inputs is data['inputs']
        else:
            assert losses['loss_consistency'] == 0
        parameters = list(self.model.parameters())
        for parameter, grad in zip(parameters, torch.autograd.grad(sum(losses.values()), parameters)):
            parameter.data -= 0.01 * grad

    def step(self, augment, num_samples, side):
        self.forward(*self.preprocess(augment, num_samples, side), mixed=augment == 'rm')

    def val_loss(self, augment, num_samples, side):
        self.forward(*self.preprocess(augment, num_samples, side, training=False), mixed=False)

    def predict(self, augment, num_samples, side):
        data, _ = self.preprocess(augment, num_samples, side, training=False)
        self.model(**data, mode='predict')

    def skip(self, augment, num_samples, side):
        self.preprocess(augment, num_samples, side)

    def fail_in_backbone(self, augment, num_samples, side):
        data, _ = self.preprocess(augment, num_samples, side)
        self.model.backbone.failing = True
        with pytest.raises(RuntimeError, match='broken backbone'):
            self.model(**data, mode='loss')
        self.model.backbone.failing = False

    def fail_in_loss(self, augment, num_samples, side):
        data, _ = self.preprocess(augment, num_samples, side)
        with pytest.raises(TypeError, match='unknown'):
            self.model.head.loss(self.model.extract_feat(data['inputs']), data['data_samples'], unknown=1)

    def new_epoch(self, *_):
        self.history.clear()
        self.expected = None

    def check_history(self, before):
        """The triple is that of the last step that mixed, to the bit."""
        triple = self.history.triple
        if self.expected is None:
            assert triple is None
            return
        assert triple.inputs.equal(self.expected['inputs'])
        assert triple.scores.equal(self.expected['scores'])
        assert torch.allclose(triple.logits, self.expected['logits'], atol=1e-4)
        assert torch.allclose(triple.scores.sum(1), torch.ones(len(triple.scores)), atol=1e-5)
        if before[1] is self.expected:
            assert triple is before[0]


ACTIONS = ['step'] * 4 + ['val_loss', 'predict', 'skip', 'fail_in_backbone', 'fail_in_loss', 'new_epoch']
SEQUENCES = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS),
        st.sampled_from(['rm', 'rm', 'rm', 'cutmix', 'off']),
        st.integers(1, 5),
        st.sampled_from([8, 12, 20]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sequence=SEQUENCES, alpha=st.sampled_from([0.1, 0.5, 1.0]), seed=st.integers(0, 2**31))
def test_the_triple_always_stems_from_one_batch(sequence, alpha, seed):
    torch.manual_seed(seed)
    training = Training(alpha)
    training.history.seed = seed
    for name, *arguments in sequence:
        before = training.history.triple, training.expected
        getattr(training, name)(*arguments)
        training.check_history(before)
