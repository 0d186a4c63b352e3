# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""PyramidNet and DenseNet_CIFAR against arithmetic and functions written down once more."""

import pytest
import torch
import torch.nn.functional as F

from mmrmix.models import DenseNet_CIFAR, PyramidNet
from mmrmix.models.backbones.pyramidnet import pyramid_widths


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def pyramidnet_parameters(depth, alpha, bottleneck, num_classes):
    """Weights of all convolutions, two numbers a channel of every BatchNorm, and the classifier."""
    num_blocks = 3 * ((depth - 2) // (9 if bottleneck else 6))
    total, channels = 27 * 16 + 2 * 16, 16
    for k in range(1, num_blocks + 1):
        width = round(16 + k * alpha / num_blocks)
        out = 4 * width if bottleneck else width
        convolutions = (
            channels * width + 9 * width**2 + 4 * width**2 if bottleneck else 9 * (channels * width + width**2)
        )
        norms = 2 * (channels + width + (width if bottleneck else 0) + out)
        total, channels = total + convolutions + norms, out
    return total + 2 * channels + (channels + 1) * num_classes


# In millions, from Table 4 of the PyramidNet paper; 164 and 270 is not there.
@pytest.mark.parametrize(
    'depth, alpha, bottleneck, num_classes, published',
    [(110, 84, False, 10, 3.9), (110, 270, False, 10, 28.5), (200, 240, True, 10, 26.8), (164, 270, True, 10, 27.2)],
)
def test_pyramidnet_has_the_published_size(depth, alpha, bottleneck, num_classes, published):
    model = PyramidNet(depth, alpha, bottleneck)
    total = count(model) + (model.bn_final.num_features + 1) * num_classes
    assert total == pyramidnet_parameters(depth, alpha, bottleneck, num_classes)
    assert total / 1e6 == pytest.approx(published, abs=0.05)


def test_pyramid_widths():
    # By hand: 16 + 30 k / 9.
    assert pyramid_widths(16, 30, 9) == (19, 23, 26, 29, 33, 36, 39, 43, 46)
    for alpha, num_blocks in [(240, 66), (270, 54), (84, 54)]:
        assert pyramid_widths(16, alpha, num_blocks)[-1] == 16 + alpha


def norm(state, name, x):
    mean, var, weight, bias = (
        state[f'{name}.{key}'][:, None, None] for key in ('running_mean', 'running_var', 'weight', 'bias')
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def pyramidnet_by_hand(state, x, bottleneck, num_blocks):
    """The network in float64, in the words of its paper."""
    maps = []
    x = norm(state, 'bn1', F.conv2d(x, state['conv1.weight'], padding=1))
    for stage in (1, 2, 3):
        for block in range(num_blocks):
            name, stride = f'layer{stage}.{block}', 2 if stage > 1 and block == 0 else 1
            first = F.conv2d(
                norm(state, f'{name}.bn1', x),
                state[f'{name}.conv1.weight'],
                padding=0 if bottleneck else 1,
                stride=1 if bottleneck else stride,
            )
            out = F.conv2d(
                norm(state, f'{name}.bn2', first).clamp(min=0),
                state[f'{name}.conv2.weight'],
                padding=1,
                stride=stride if bottleneck else 1,
            )
            if bottleneck:
                out = F.conv2d(norm(state, f'{name}.bn3', out).clamp(min=0), state[f'{name}.conv3.weight'])
            out = norm(state, f'{name}.bn{4 if bottleneck else 3}', out)
            if stride == 2:
                # The mean of what there is of every 2×2 cell.
                ones = F.pad(torch.ones_like(x), (0, x.shape[-1] % 2, 0, x.shape[-2] % 2))
                padded = F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2))
                x = F.avg_pool2d(padded, 2) / F.avg_pool2d(ones, 2)
            out[:, : x.shape[1]] += x
            x = out
        maps.append(x)
    return [*maps[:2], norm(state, 'bn_final', x).clamp(min=0)]


@pytest.mark.parametrize('bottleneck', [True, False])
@pytest.mark.parametrize('image_size', [(32, 32), (13, 10)])
def test_pyramidnet_by_hand(bottleneck, image_size):
    model = PyramidNet(20 if bottleneck else 14, 30, bottleneck, out_indices=(0, 1, 2)).double()
    model.init_weights()
    for buffer in model.buffers():
        if buffer.dtype is torch.float64:
            buffer.uniform_(0.5, 1.5)
    images = torch.randn(2, 3, *image_size, dtype=torch.float64)
    maps = model.eval()(images)
    expected = pyramidnet_by_hand(model.state_dict(), images, bottleneck, 2)
    for actual, by_hand in zip(maps, expected):
        torch.testing.assert_close(actual, by_hand, rtol=1e-9, atol=1e-9)
    (last,) = PyramidNet(20 if bottleneck else 14, 30, bottleneck)(images.float())
    assert last.shape == maps[2].shape


