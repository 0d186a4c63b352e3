# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""PretrainedBackbone keeps its promise with the backbones of every library, whatever their classes do themselves."""

import copy
import pickle
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmrmix.contrib import PretrainedBackbone
from mmrmix.contrib.backbones.initialized_backbone import ensure_initialization
from mmrmix.contrib.cli.launch import build_runner
from tests.helpers.backbones import BACKBONES, NEVER_ASK, QUICK
from tests.helpers.runner import config_of_a_run

PVT = dict(embed_dims=8, num_layers=[1, 1, 1, 1], num_heads=[1, 1, 1, 2])


def save(path, network):
    """A checkpoint in which every weight of the network is a random number of its own."""
    init_default_scope('mmengine')
    weights = MODELS.build(copy.deepcopy(network)).state_dict()
    # SwinTransformerV2 drops buffers that it computes; in files of its own they are the same.
    is_computed = re.compile('coords|attn_mask').search
    for name, value in weights.items():
        if value.is_floating_point() and not is_computed(name):
            weights[name] = torch.rand_like(value)
    torch.save(dict(state_dict={f'backbone.{name}': value for name, value in weights.items()}), path)
    return weights


def initialised(cfg):
    init_default_scope('mmengine')
    backbone = MODELS.build(Config(dict(model=cfg)).model)
    backbone.init_weights()
    return backbone


def differing(backbone, weights):
    state_dict = backbone.state_dict()
    assert state_dict.keys() == weights.keys()
    return [name for name in weights if not torch.equal(state_dict[name], weights[name])]


@pytest.mark.parametrize(
    'network',
    [pytest.param(network, marks=[] if name in QUICK else [pytest.mark.slow]) for name, network in BACKBONES.items()],
    ids=BACKBONES,
)
def test_every_weight_is_the_checkpoints(network, tmp_path):
    """By ``init_cfg`` alone, where the class asks it, and as our tools build it."""
    path = str(tmp_path / 'rm.pth')
    weights = save(path, network)
    cfg = dict(network, init_cfg=dict(type='mmrmix.PretrainedBackbone', checkpoint=path))
    assert len(weights) > 10
    if network['type'] not in NEVER_ASK:
        assert differing(initialised(cfg), weights) == []
    ensure_initialization(cfg)
    assert cfg['type'] == 'mmrmix.InitializedBackbone' and cfg['network'] == network['type']
    assert differing(initialised(cfg), weights) == []


@pytest.mark.parametrize('name', NEVER_ASK)
def test_classes_that_never_ask(name, tmp_path):
    """Without our tools, ``init_cfg`` is lost on them: no error of ours, which docs/inherit.md says."""
    path = str(tmp_path / 'other.pth')
    torch.save(dict(state_dict={'backbone.conv1.weight': torch.rand(64, 3, 7, 7)}), path)
    init_cfg = dict(type='mmrmix.PretrainedBackbone', checkpoint=path)
    cfg = dict(BACKBONES[name], init_cfg=init_cfg)
    initialised(cfg)
    ensure_initialization(cfg)
    with pytest.raises(ValueError, match=r'does not fit the backbone .* Nothing was loaded'):
        initialised(cfg)


@pytest.mark.parametrize('runner_type', ['Runner', 'FlexibleRunner'])
def test_our_tools(runner_type, tmp_path):
    """They train mmdetection's own PVTv2 from the checkpoint."""
    path = str(tmp_path / 'rm.pth')
    network = dict(type='mmdet.PyramidVisionTransformerV2', **PVT)
    weights = save(path, network)
    # No epoch is trained.
    cfg = Config(config_of_a_run(tmp_path, epochs=0, runner_type=runner_type, launcher='none', env_cfg=dict()))
    cfg.model.backbone = dict(network, init_cfg=dict(type='mmrmix.PretrainedBackbone', checkpoint=path))
    runner = build_runner(cfg)
    runner.train()
    assert differing(runner.model.backbone, weights) == []


def test_copies(tmp_path):
    """Of a backbone that is not initialised yet, as EMA and spawned processes make them."""
    path = str(tmp_path / 'rm.pth')
    network = dict(type='mmdet.PyramidVisionTransformerV2', **PVT)
    weights = save(path, network)
    # A plain dict, which mmdetection's class does not take.
    init_cfg = dict(type='mmrmix.PretrainedBackbone', checkpoint=path)
    backbone = MODELS.build(
        dict(network, type='mmrmix.InitializedBackbone', network=network['type'], init_cfg=init_cfg)
    )
    for duplicate in (copy.deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
        duplicate.init_weights()
        assert differing(duplicate, weights) == []
    assert len(differing(backbone, weights)) == len(weights)


def test_from_scratch():
    """Without ``init_cfg`` it is the class's own initialisation."""
    network = dict(type='mmdet.PyramidVisionTransformerV2', **PVT)
    states = []
    for cfg in (network, dict(network, type='mmrmix.InitializedBackbone', network=network['type'])):
        torch.manual_seed(0)
        states.append(initialised(cfg).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_other_initialisations_beside_it(tmp_path):
    path = str(tmp_path / 'rm.pth')
    network = dict(type='mmpretrain.ResNet_CIFAR', depth=18, stem_channels=8, base_channels=8)
    save(path, network)
    init_cfg = [dict(type='mmrmix.PretrainedBackbone', checkpoint=path), dict(type='Kaiming', layer='Conv2d')]
    with pytest.raises(ValueError) as caught:
        initialised(dict(network, init_cfg=init_cfg))
    assert str(caught.value) == (
        'init_cfg of ResNet_CIFAR has 2 entries. PretrainedBackbone initialises every weight: write '
        'init_cfg=dict(type="mmrmix.PretrainedBackbone", checkpoint=PATH) alone.'
    )


def test_configs_are_changed_once():
    init_cfg = dict(type=PretrainedBackbone, checkpoint='rm.pth')
    cfg = dict(backbone=dict(type='mmdet.PyramidVisionTransformer', init_cfg=init_cfg), heads=[dict(type='X'), None])
    for _ in range(2):
        ensure_initialization(cfg)
    assert cfg['backbone'] == dict(
        type='mmrmix.InitializedBackbone', network='mmdet.PyramidVisionTransformer', init_cfg=init_cfg
    )
    assert cfg['heads'] == [dict(type='X'), None]
