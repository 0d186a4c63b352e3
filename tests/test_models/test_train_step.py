# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Whole training steps: preprocessor, augment, backbone and head together."""

import copy
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from scipy.special import log_softmax, softmax
from torch.testing import assert_close

from mmrmix import link_history
from mmrmix.models.batch_augments.boxes import sample_box
from tests.helpers.roi_align import roi_align_by_definition
from tests.helpers.utils import HALF_DTYPES, build_classifier, make_batch, sgd

BACKBONES = {
    'ResNet': (dict(type='ResNet', depth=18), 512),
    'ConvNeXt': (
        dict(type='ConvNeXt', arch=dict(depths=[1] * 4, channels=[4, 8, 8, 16]), gap_before_final_norm=False),
        16,
    ),
    'Swin': (
        dict(
            type='SwinTransformer',
            arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
            img_size=64,
            window_size=4,
            out_indices=(1,),
        ),
        16,
    ),
    'ViT': (
        dict(
            type='VisionTransformer',
            arch=dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32),
            img_size=64,
            patch_size=16,
            out_type='featmap',
        ),
        16,
    ),
    'MobileNetV2': (dict(type='MobileNetV2', widen_factor=0.25), 1280),
}
# Of seed 0 the boxes of iterations 1 to 3 are not empty, whatever the image.
SEED = 0


def expected_box(iteration, image_size):
    philox = np.random.Philox(key=[SEED, 0], counter=[0, iteration, 0, 0])
    return list(sample_box(np.random.Generator(philox), image_size, 0.5))


def one_hot(data):
    return np.eye(10)[[sample.gt_label.item() for sample in data['data_samples']]]


class Reference:
    """RecursiveMix in float64 NumPy; the feature map is the model's own."""

    def __init__(self, omega, share_fc):
        self.omega, self.share_fc = omega, share_fc
        self.inputs = self.scores = self.logits = None

    def mix(self, images, scores, box):
        """Eq. 1 with nearest neighbours and λ of the clipped box."""
        if self.inputs is None:
            return images, scores, 0.0
        x1, y1, x2, y2 = box
        height, width = images.shape[-2:]
        area_ratio = (x2 - x1) * (y2 - y1) / (height * width)
        images = images.copy()
        for y in range(y1, y2):
            for x in range(x1, x2):
                source = (y - y1) * height // (y2 - y1), (x - x1) * width // (x2 - x1)
                images[..., y, x] = self.inputs[(..., *source)]
        return images, area_ratio * self.scores + (1 - area_ratio) * scores, area_ratio

    def losses(self, feature_map, weights, scores, area_ratio, box, image_size):
        """Eq. 5; returns the logits, too."""
        logits = feature_map.double().numpy().mean((2, 3)) @ weights['fc.weight'].T + weights['fc.bias']
        loss_cls = -(scores * log_softmax(logits, axis=1)).sum(1).mean()
        if self.logits is None:
            return logits, loss_cls, 0.0
        roi = np.stack([roi_align_by_definition(sample, box, image_size) for sample in feature_map])
        layer = 'fc' if self.share_fc else 'fc_roi'
        roi_logits = roi @ weights[f'{layer}.weight'].T + weights[f'{layer}.bias']
        divergence = log_softmax(self.logits, axis=1) - log_softmax(roi_logits, axis=1)
        divergence = (softmax(self.logits, axis=1) * divergence).sum(1)
        return logits, loss_cls, self.omega * area_ratio * divergence.mean()