def make(name, **settings):
    if name == 'PyramidNet':
        return PyramidNet(depth=20, alpha=24, **settings)
    arch = dict(growth_rate=8, depths=[2, 2, 2], init_channels=16)
    settings['memory_efficient'] = settings.pop('with_cp', False)
    return DenseNet_CIFAR(arch=arch, **settings)


@pytest.mark.parametrize('name', ['PyramidNet', 'DenseNet_CIFAR'])
def test_gradient_checkpointing_changes_nothing(name):
    plain, checkpointed = make(name), make(name, with_cp=True)
    checkpointed.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 16, 16, requires_grad=True)
    grads = []
    for model in (plain, checkpointed):
        model.train()(images)[-1].square().sum().backward()
        grads.append([parameter.grad for parameter in model.parameters()])
    for first, second in zip(*grads):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-6)


def test_frozen_stages_and_statistics():
    model = PyramidNet(20, 24, frozen_stages=1, norm_eval=True).train()
    frozen = {name.split('.')[0] for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {'conv1', 'bn1', 'layer1', 'layer2'}
    before = model.bn_final.running_mean.clone()
    model(torch.randn(2, 3, 16, 16))
    assert model.bn_final.running_mean.equal(before)
    assert PyramidNet(20, 24).train().bn_final.training


def test_initial_weights():
    """Normal with variance 2 / (k² · output channels)."""
    model = PyramidNet(20, 240)
    model.init_weights()
    weight = model.layer3[0].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (9 * len(weight))) ** 0.5, rel=0.02)
    assert (model.bn_final.weight == 1).all()


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(depth=163, alpha=1), r'depth=163 must be 9 n \+ 2 with bottleneck blocks'),
        (dict(depth=20, alpha=1, bottleneck=True, out_indices=(3,)), r'out_indices=\(3,\) must lie in 0 to 2'),
        (dict(depth=21, alpha=1, bottleneck=False), r'depth=21 must be 6 n \+ 2 with basic blocks'),
    ],
)
def test_pyramidnet_says_what_is_wrong(settings, message):
    with pytest.raises(ValueError, match=message):
        PyramidNet(**settings)


def densenet_parameters(growth, depths):
    """Every layer: BN, 1×1 to 4 k channels, BN, 3×3 to k; transitions halve."""
    channels = 2 * growth
    total = 27 * channels
    for i, depth in enumerate(depths):
        for _ in range(depth):
            total += 2 * channels + channels * 4 * growth + 2 * 4 * growth + 9 * 4 * growth * growth
            channels += growth
        if i < len(depths) - 1:
            total += 2 * channels + channels * (channels // 2)
            channels //= 2
    return total + 2 * channels, channels


@pytest.mark.parametrize('arch, growth, depths', [('121', 32, (6, 12, 24, 16)), ('161', 48, (6, 12, 36, 24))])
def test_densenet(arch, growth, depths):
    model = DenseNet_CIFAR(arch)
    total, channels = densenet_parameters(growth, depths)
    assert count(model) == total
    (feature_map,) = model.eval()(torch.randn(1, 3, 32, 32))
    assert feature_map.shape == (1, channels, 4, 4)


def test_densenet_by_hand():
    model = make('DenseNet_CIFAR').eval().double()
    images = torch.randn(2, 3, 12, 12, dtype=torch.float64)
    x, state = F.conv2d(images, model.stem.weight, padding=1), model.state_dict()
    for i in range(3):
        for j in range(2):
            name = f'stages.{i}.block.{j}'
            out = F.conv2d(norm(state, f'{name}.norm1', x).clamp(min=0), state[f'{name}.conv1.weight'])
            out = F.conv2d(norm(state, f'{name}.norm2', out).clamp(min=0), state[f'{name}.conv2.weight'], padding=1)
            x = torch.cat([x, out], 1)
        if i < 2:
            # No ReLU between normalisation and convolution.
            x = F.avg_pool2d(
                F.conv2d(norm(state, f'transitions.{i}.norm', x), state[f'transitions.{i}.conv.weight']), 2
            )
    expected = norm(state, 'transitions.2.0', x).clamp(min=0)
    torch.testing.assert_close(model(images)[0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmseg'])
def test_found_from_every_library(scope):
    registry = pytest.importorskip(f'{scope}.registry').MODELS
    backbone = registry.build(dict(type='mmrmix.PyramidNet', depth=20, alpha=24, out_indices=(0, 1, 2)))
    assert [feature.shape[-1] for feature in backbone(torch.randn(1, 3, 32, 32))] == [32, 16, 8]
    assert isinstance(registry.build(dict(type='mmrmix.DenseNet_CIFAR')), DenseNet_CIFAR)
