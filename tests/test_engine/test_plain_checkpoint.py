# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Resuming with RecursiveMix what was trained without."""

import copy
import math

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmrmix.engine.plain_checkpoint import add_branch
from tests.helpers.checkpoints import load, messages
from tests.helpers.resuming import settings_for
from tests.helpers.runner import CUTMIX, build_runner, train
from tests.helpers.utils import build_classifier

GROUPS = {
    'one group': dict(),
    'a group for every parameter': dict(
        paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys=dict(head=dict(lr_mult=10)))
    ),
}
MISSING = ['head.fc_roi.weight', 'head.fc_roi.bias']


def settings(groups):
    return dict(
        **settings_for('iterations'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=1e-4), **GROUPS[groups]),
        param_scheduler=dict(type='CosineAnnealingLR', T_max=12, by_epoch=False, end=12),
    )


@pytest.fixture(params=list(GROUPS))
def plain(request, tmp_path):
    """A checkpoint of five iterations with LinearClsHead and CutMix; its folder, and how parameters are grouped."""
    config = settings(request.param)
    config.update(train_cfg=dict(by_epoch=False, max_iters=5, val_interval=100), custom_hooks=[])
    config['default_hooks']['checkpoint'].update(type='CheckpointHook')
    for name in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        config.pop(name)
    head = dict(type='LinearClsHead', num_classes=10, in_channels=8)
    runner = build_runner(tmp_path, augments=CUTMIX, head=head, **config)
    runner.model.neck = torch.nn.Sequential()
    runner.model.neck.forward = lambda feats: (feats[-1].mean((2, 3)),)
    runner.train()
    return tmp_path, request.param


def test_training_goes_on(plain):
    tmp_path, groups = plain
    runner, steps = train(tmp_path, resume=True, reset=None, **settings(groups))
    assert [step['runner_iter'] for step in steps] == list(range(5, 12))
    (line,) = [line for line in messages(tmp_path) if 'Resumed' in line]
    assert 'INFO' in line
    assert line.endswith('the checkpoint has none. head.fc_roi.weight and head.fc_roi.bias start as initialised.')
    # Every group has followed the same schedule to its end, after which it is stepped no more.
    factors = [group['lr'] / group['initial_lr'] for group in runner.optim_wrapper.param_groups]
    assert factors == pytest.approx([(1 + math.cos(math.pi * 11 / 12)) / 2] * len(factors))


def test_states_and_learning_rates_belong_to_the_same_parameters(plain):
    tmp_path, groups = plain
    checkpoint = load(tmp_path / 'iter_5.pth')
    model = build_classifier()
    wrapper = build_optim_wrapper(model, settings(groups)['optim_wrapper'])
    saved = copy.deepcopy(checkpoint)
    assert add_branch(checkpoint, model, wrapper) == MISSING
    wrapper.load_state_dict(checkpoint['optimizer'])

    rate_of = {id(p): group['lr'] for group in wrapper.optimizer.param_groups for p in group['params']}
    parameters = dict(model.named_parameters())
    plain_names = [name for name in parameters if name not in MISSING]
    plain_rates = [group['lr'] for group in saved['optimizer']['param_groups'] for _ in group['params']]
    assert len(plain_rates) == len(plain_names)
    for index, (name, rate) in enumerate(zip(plain_names, plain_rates)):
        momentum = wrapper.optimizer.state[parameters[name]]['momentum_buffer']
        assert momentum.equal(saved['optimizer']['state'][index]['momentum_buffer']), name
        assert momentum.shape == parameters[name].shape
        assert rate_of[id(parameters[name])] == rate
    for name in MISSING:
        assert parameters[name] not in wrapper.optimizer.state
        assert rate_of[id(parameters[name])] == rate_of[id(parameters[name.replace('fc_roi', 'fc')])]
    for scheduler in checkpoint['param_schedulers']:
        assert len(scheduler['base_values']) == len(scheduler['_last_value']) == len(wrapper.param_groups)


def test_nothing_is_missing(plain):
    tmp_path, groups = plain
    for head in (dict(share_fc=True), dict(omega=0)):
        model = build_classifier(**head)
        wrapper = build_optim_wrapper(model, settings(groups)['optim_wrapper'])
        checkpoint = load(tmp_path / 'iter_5.pth')
        assert add_branch(checkpoint, model, wrapper) == []
        wrapper.load_state_dict(checkpoint['optimizer'])


@pytest.mark.parametrize('change', ['optimizer', 'backbone', 'groups', 'weights only'])
def test_what_is_not_understood_is_left_alone(plain, change):
    tmp_path, groups = plain
    checkpoint = load(tmp_path / 'iter_5.pth')
    if change == 'optimizer':
        checkpoint.pop('optimizer')
    elif change == 'backbone':
        checkpoint['state_dict'].pop('backbone.conv1.weight')
    elif change == 'groups':
        checkpoint['optimizer']['param_groups'][0]['params'].append(99)
    else:
        checkpoint = checkpoint['state_dict']
    before = copy.deepcopy(checkpoint.get('optimizer', {}).get('param_groups'))
    model = build_classifier()
    wrapper = build_optim_wrapper(model, settings(groups)['optim_wrapper'])
    assert add_branch(checkpoint, model, wrapper) == []
    assert checkpoint.get('optimizer', {}).get('param_groups') == before
