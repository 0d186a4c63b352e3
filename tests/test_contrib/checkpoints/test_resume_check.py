# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What is not of this training is not resumed from."""

import pytest
import torch

from tests.helpers.checkpoints import load, saved_run
from tests.helpers.resuming import settings_for
from tests.helpers.runner import train

START = r'start a new run from its weights: without --resume, --cfg-options load_from=\S*iter_5\.pth\.$'
MOMENTUM = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
HEAD = dict(type='mmrmix.RMHead', num_classes=10, in_channels=8)
ADAM = dict(optimizer=dict(type='AdamW', lr=0.001))
GROUPS = dict(
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=1e-4), paramwise_cfg=dict(norm_decay_mult=0.0)
)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp('saved')
    schedule = dict(type='CosineAnnealingLR', T_max=12, by_epoch=False, end=12)
    saved_run(folder, optim_wrapper=MOMENTUM, param_scheduler=schedule)
    return folder / 'iter_5.pth'


def resume(tmp_path, path, **settings):
    schedule = dict(type='CosineAnnealingLR', T_max=12, by_epoch=False, end=12)
    settings = {**settings_for('iterations'), 'optim_wrapper': MOMENTUM, 'param_scheduler': schedule, **settings}
    return train(tmp_path, resume=True, load_from=str(path), **settings)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(head=dict(HEAD, num_classes=12), num_classes=12),
            r'4 of \d+ weights of another shape \(head\.fc\.weight \(10, 8\) instead of \(12, 8\), head\.fc\.bias',
        ),
        (
            dict(head=dict(HEAD, omega=0.0)),
            r'2 of \d+ weights unexpected \(head\.fc_roi\.weight, head\.fc_roi\.bias\); ',
        ),
        (
            dict(optim_wrapper=ADAM),
            r'the optimiser has the settings dampening, momentum, nesterov instead of .*betas, .*eps',
        ),
        (
            dict(optim_wrapper=GROUPS),
            r'the optimiser has \d+ parameters in 1 groups instead of \d+ parameters in \d+ g',
        ),
        (dict(param_scheduler=[dict(type='ConstantLR')] * 2), '1 learning rate schedulers instead of 2'),
    ],
    ids=['classes', 'no branch', 'another optimiser', 'other groups', 'schedulers'],
)
def test_another_config(tmp_path, saved, changes, message):
    text = rf'iter_5\.pth does not match this run, and nothing was loaded: .*{message}.*Resume with the config .*'
    with pytest.raises(RuntimeError, match=text + START):
        resume(tmp_path, saved, **changes)
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('change', ['renamed', 'another width', 'with EMA'])
def test_other_weights(tmp_path, saved, change):
    """With an EMA, mmengine's hook would load (and fail) before anyone could look."""
    checkpoint = load(saved)
    weights = checkpoint['state_dict']
    if change == 'renamed':
        checkpoint['state_dict'] = {name.replace('backbone', 'trunk'): value for name, value in weights.items()}
        message = r'30 of 40 weights missing \(backbone\.conv1\.weight, .* and 27 more\); 36 of .* unexpected \(trunk\.'
    else:
        weights['backbone.conv1.weight'] = torch.zeros(16, 3, 3, 3)
        message = r'1 of .* \(backbone\.conv1\.weight \(16, 3, 3, 3\) instead of \(8, 3, 3, 3\)\)'
    if change == 'with EMA':
        checkpoint['ema_state_dict'] = {f'module.{name}': value for name, value in weights.items()}
    torch.save(checkpoint, tmp_path / 'iter_5.pth')
    with pytest.raises(RuntimeError, match=rf'nothing was loaded: {message}'):
        resume(tmp_path, tmp_path / 'iter_5.pth', hooks=[dict(type='EMAHook')] if change == 'with EMA' else [])


@pytest.mark.parametrize(
    ('gone', 'text'),
    [
        (['optimizer', 'param_schedulers'], 'optimiser state, state of the learning rate schedule'),
        (['meta'], 'meta'),
    ],
)
def test_weights_alone(tmp_path, saved, gone, text):
    """As of the best checkpoint, with which mmengine starts optimiser and schedule again."""
    checkpoint = {key: value for key, value in load(saved).items() if key not in gone}
    torch.save(checkpoint, tmp_path / 'iter_5.pth')
    message = (
        rf'iter_5\.pth has no {text}, so a run cannot resume from it \(best_\*\.pth and published checkpoints hold '
        r'weights alone\)\. Resume from an epoch_\*\.pth or iter_\*\.pth, or '
    )
    with pytest.raises(RuntimeError, match=message + START):
        resume(tmp_path, tmp_path / 'iter_5.pth')


def test_load_from_takes_what_fits(tmp_path, saved):
    _, steps = train(
        tmp_path, load_from=str(saved), head=dict(HEAD, omega=0.0), optim_wrapper=ADAM, **settings_for('iterations')
    )
    assert steps[0]['runner_iter'] == 0


def test_the_same_config(tmp_path, saved):
    _, steps = resume(tmp_path, saved)
    assert [step['runner_iter'] for step in steps] == list(range(5, 12))
