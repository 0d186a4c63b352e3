# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Twelve optimiser steps of the Runner against the authors' training step, rewritten in float64 with plain torch."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from torchvision.ops import roi_align

from tests.helpers.runner import RMToyDataset, build_runner

# Four epochs of 4, 4 and 2 images of 16×16. The first of an epoch meets no
# history, one box is empty, and one reaches over three borders.
BOXES = [
    (4, 4, 12, 12), (0, 0, 7, 5), (9, 3, 16, 11),
    (2, 1, 9, 8), (3, 9, 3, 9), (5, 6, 13, 14),
    (0, 7, 6, 16), (11, 0, 16, 10), (7, 7, 9, 9),
    (1, 1, 15, 15), (4, 2, 14, 12), (0, 0, 16, 9),
]  # fmt: skip
EPOCH_LENGTH = 3
LR, MOMENTUM, WEIGHT_DECAY, OMEGA = 0.05, 0.9, 1e-3, 0.5


def cross_entropy(logits, target):
    return -(target * logits.log_softmax(1)).sum(1).mean()


class AuthorsStep:
    """Images and labels are mixed with the last batch; the loss is two cross-entropies with soft targets."""

    # Of their first step, see test_first_step_of_the_branch.
    skips_without_gradient = False

    def __init__(self, backbone, fc, fc_roi, interpolation, nesterov):
        self.backbone, self.fc, self.fc_roi = backbone, fc, fc_roi
        self.interpolation, self.nesterov = interpolation, nesterov
        self.parameters = [*backbone.parameters(), *fc.parameters(), *(fc_roi.parameters() if fc_roi is not fc else ())]
        self.momenta = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.begin_epoch()

    def begin_epoch(self):
        self.old = None

    def region(self, features, box, image_size):
        """Their RoIAlign; one scale from pixels to cells."""
        boxes = torch.tensor([box], dtype=features.dtype).expand(len(features), 4)
        boxes = list(boxes[:, None])
        scale = features.shape[-1] / image_size[1]
        return roi_align(features, boxes, 1, scale, sampling_ratio=-1, aligned=True).flatten(1)

    def mixed(self, images, scores, box):
        """x̃, ỹ and λ, and softmax of the old logits."""
        if self.old is None:
            return images, scores, 0.0, None
        (x1, y1, x2, y2), (height, width) = box, images.shape[-2:]
        old_images, old_scores, old_logits = (part[: len(images)] for part in self.old)
        area_ratio = (x2 - x1) * (y2 - y1) / (height * width)
        if area_ratio:
            images, size = images.clone(), (y2 - y1, x2 - x1)
            align_corners = True if self.interpolation == 'bilinear' else None
            patch = F.interpolate(old_images, size, mode=self.interpolation, align_corners=align_corners)
            images[..., y1:y2, x1:x2] = patch
        return images, area_ratio * old_scores + (1 - area_ratio) * scores, area_ratio, old_logits.softmax(1)

    def __call__(self, images, scores, box):
        """Returns the loss of the image, and that of the region as a KL divergence with its weight."""
        images, scores, area_ratio, target = self.mixed(images, scores, box)
        features = self.backbone(images)[-1]
        logits = self.fc(features.mean((2, 3)))
        loss_image, loss_region, entropy = cross_entropy(logits, scores), logits.new_zeros(()), 0.0
        if area_ratio:
            loss_region = cross_entropy(self.fc_roi(self.region(features, box, images.shape[-2:])), target)
            entropy = -(target * target.log()).sum(1).mean()
        self.update(loss_image + OMEGA * area_ratio * loss_region)
        self.old = images, scores, logits.detach()
        return [loss.item() for loss in (loss_image, OMEGA * area_ratio * (loss_region - entropy))]

    def update(self, loss):
        gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        for parameter, gradient, momentum in zip(self.parameters, gradients, self.momenta):
            if gradient is None and not momentum.any() and self.skips_without_gradient:
                continue
            step = WEIGHT_DECAY * parameter.detach() + (0 if gradient is None else gradient)
            momentum.mul_(MOMENTUM).add_(step)
            parameter.data -= LR * (step + MOMENTUM * momentum if self.nesterov else momentum)


