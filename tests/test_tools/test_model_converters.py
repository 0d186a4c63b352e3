# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Converted and published checkpoints give the logits that they gave before."""

import hashlib
import re

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch import nn
from torchvision.models import resnet50

from tests.helpers.official_networks import OfficialDenseNet, OfficialPyramidNet, OfficialResNet
from tests.helpers.paths import ROOT
from tests.helpers.processes import tool

CONVERT, PUBLISH = 'model_converters/official_to_mmrmix.py', 'model_converters/publish_model.py'
DENSE = dict(growth_rate=8, depths=[2, 3, 2, 2], init_channels=16)


def torchvision_resnet50():
    model = resnet50(num_classes=10)
    model.fc_roi = nn.Linear(2048, 10)
    return model


NETWORKS = {
    'ResNet-50': (torchvision_resnet50, dict(type='ResNet', depth=50), 2048, 64),
    'ResNet-18, CIFAR': (lambda: OfficialResNet((2, 2, 2, 2)), dict(type='ResNet_CIFAR', depth=18), 512, 32),
    'ResNet-50, CIFAR': (lambda: OfficialResNet((3, 4, 6, 3), True), dict(type='ResNet_CIFAR', depth=50), 2048, 32),
    'DenseNet': (
        lambda: OfficialDenseNet(DENSE['depths'], 8), dict(type='mmrmix.DenseNet_CIFAR', arch=DENSE), 34, 32,
    ),
    'PyramidNet': (
        lambda: OfficialPyramidNet(20, 24), dict(type='mmrmix.PyramidNet', depth=20, alpha=24), 160, 32,
    ),
}  # fmt: skip


def make_config(path, backbone, in_channels):
    path.write_text(f"""
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone={backbone!r},
    head=dict(type='mmrmix.RMHead', num_classes=10, in_channels={in_channels}),
)
data_preprocessor = dict(num_classes=10)
""")
    return path


def shaken(model):
    """Every weight and statistic random, so that none can stand for another."""
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data = torch.rand_like(tensor) * 0.1 + (0.5 if tensor.ndim == 1 else -0.05)
    return model.eval()


def load(path):
    return torch.load(path, map_location='cpu', weights_only=False)


@pytest.mark.parametrize(
    'name, wrapping',
    [*((name, 'plain') for name in NETWORKS), *(('ResNet-18, CIFAR', w) for w in ('state_dict and module', 'model'))],
)
def test_logits_are_the_same(name, wrapping, tmp_path):
    make_official, backbone, channels, side = NETWORKS[name]
    official = shaken(make_official())
    weights = official.state_dict()
    checkpoint = {
        'plain': weights,
        'state_dict and module': dict(state_dict={f'module.{key}': value for key, value in weights.items()}, epoch=7),
        'model': dict(model=weights),
    }[wrapping]
    torch.save(checkpoint, tmp_path / 'official.pth')
    config = make_config(tmp_path / 'config.py', backbone, channels)
    output = tool(CONVERT, tmp_path / 'official.pth', config, tmp_path / 'converted.pth')
    assert f'{len(weights)} tensors, with fc_roi' in output

    cfg = Config.fromfile(config)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor)).eval()
    model.load_state_dict(load(tmp_path / 'converted.pth')['state_dict'], strict=True)
    images = torch.randn(2, 3, side, side)
    logits = official(images)
    assert logits.std() > 0
    torch.testing.assert_close(model(images), logits, rtol=1e-4, atol=1e-5 * logits.abs().max().item())
    assert model.head.fc_roi.weight.equal(weights['linear_roi.weight' if name == 'DenseNet' else 'fc_roi.weight'])


