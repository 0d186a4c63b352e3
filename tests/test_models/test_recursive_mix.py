# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Eq. 1: every sample has a class of its own, so its mixed label tells what is in it."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmrmix.history import mixing_of
from mmrmix.models.batch_augments.boxes import sample_box
from tests.helpers.mixing import NUM_CLASSES, batch, linked, same_memory, step
from tests.helpers.utils import HALF_DTYPES

DTYPES = [torch.float32, *HALF_DTYPES]
MODES = pytest.mark.parametrize('mode', [dict(), dict(interpolation='bilinear')], ids=str)


def expected_box(augment, iteration, size):
    """The documented stream: key (seed, rank 0), the iteration in the counter's second word."""
    philox = np.random.Philox(key=[augment.history.seed, 0], counter=[0, iteration, 0, 0])
    return sample_box(np.random.Generator(philox), size, augment.alpha)


def mixed_by_hand(images, scores, source, source_scores, boxes):
    """Eq. 1 in float64 NumPy, nearest."""
    images, scores = images.double().numpy().copy(), scores.double().numpy().copy()
    source, source_scores = source.double().numpy(), np.asarray(source_scores, dtype=np.float64)
    height, width = images.shape[-2:]
    for n, (x1, y1, x2, y2) in enumerate(np.asarray(boxes, dtype=int)[: len(source)]):
        rows = np.arange(y2 - y1) * source.shape[-2] // max(y2 - y1, 1)
        columns = np.arange(x2 - x1) * source.shape[-1] // max(x2 - x1, 1)
        images[n, :, y1:y2, x1:x2] = source[n][:, rows][:, :, columns]
        area_ratio = (x2 - x1) * (y2 - y1) / (height * width)
        scores[n] = area_ratio * source_scores[n] + (1 - area_ratio) * scores[n]
    return images, scores


@MODES
def test_first_batch_stays_unmixed(mode):
    augment = linked(**mode)
    images, scores = batch(0, 4)
    before = images.clone()
    staged = step(augment, images, scores)
    assert torch.equal(images, before) and torch.equal(staged.scores, scores.float())
    assert staged.boxes.tolist() == [[0.0] * 4] * 4 and staged.area_ratios.tolist() == [0.0] * 4
    assert staged.history_logits.tolist() == [[0.0] * NUM_CLASSES] * 4


@pytest.mark.parametrize('alpha', [0.5, 1.0])
def test_mixes_recursively(alpha):
    """Four batches of noise: images and labels as NumPy says, from the boxes that Philox says."""
    augment = linked(seed=23, alpha=alpha)
    source, source_scores = None, None
    for t in range(4):
        images, (_, scores) = torch.randn(4, 3, 24, 20), batch(4 * t, 4)
        before = images.clone()
        boxes = np.broadcast_to(expected_box(augment, t, (24, 20)), (4, 4))
        staged = step(augment, images, scores)
        if t == 0:
            source, source_scores = before, scores.double().numpy()
            continue
        assert staged.boxes.tolist() == boxes.tolist()
        area_ratios = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / 480
        assert (area_ratios > 0).all()
        np.testing.assert_allclose(staged.area_ratios.numpy(), area_ratios, rtol=1e-7)

        expected, expected_scores = mixed_by_hand(before, scores, source, source_scores, boxes)
        assert np.array_equal(images.double().numpy(), expected)
        np.testing.assert_allclose(staged.scores.numpy(), expected_scores, atol=1e-7)
        np.testing.assert_allclose(staged.scores.sum(1).numpy(), 1, atol=1e-6)
        source, source_scores = images.clone(), expected_scores
    # The first batch still shines through in the fourth one's labels.
    assert (np.diag(expected_scores[:, :4]) > 0).all()


@MODES
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_pixels_and_labels_agree(mode, dtype, layout):
    """Constant images: the share of a value's pixels is its class' label."""
    augment = linked(seed=23, **mode)
    first, second = batch(0, 6), batch(6, 6, dtype=dtype)
    second[0].data = second[0].to(memory_format=layout)
    strides, address = second[0].stride(), second[0].data_ptr()
    step(augment, *first)
    staged = step(augment, *second)
    assert second[0].dtype is dtype and second[0].stride() == strides and second[0].data_ptr() == address
    assert same_memory(augment.history.batch.inputs, second[0])
    for n in range(6):
        shares = {value.item(): (second[0][n, 0] == value).float().mean() for value in second[0][n, 0].unique()}
        label = {k + 1.0: value for k, value in enumerate(staged.scores[n].tolist()) if value}
        assert shares == label and set(label) == {n + 1.0, n + 7.0}
        x1, y1, x2, y2 = staged.boxes[n].int().tolist()
        assert (second[0][n, :, y1:y2, x1:x2] == n + 1).all()


@MODES
@pytest.mark.parametrize(('num_history', 'num_samples'), [(3, 8), (8, 3), (8, 1), (1, 3)])
def test_other_batch_size(mode, num_history, num_samples):
    """The first n are mixed, n being the smaller size; the rest has box and λ zero."""
    augment = linked(seed=23, **mode)
    step(augment, *batch(0, num_history))
    images, scores = batch(20, num_samples)
    staged = step(augment, images, scores)
    mixed = min(num_history, num_samples)
    for n in range(num_samples):
        area_ratio = staged.area_ratios[n].item()
        expected = np.zeros(NUM_CLASSES)
        expected[20 + n] = 1 - area_ratio
        if n < mixed:
            expected[n] = area_ratio
            assert area_ratio == (images[n, 0] == n + 1).float().mean() > 0
        else:
            assert area_ratio == 0 and staged.boxes[n].tolist() == [0.0] * 4
            assert (images[n] == 21 + n).all()
        np.testing.assert_allclose(staged.scores[n].numpy(), expected, atol=1e-7)
    assert same_memory(augment.history.batch.inputs, images)