class Weights(Hook):
    """Of the model before the first step and after each, and the losses."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.states, self.losses = [], []

    def before_train(self, runner):
        self.backbone, self.head = (copy.deepcopy(part) for part in (runner.model.backbone, runner.model.head))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.states.append(copy.deepcopy(runner.model.state_dict()))
        self.losses.append([outputs[name].item() for name in ('loss_cls', 'loss_consistency')])


def ours(tmp_path, monkeypatch, share_fc, interpolation, nesterov):
    boxes = iter(BOXES)
    monkeypatch.setattr('mmrmix.models.batch_augments.recursive_mix.sample_box', lambda *args: next(boxes))
    loader = dict(batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    sgd = dict(type='SGD', lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=nesterov)
    runner = build_runner(
        tmp_path,
        augments=dict(type='mmrmix.RecursiveMix', interpolation=interpolation),
        # Weights that make predictions clear, so that the loss of the region counts.
        head=dict(
            type='mmrmix.RMHead',
            num_classes=10,
            in_channels=8,
            omega=OMEGA,
            share_fc=share_fc,
            init_cfg=dict(type='Normal', layer='Linear', std=1),
        ),
        epochs=len(BOXES) // EPOCH_LENGTH,
        train_dataloader=dict(**loader, dataset=dict(type='RMToyDataset')),
        optim_wrapper=dict(optimizer=sgd),
    )
    preprocessor = runner.model.double().data_preprocessor
    preprocessor.mean = preprocessor.mean.double()  # Of integers, which stay what they are.
    weights = Weights()
    runner.register_hook(weights)
    runner.train()
    return weights


def batches():
    """What the data preprocessor makes of the toy data set: images in float64, and one-hot labels."""
    dataset = RMToyDataset()
    samples = [dataset[i] for i in range(len(dataset))]
    images = torch.stack([sample['inputs'] for sample in samples]).double().sub(128).div(64)
    labels = torch.cat([sample['data_samples'].gt_label for sample in samples])
    return list(zip(images.split(4), F.one_hot(labels, 10).double().split(4)))


def theirs(weights, share_fc, interpolation, nesterov, step_class=AuthorsStep):
    """States and losses as :class:`Weights` has them, from the same start."""
    backbone, head = copy.deepcopy((weights.backbone, weights.head))
    fc_roi = head.fc if share_fc else head.fc_roi
    step, states, losses = step_class(backbone, head.fc, fc_roi, interpolation, nesterov), [], []
    data = batches()
    for t, box in enumerate(BOXES):
        if t % EPOCH_LENGTH == 0:
            step.begin_epoch()
        losses.append(step(*data[t % EPOCH_LENGTH], box))
        parts = dict(backbone=backbone, head=head)
        state = {f'{name}.{key}': value for name, part in parts.items() for key, value in part.state_dict().items()}
        states.append(copy.deepcopy(state))
    return states, losses


def largest_difference(first, second):
    """Over weights and BatchNorm statistics, of all steps."""
    assert first[0].keys() == second[0].keys()
    return max((a[name] - b[name]).abs().max().item() for a, b in zip(first, second) for name in a)


VARIANTS = [(False, 'nearest', False), (False, 'bilinear', True), (True, 'nearest', True), (True, 'bilinear', False)]


@pytest.mark.parametrize(('share_fc', 'interpolation', 'nesterov'), VARIANTS)
def test_twelve_steps(share_fc, interpolation, nesterov, tmp_path, monkeypatch):
    """Ours keeps λ, labels and the consistency loss in float32, hence 1e-6."""
    variant = share_fc, interpolation, nesterov
    weights = ours(tmp_path, monkeypatch, *variant)
    states, losses = theirs(weights, *variant)
    assert len(states) == len(weights.states) == 12
    assert largest_difference(weights.states, states) < 1e-6
    torch.testing.assert_close(torch.tensor(weights.losses).double(), torch.tensor(losses).double(), rtol=0, atol=1e-6)
    # The weights move, and the region's loss counts wherever there is history and a box.
    assert largest_difference(states[1:], states[:-1]) > 0.1
    assert [loss > 1e-4 for _, loss in losses] == [t % EPOCH_LENGTH > 0 and t != 4 for t in range(12)]


class FirstStep(AuthorsStep):
    skips_without_gradient = True


def test_first_step_of_the_branch(tmp_path, monkeypatch):
    """The one difference: in a run's first step their fc_roi has no gradient, and is skipped; ours has one of zero.

    So its weights decay once more, by lr times weight decay: 3e-6 of themselves on ImageNet.
    """
    weights = ours(tmp_path, monkeypatch, *VARIANTS[0])
    (first, *_), _ = theirs(weights, *VARIANTS[0], step_class=FirstStep)
    for name in ('weight', 'bias'):
        initial = getattr(weights.head.fc_roi, name).detach()
        torch.testing.assert_close(first.pop(f'head.fc_roi.{name}'), initial, rtol=0, atol=0)
        decayed = weights.states[0].pop(f'head.fc_roi.{name}')
        torch.testing.assert_close(decayed, (1 - LR * WEIGHT_DECAY) * initial, rtol=1e-12, atol=0)
    assert largest_difference([first], weights.states[:1]) < 1e-6


class Transposed(AuthorsStep):
    """The published code before 24 April 2023: rows and columns of the RoI exchanged."""

    def region(self, features, box, image_size):
        return super().region(features, (box[1], box[0], box[3], box[2]), image_size)


class NeverEmptied(AuthorsStep):
    old = None

    def begin_epoch(self):
        # A batch larger than the last one crashes there, so pretend that it was a full one.
        if self.old is not None:
            self.old = tuple(torch.cat([part, part]) for part in self.old)


class RegionWithoutGradient(AuthorsStep):
    def region(self, features, box, image_size):
        return super().region(features, box, image_size).detach()


@pytest.mark.parametrize('step_class', [Transposed, NeverEmptied, RegionWithoutGradient])
def test_another_step_is_noticed(step_class, tmp_path, monkeypatch):
    weights = ours(tmp_path, monkeypatch, *VARIANTS[0])
    states, _ = theirs(weights, *VARIANTS[0], step_class=step_class)
    assert largest_difference(weights.states, states) > 1e-3