@pytest.mark.parametrize('change', ['missing', 'unexpected', 'shape', 'foreign'])
def test_what_does_not_fit_is_listed(change, tmp_path):
    weights = OfficialResNet((2, 2, 2, 2)).state_dict()
    config = make_config(tmp_path / 'config.py', dict(type='ResNet_CIFAR', depth=18), 512)
    message = {
        'missing': r'1 of \d+ weights missing \(backbone.layer4.1.conv2.weight\)',
        'unexpected': r'1 of \d+ weights unexpected \(backbone.layer5.0.conv1.weight\)',
        'shape': r'of another shape \(head.fc.weight \(7, 512\) instead of \(10, 512\)\)',
        'foreign': r"foreign.pth: None of the authors' networks: its first weights are blocks.0.weight",
    }[change]
    if change == 'missing':
        weights.pop('conv5_x.1.residual_function.3.weight')
    elif change == 'unexpected':
        weights['conv6_x.0.residual_function.0.weight'] = torch.zeros(1)
    elif change == 'shape':
        weights['fc.weight'] = torch.zeros(7, 512)
    else:
        weights = {'blocks.0.weight': torch.zeros(1)}
    torch.save(weights, tmp_path / f'{change}.pth')
    output = tool(CONVERT, tmp_path / f'{change}.pth', config, tmp_path / 'converted.pth', expect=1)
    assert re.search(message, output)
    assert not (tmp_path / 'converted.pth').exists()


def test_publish(tmp_path):
    """A checkpoint of a run with everything in it: EMA, optimiser, history."""
    from tests.helpers.resuming import HOOKS_FOR_RESUME, settings_for
    from tests.helpers.runner import build_runner

    runner = build_runner(tmp_path, hooks=[*HOOKS_FOR_RESUME, dict(type='EMAHook')], **settings_for('iterations'))
    runner.train()
    checkpoint = load(tmp_path / 'iter_12.pth')
    assert checkpoint.keys() >= {'optimizer', 'message_hub', 'hook_msgs', 'ema_state_dict'}
    output = tool(PUBLISH, tmp_path / 'iter_12.pth', tmp_path / 'published.pth')

    (path,) = tmp_path.glob('published-*.pth')
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:8] == path.stem.split('-')[1]
    published = load(path)
    assert published.keys() == {'meta', 'state_dict'}
    assert not any('fc_roi' in name for name in published['state_dict'])
    assert path.stat().st_size < (tmp_path / 'iter_12.pth').stat().st_size / 2
    assert re.search(r'Parameters: \d+\.\d\d M → \d+\.\d\d M', output)

    # The deployed model, which never had the branch, gives the averaged model's logits.
    (ema,) = (hook.ema_model.module for hook in runner.hooks if hasattr(hook, 'ema_model'))
    head = dict(type='LinearClsHead', num_classes=10, in_channels=8)
    plain = dict(runner.cfg.model.to_dict(), neck=dict(type='GlobalAveragePooling'), head=head)
    plain.pop('train_cfg')
    model = MODELS.build(plain).eval()
    model.load_state_dict(published['state_dict'], strict=True)
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(model(images), ema.eval()(images))


def test_publish_keeps_the_branch_on_demand(tmp_path):
    state_dict = {'head.fc.weight': torch.zeros(2, 3), 'head.fc_roi.weight': torch.zeros(2, 3)}
    torch.save(dict(state_dict=state_dict), tmp_path / 'a.pth')
    tool(PUBLISH, tmp_path / 'a.pth', tmp_path / 'b.pth', '--keep-fc-roi')
    (path,) = tmp_path.glob('b-*.pth')
    assert load(path)['state_dict'].keys() == state_dict.keys()


def test_publish_the_flagship(tmp_path):
    """Table 10: 27.61 M parameters in training, 25.56 M deployed."""
    cfg = Config.fromfile(ROOT / 'configs/rm/resnet50_8xb64_imagenet.py')
    model = MODELS.build(dict(cfg.model, data_preprocessor=None))
    torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=300)), tmp_path / 'epoch_300.pth')
    output = tool(PUBLISH, tmp_path / 'epoch_300.pth', tmp_path / 'resnet50.pth')
    assert 'Parameters: 27.61 M → 25.56 M' in output