@pytest.mark.parametrize('dtype', [torch.int64, torch.float64, torch.bool])
def test_scores_of_other_types(dtype):
    """batch_label_to_onehot gives int64; multi-label scores need not sum to 1."""
    augment = linked(seed=23)
    step(augment, *batch(0, 2))
    images, scores = batch(20, 2)
    scores[:, 30] = 1
    staged = step(augment, images, scores.to(dtype))
    area_ratio = staged.area_ratios[0].item()
    assert staged.scores.dtype == torch.float32
    assert staged.scores[0].nonzero().flatten().tolist() == [0, 20, 30]
    expected = [area_ratio, 1 - area_ratio, 1 - area_ratio]
    assert staged.scores[0, [0, 20, 30]].tolist() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear'])
@pytest.mark.parametrize('size', [(9, 30), (40, 40)])
def test_other_resolution(size, interpolation):
    """The source is a ramp from left to right, which bilinear resizing with aligned corners keeps."""
    augment = linked(seed=23, interpolation=interpolation)
    source, source_scores = torch.arange(16.0).repeat(2, 3, 16, 1), batch(0, 2)[1]
    step(augment, source, source_scores)
    images, scores = torch.randn(2, 3, *size), batch(2, 2)[1]
    boxes = np.broadcast_to(expected_box(augment, 1, size), (2, 4))
    expected, expected_scores = mixed_by_hand(images, scores, source, source_scores, boxes)
    x1, y1, x2, y2 = boxes[0]
    assert x1 < x2 and y1 < y2
    if interpolation == 'bilinear':
        expected[:, :, y1:y2, x1:x2] = np.linspace(0, 15, x2 - x1)
    staged = step(augment, images, scores)
    np.testing.assert_allclose(images.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(staged.scores.numpy(), expected_scores, atol=1e-7)


def drawn_box(monkeypatch, seed, rank, iteration):
    augment = linked(seed)
    monkeypatch.setattr('mmrmix.history.get_rank', lambda: rank)
    step(augment, *batch(0, 2, (400, 400)))
    augment.history.begin_step(iteration)
    return step(augment, *batch(2, 2, (400, 400))).boxes[0].tolist()


def test_draws_are_a_function_of_seed_rank_and_iteration(monkeypatch):
    draws = {
        (seed, rank, iteration): drawn_box(monkeypatch, seed, rank, iteration)
        for seed in (0, 1, 2)
        for rank in (0, 1, 2)
        for iteration in (0, 1, 2, 1000)
    }
    assert len({tuple(box) for box in draws.values()}) == len(draws)
    for (seed, rank, iteration), box in draws.items():
        assert drawn_box(monkeypatch, seed, rank, iteration) == box
    # Without begin_step every draw is another one, too.
    augment, boxes = linked(seed=1), []
    for _ in range(8):
        scores = augment(*batch(0, 2, (400, 400)))[1]
        boxes.append(tuple(mixing_of(scores).boxes[0].tolist()))
        augment.history.commit(mixing_of(scores), scores, scores)
    assert len(set(boxes)) == 8


@MODES
def test_within_the_batch(mode):
    """Row "RS" of Table 2: each sample gets another one of the same batch, with its label."""
    augment = linked(seed=23, with_history=False, **mode)
    for t in range(3):
        augment.history.begin_step(t)
        images, scores = batch(0, 8)
        mixed, mixed_scores = augment(images, scores)
        assert mixed is images
        # Nothing is attached: the head trains with the labels it is given.
        assert mixing_of(mixed_scores) is None and augment.history.batch is None
        partners = []
        for n in range(8):
            values, counts = images[n, 0].unique(return_counts=True)
            expected = np.zeros(NUM_CLASSES)
            expected[values.int().numpy() - 1] = counts.numpy() / 256
            np.testing.assert_allclose(mixed_scores[n].numpy(), expected, atol=1e-7)
            partners += [int(value) - 1 for value in values if value != n + 1] or [n]
        assert sorted(partners) == list(range(8)) and partners != list(range(8))


class Allocations(TorchDispatchMode):
    """The sizes in bytes of the new storages that ops return."""

    def __init__(self):
        super().__init__()
        self.sizes, self.alive = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.alive += [arg for arg in args if isinstance(arg, torch.Tensor)]
        if isinstance(result, torch.Tensor):
            storage = result.untyped_storage()
            if storage.data_ptr() not in {tensor.untyped_storage().data_ptr() for tensor in self.alive}:
                self.sizes.append(storage.nbytes())
            # An address that is alive is not given to another storage.
            self.alive.append(result)
        return result


@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear'])
@pytest.mark.parametrize('mode', [dict(), dict(with_history=False)], ids=str)
def test_no_second_batch_in_memory(mode, interpolation):
    """Patches of at most α of the batch."""
    augment = linked(alpha=0.5, interpolation=interpolation, **mode)
    for t in range(6):
        images, scores = batch(0, 4, (64, 64))
        with Allocations() as allocations:
            _, mixed_scores = augment(images, scores)
        assert max(allocations.sizes) < 0.5 * images.untyped_storage().nbytes()
        if augment.with_history:
            mixing = mixing_of(mixed_scores)
            with Allocations() as allocations_of_commit:
                augment.history.commit(mixing, mixed_scores, torch.zeros(4, NUM_CLASSES))
            assert max(allocations_of_commit.sizes) <= 4 * 4 * NUM_CLASSES
            # The recorder works: it has seen the float32 patch.
            patch = round(4 * images.numel() * mixing.area_ratios[0].item())
            assert mode or t == 0 or patch in allocations.sizes