@pytest.mark.parametrize(('omega', 'share_fc'), [(0.1, False), (0.5, True)])
def test_three_steps_equal_numpy(omega, share_fc):
    model = build_classifier(omega=omega, share_fc=share_fc)
    # The default of 0.01 would leave all logits near zero.
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter)
    history = link_history(model, seed=SEED)
    feature_maps = []
    model.backbone.register_forward_hook(lambda module, args, feats: feature_maps.append(feats[-1].detach()))
    optimizer, image_size = sgd(model), (24, 20)
    reference = Reference(omega, share_fc)
    for t in range(3):
        data = make_batch(4, image_size)
        box = expected_box(t, image_size)
        images, scores, area_ratio = reference.mix(data['inputs'].double().numpy(), one_hot(data), box)
        weights = {name: value.double().numpy().copy() for name, value in model.head.state_dict().items()}
        history.begin_step(t)
        log = model.train_step(data, optimizer)

        assert np.array_equal(history.batch.inputs.double().numpy(), images)
        np.testing.assert_allclose(history.batch.scores.numpy(), scores, atol=1e-6)
        logits, loss_cls, loss_consistency = reference.losses(
            feature_maps[t], weights, scores, area_ratio, box, image_size
        )
        np.testing.assert_allclose(history.batch.logits.numpy(), logits, rtol=1e-5, atol=1e-5)
        assert log['loss_cls'].item() == pytest.approx(loss_cls, abs=1e-5)
        assert log['loss_consistency'].item() == pytest.approx(loss_consistency, abs=1e-5)
        assert log['loss'].item() == pytest.approx(loss_cls + loss_consistency, abs=2e-5)
        assert t == 0 or (area_ratio > 0.03 and loss_consistency > 1e-3)
        reference.inputs, reference.scores, reference.logits = images, scores, logits


@pytest.mark.parametrize('name', BACKBONES)
def test_backbones(name):
    backbone, in_channels = BACKBONES[name]
    model = build_classifier(backbone, in_channels)
    history = link_history(model, seed=SEED)
    optimizer = sgd(model, lr=0.01)
    for t in range(2):
        data = make_batch(2, (64, 64))
        history.begin_step(t)
        log = model.train_step(data, optimizer)
        assert all(np.isfinite(value.item()) for value in log.values())
        # Small weights: the first losses are near that of a uniform guess.
        assert log['loss_cls'].item() == pytest.approx(np.log(10), abs=0.5)
        assert (log['loss_consistency'].item() > 0) == (t == 1)
        assert history.batch.logits.shape == (2, 10)
    x1, y1, x2, y2 = expected_box(1, (64, 64))
    share = history.batch.scores[0].max().item()
    ratio = (x2 - x1) * (y2 - y1) / 4096
    assert share == pytest.approx(1.0, abs=1e-6) or share == pytest.approx(max(ratio, 1 - ratio), abs=1e-6)


@pytest.mark.parametrize('name', BACKBONES)
def test_gradients(name):
    """On the second step every parameter of the head learns; on the first H' waits with zero."""
    backbone, in_channels = BACKBONES[name]
    model = build_classifier(backbone, in_channels)
    history = link_history(model, seed=SEED)
    for t in range(2):
        model.zero_grad()
        history.begin_step(t)
        data = model.data_preprocessor(make_batch(2, (64, 64)), True)
        sum(model(**data, mode='loss').values()).backward()
        assert history.batch.inputs.data_ptr() == data['inputs'].data_ptr()
        gradients = {key: parameter.grad for key, parameter in model.head.named_parameters()}
        assert set(gradients) == {'fc.weight', 'fc.bias', 'fc_roi.weight', 'fc_roi.bias'}
        for key, gradient in gradients.items():
            assert bool(gradient.any()) == (t == 1 or key.startswith('fc.'))


def run(memory_format=torch.contiguous_format, dtype=torch.float32, num_steps=3):
    """Losses and logits of some steps, the same for every call but for precision and layout."""
    torch.manual_seed(0)
    model = build_classifier()
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter)
    model = model.to(memory_format=memory_format)
    history = link_history(model, seed=SEED)
    optimizer, logs = sgd(model), []
    for t in range(num_steps):
        history.begin_step(t)
        data = make_batch()
        data['inputs'] = data['inputs'].to(memory_format=memory_format)
        with nullcontext() if dtype is torch.float32 else torch.autocast('cpu', dtype=dtype):
            log = model.train_step(data, optimizer)
        logs.append([log['loss_cls'].item(), log['loss_consistency'].item()])
    return np.array(logs), history.batch


