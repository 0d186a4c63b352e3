# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What RecursiveMix refuses, and what it must not hand on: broken values, graphs, memory in use."""

import re

import pytest
import torch

from mmrmix.history import mixing_of
from mmrmix.models import RecursiveMix
from tests.helpers.mixing import NUM_CLASSES, batch, linked, step


def test_arguments_out_of_range():
    for alpha in (0, -1, 1.5, float('nan'), '0.5', None, [0.5]):
        with pytest.raises(ValueError, match=re.escape(f'alpha={alpha!r} must be a number in (0, 1]: it is the')):
            RecursiveMix(alpha=alpha)
    for value in ('no', 1, None):
        with pytest.raises(TypeError, match=f'with_history={value!r} must be True or False'):
            RecursiveMix(with_history=value)
    with pytest.raises(ValueError, match=r'interpolation="bicubic" must be one of .*nearest.*bilinear'):
        RecursiveMix(interpolation='bicubic')


def test_labels_are_no_scores():
    augment = linked()
    for labels in (torch.zeros(4), torch.zeros(3, 5), torch.zeros(4, 1, 5)):
        with pytest.raises(ValueError, match=r'Labels of shape .* for 4 images: .*num_classes.*to_onehot=True'):
            augment(torch.zeros(4, 3, 8, 8), labels)
    assert augment.history.generator.random() == linked().history.generator.random()


@pytest.mark.parametrize(
    'images, message',
    [
        (torch.zeros(4, 3, 2, 8, 8), r'one tensor \(N, C, H, W\), got torch.Size\(\[4, 3, 2, 8, 8\]\).*videos'),
        (torch.zeros(4, 8, 8), r'one tensor \(N, C, H, W\), got torch.Size\(\[4, 8, 8\]\)'),
        ([torch.zeros(3, 8, 8)] * 4, r'one tensor \(N, C, H, W\), got list: give all images of a batch one size'),
        (torch.zeros(0, 3, 8, 8), r'batch is empty: images of shape \(0, 3, 8, 8\)'),
    ],
    ids=['video', 'three', 'list', 'empty'],
)
def test_images_are_no_batch(images, message):
    augment = linked()
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            augment(images, torch.zeros(len(images), NUM_CLASSES))
    with pytest.raises(ValueError, match=r'without scores: set data_preprocessor.to_onehot=True'):
        augment(torch.zeros(4, 3, 8, 8), None)
    assert augment.history.generator.random() == linked().history.generator.random()


@pytest.mark.parametrize('mode', [dict(), dict(interpolation='bilinear')], ids=str)
@pytest.mark.parametrize('what', ['image', 'label', 'logits'])
def test_values_that_are_not_finite_are_pasted_nowhere(what, mode):
    """The sample after a broken one stays unmixed; the others are mixed as ever."""
    augment = linked(seed=23, **mode)
    images, scores = batch(0, 3)
    images, scores, logits = images, scores.float(), torch.zeros(3, NUM_CLASSES)
    dict(image=images[:, 0], label=scores, logits=logits)[what][1] = float('nan')
    _, mixed_scores = augment(images, scores)
    augment.history.commit(mixing_of(mixed_scores), mixed_scores, logits)
    images, scores = batch(10, 3)
    before = images.clone()
    mixed = step(augment, images, scores)
    assert torch.equal(images[1], before[1]) and torch.equal(mixed.scores[1], scores[1].float())
    assert mixed.area_ratios[1] == 0 and not mixed.history_logits[1].any()
    for n in (0, 2):
        share = (images[n, 0] == n + 1).float().mean()
        assert 0 < share == mixed.area_ratios[n] == mixed.scores[n, n]
    assert mixed.scores.isfinite().all() and images.isfinite().all()
    # One batch later, everything is as ever.
    again = step(augment, *batch(20, 3))
    assert (again.area_ratios > 0).all()


def test_nothing_of_a_graph_is_kept():
    """Images of a learnable augmentation, labels of a teacher: the third step would run through freed graphs."""
    augment = linked(seed=23)
    weight, temperature = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    for t in range(3):
        images, scores = batch(4 * t, 4)
        mixed, mixed_scores = augment(images * weight, scores * temperature)
        mixing = mixing_of(mixed_scores)
        logits = mixed.mean((2, 3)) @ torch.ones(3, NUM_CLASSES)
        (logits.sum() + mixed_scores.square().sum()).backward()
        augment.history.commit(mixing, mixed_scores, logits)
        assert not any(part.requires_grad for part in augment.history.batch)
        assert not (mixing.inputs.requires_grad or mixing.history_logits.requires_grad)
    # The current images and labels have their gradients: 1 − λ of what they would have without mixing.
    assert weight.grad.item() != 0 and temperature.grad.item() != 0


@pytest.mark.parametrize(
    'second', [slice(0, 8), slice(1, 9), slice(7, 15), slice(0, 3)], ids=['same', 'one on', 'one image', 'a part']
)
def test_overlapping_buffers(second):
    augment, buffer = linked(), torch.zeros(24, 3, 8, 8)
    step(augment, buffer[:8], batch(0, 8)[1])
    with pytest.raises(ValueError, match=r'in the memory of the last one.*batch_inputs.clone\(\)'):
        augment(buffer[second], batch(8, second.stop - second.start)[1])


def test_parts_of_one_buffer_that_do_not_overlap():
    augment, buffer = linked(), torch.zeros(24, 3, 8, 8)
    for start in (0, 8, 16, 0):
        step(augment, buffer[start : start + 8], batch(start, 8)[1])


@pytest.mark.parametrize('with_history', [True, False])
def test_unlinked(with_history):
    augment = RecursiveMix(with_history=with_history)
    with pytest.raises(RuntimeError, match=r'RecursiveMix has no history: .*RMHistoryHook.*link_history'):
        augment(*batch(0, 2))


def test_clashes_with_the_history():
    augment = linked()
    images, scores = batch(0, 2)
    step(augment, images, scores)
    with pytest.raises(ValueError, match=r'Images have 1 channels, the history 3: call history.clear\(\)'):
        augment(torch.zeros(2, 1, 16, 16), scores)
    with pytest.raises(ValueError, match=rf'Labels have 7 classes, the history {NUM_CLASSES}: call history.clear\(\)'):
        augment(torch.zeros(2, 3, 16, 16), scores[:, :7])
    with pytest.raises(ValueError, match=r'in the memory of the last one.*batch_inputs.clone\(\)'):
        augment(images, scores)
    augment.history.clear()
    assert torch.equal(augment(images, scores)[1], scores.float())