def test_channels_last():
    expected, _ = run()
    logs, triple = run(torch.channels_last)
    assert triple.inputs.is_contiguous(memory_format=torch.channels_last) and not triple.inputs.is_contiguous()
    np.testing.assert_allclose(logs, expected, rtol=1e-5, atol=1e-5)
    assert (expected[1:, 1] > 1e-3).all()


@pytest.mark.parametrize('dtype', HALF_DTYPES)
def test_autocast(dtype):
    expected, _ = run()
    logs, triple = run(dtype=dtype)
    # Images, labels and losses stay in float32, logits come in autocast's type.
    assert triple.inputs.dtype is triple.scores.dtype is torch.float32
    assert triple.logits.dtype is dtype
    np.testing.assert_allclose(logs, expected, rtol=8 * torch.finfo(dtype).eps, atol=2 * torch.finfo(dtype).eps)


def test_gradient_accumulation():
    """Every micro-batch is a step of RecursiveMix, every second one of the optimiser."""
    model = build_classifier()
    history = link_history(model, seed=SEED)
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2)
    scores = None
    for t in range(4):
        weight = model.head.fc.weight.detach().clone()
        data = make_batch(4, (24, 20))
        x1, y1, x2, y2 = expected_box(t, (24, 20))
        area_ratio = 0 if t == 0 else (x2 - x1) * (y2 - y1) / 480
        scores = one_hot(data) if t == 0 else area_ratio * scores + (1 - area_ratio) * one_hot(data)
        history.begin_step(t)
        model.train_step(data, optimizer)
        assert torch.equal(weight, model.head.fc.weight) == (t % 2 == 0)
        np.testing.assert_allclose(history.batch.scores.numpy(), scores, atol=1e-6)
        outside = torch.ones(24, 20, dtype=torch.bool)
        if t:
            outside[y1:y2, x1:x2] = False
        assert torch.equal(history.batch.inputs[:, :, outside], data['inputs'][:, :, outside])


@pytest.mark.parametrize('copy_model', [copy.deepcopy, ExponentialMovingAverage], ids=['deepcopy', 'EMA'])
def test_copy_has_a_history_of_its_own(copy_model):
    model = build_classifier()
    history = link_history(model, seed=SEED)
    model.train_step(make_batch(), sgd(model))
    triple = history.batch
    copied = copy_model(model)
    copied = getattr(copied, 'module', copied)

    other = copied.head.history
    (augment,) = copied.data_preprocessor.batch_augments.augments
    assert other is augment.history and other is not history
    assert torch.equal(other.batch.inputs, triple.inputs) and other.batch.inputs is not triple.inputs
    assert other.seed == history.seed == SEED
    assert str(other.generator.bit_generator.state) == str(history.generator.bit_generator.state)
    # Linked once more, it keeps what it has.
    assert link_history(copied) is other and model.head.history is history

    # Training the copy does not touch the original's history.
    copied.requires_grad_(True)
    copied.train_step(make_batch(), sgd(copied))
    assert history.batch is triple and other.batch.inputs is not triple.inputs


def test_compiled_model_keeps_the_history():
    """On every torch, in one graph or in parts; batches without RecursiveMix in between."""
    plain = build_classifier()
    compiled = copy.deepcopy(plain)
    compiled.forward = torch.compile(compiled.forward, backend='eager')
    for model in (plain, compiled):
        link_history(model, seed=SEED)
    augments = [model.data_preprocessor.batch_augments for model in (plain, compiled)]
    for i, num_samples in enumerate([4, 4, 2, 4, 4, 4]):
        data = make_batch(num_samples, (24, 20))
        logs = []
        for model, augment in zip((plain, compiled), augments):
            model.data_preprocessor.batch_augments = None if i == 3 else augment
            logs.append(model.train_step(copy.deepcopy(data), sgd(model)))
        assert_close(*logs, rtol=1e-4, atol=1e-6)
        assert_close(plain.head.history.batch, compiled.head.history.batch, rtol=1e-4, atol=1e-5)
    assert logs[0]['loss_consistency'] > 0
