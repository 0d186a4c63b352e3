# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""A run that was interrupted and resumed ends with the bits of an unbroken one."""

import gc
import json
import random
from contextlib import suppress

import numpy as np
import pytest
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmpretrain.registry import DATASETS, HOOKS

from mmrmix.contrib.checkpoints.files import are_equal

from .test_rm_history_hook import CUTMIX, RM, VALIDATION, Recorder, RMToyDataset, build_runner

HOOKS_FOR_RESUME = (dict(type='mmrmix.ReseedHook'),)


class PowerCutError(RuntimeError):
    """What CutPower raises."""


@HOOKS.register_module(force=True)
class CutPower(Hook):
    """Ends the process, so to speak, after an iteration, or (negative) before the validation that follows it."""

    def __init__(self, at):
        self.at = at

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == self.at:
            raise PowerCutError

    def before_val(self, runner):
        if runner.iter == -self.at:
            raise PowerCutError


@DATASETS.register_module(force=True)
class NoisyToyDataset(RMToyDataset):
    """Images that change with all three generators of random numbers."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        noise = random.random() + np.random.rand() + torch.rand(()).item()
        sample['inputs'] = sample['inputs'].float() + 20 * noise
        return sample


def settings_for(loop, num_workers=0, interval=None, sampler=None, **loader):
    """Three epochs of four iterations, or twelve iterations with a checkpoint after every fifth."""
    is_epochs = loop == 'epochs'
    sampler = sampler or ('DefaultSampler' if is_epochs else 'InfiniteSampler')
    return dict(
        epochs=3,
        **({} if is_epochs else dict(train_cfg=dict(by_epoch=False, max_iters=12, val_interval=4))),
        train_dataloader=dict(
            batch_size=4,
            num_workers=num_workers,
            sampler=dict(type=sampler, shuffle=True),
            dataset=dict(type='NoisyToyDataset', num_samples=14),
            **loader,
        ),
        default_hooks=dict(
            checkpoint=dict(
                type='mmrmix.SafeCheckpointHook', by_epoch=is_epochs, interval=interval or (1 if is_epochs else 5)
            ),
            logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=is_epochs),
        ),
        log_processor=dict(by_epoch=is_epochs, window_size=6),
        **VALIDATION,
    )


def train_with_cuts(tmp_path, cuts=(), hooks=HOOKS_FOR_RESUME, **settings):
    """Train, losing power at these iterations; returns everything that the end depends on."""
    losses, seeds = {}, set()
    for cut in [*cuts, None]:
        extra = [] if cut is None else [dict(type='CutPower', at=cut)]
        runner = build_runner(tmp_path, hooks=[*hooks, *extra], resume=cut != next(iter(cuts), None), **settings)
        with suppress(PowerCutError):
            runner.train()
        seeds.add(runner.seed)
        steps = next(hook for hook in runner.hooks if isinstance(hook, Recorder)).steps
        losses.update({step['runner_iter']: step['loss'].item() for step in steps if 'loss' in step})
        # Else workers live on, and are waited for in the middle of another run.
        runner._train_loop = None
        gc.collect()
    model = getattr(runner.model, 'module', runner.model)
    triple = model.head.history and model.head.history.triple
    return dict(
        losses=losses,
        seeds=sorted(seeds),
        # BatchNorm's statistics included.
        weights={name: value.clone() for name, value in model.state_dict().items()},
        optimizer=runner.optim_wrapper.state_dict(),
        ema=[hook.ema_model.state_dict() for hook in runner.hooks if hasattr(hook, 'ema_model')],
        triple=triple and triple._asdict(),
        logs=read_logs(tmp_path) if get_rank() == 0 else {},
    )


def read_logs(tmp_path):
    """What was written for plots: every value of every step but times."""
    logs = {}
    for path in sorted(tmp_path.glob('*/vis_data/scalars.json'), key=lambda path: path.stat().st_mtime_ns):
        for line in path.read_text().splitlines():
            values = json.loads(line)
            kept = {key: value for key, value in values.items() if key not in ('time', 'data_time', 'memory')}
            logs.update({(values['step'], key): value for key, value in kept.items()})
    return logs


def assert_same_bits(actual, expected):
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], rtol=0, atol=0, msg=lambda m, n=name: f'{n}: {m}')


# The first cut comes before anything is saved; twice in the same part; at the end.
CUTS = dict(epochs=(1, 5, 7, 10), iterations=(2, 6, 8, 11))

ACCUMULATION = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9), accumulative_counts=3)


@pytest.mark.parametrize('reset', ['epoch', None])
@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
@pytest.mark.parametrize('num_workers', [0, 2])
def test_resume_is_exact(tmp_path, loop, reset, num_workers):
    settings = dict(reset=reset, **settings_for(loop, num_workers))
    expected = train_with_cuts(tmp_path / 'unbroken', **settings)
    actual = train_with_cuts(tmp_path / 'broken', CUTS[loop], **settings)
    assert sorted(expected['losses']) == list(range(12))
    assert {key for _, key in expected['logs']} >= {'loss', 'loss_consistency', 'lr', 'accuracy/top1'}
    assert_same_bits(actual, expected)


@DATASETS.register_module(force=True)
class GrowingToyDataset(NoisyToyDataset):
    """Images with a border that the hook below sets, as SwitchRecipeHook sets pipelines."""

    padding = 0

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        sample['inputs'] = torch.nn.functional.pad(sample['inputs'], (self.padding,) * 4)
        return sample


@HOOKS.register_module(force=True)
class Grow(Hook):
    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner):
        runner.train_dataloader.dataset.padding = 4 * runner.epoch


def test_resume_at_a_switch_of_resolution(tmp_path):
    """The first batch after the switch gets the history of the old size, in an unbroken run as in a resumed one."""
    settings = dict(reset=None, **settings_for('epochs'))
    settings['train_dataloader']['dataset']['type'] = 'GrowingToyDataset'
    hooks = [*HOOKS_FOR_RESUME, dict(type='Grow')]
    expected = train_with_cuts(tmp_path / 'unbroken', hooks=hooks, **settings)
    actual = train_with_cuts(tmp_path / 'broken', CUTS['epochs'][1:3], hooks=hooks, **settings)
    assert expected['triple']['inputs'].shape[-2:] == (32, 32)
    assert_same_bits(actual, expected)


@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
@pytest.mark.parametrize('missing', ['history', 'seeds'])
def test_resume_is_not_exact_without(tmp_path, loop, missing):
    """Which shows that the tests above would notice."""
    settings = dict(reset=None, **settings_for(loop))
    settings.update(dict(save='none') if missing == 'history' else dict(hooks=()))
    expected = train_with_cuts(tmp_path / 'unbroken', **settings)
    actual = train_with_cuts(tmp_path / 'broken', CUTS[loop][1:2], **settings)
    resumed_at = 4 if loop == 'epochs' else 5
    is_same = [actual['losses'][i] == expected['losses'][i] for i in range(12)]
    assert is_same[:resumed_at] == [True] * resumed_at
    assert not any(is_same[resumed_at:])


@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
@pytest.mark.parametrize(
    'extra',
    [
        dict(augments=[RM, CUTMIX], probs=[0.5, 0.4]),
        dict(hooks=[*HOOKS_FOR_RESUME, dict(type='EMAHook')]),
        dict(optim_wrapper=ACCUMULATION),
        dict(randomness=dict(seed=None)),
        dict(randomness=dict(seed=5, diff_rank_seed=True)),
    ],
    ids=['beside CutMix', 'EMA', 'accumulation', 'no seed', 'diff_rank_seed'],
)
def test_resume_is_exact_with(tmp_path, loop, extra):
    settings = dict(reset=None, **settings_for(loop), **extra)
    # Before anything is saved, a run without a seed starts with another one.
    cuts = CUTS[loop][1:] if extra.get('randomness') == dict(seed=None) else CUTS[loop]
    actual = train_with_cuts(tmp_path / 'broken', cuts, **settings)
    if extra.get('randomness') == dict(seed=None):
        (seed,) = actual['seeds']
        settings['randomness'] = dict(seed=seed)
    expected = train_with_cuts(tmp_path / 'unbroken', **settings)
    assert_same_bits(actual, expected)


@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
def test_number_of_workers_does_not_matter(tmp_path, loop):
    runs = dict(none={}, two=dict(num_workers=2), three=dict(num_workers=3))
    if loop == 'epochs':
        runs['persistent'] = dict(num_workers=3, persistent_workers=True)
    results = {name: train_with_cuts(tmp_path / name, **settings_for(loop, **run)) for name, run in runs.items()}
    expected = results.pop('none')
    for result in results.values():
        if loop == 'epochs' or hasattr(InfiniteSampler, 'skip'):
            assert_same_bits(result, expected)
        else:
            # Upstream's IterBasedTrainLoop starts workers before any hook can seed them.
            assert result['losses'] != expected['losses']


def test_resume_is_exact_with_persistent_workers(tmp_path):
    settings = settings_for('epochs', num_workers=2, persistent_workers=True)
    expected = train_with_cuts(tmp_path / 'unbroken', **settings)
    assert_same_bits(train_with_cuts(tmp_path / 'broken', CUTS['epochs'], **settings), expected)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_resume_is_exact_where_iterations_go_through_a_finite_sampler(tmp_path, monkeypatch, num_workers):
    """Mmengine starts its loader again at the end of the data; workers load all batches since then again."""
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)
    settings = settings_for('iterations', num_workers, sampler='DefaultSampler')
    expected = train_with_cuts(tmp_path / 'unbroken', **settings)
    assert_same_bits(train_with_cuts(tmp_path / 'broken', CUTS['iterations'], **settings), expected)


@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
def test_validation_that_was_prevented_comes_first(tmp_path, loop):
    """Power is lost after the save and before the validation: twice in the middle, and at the very end."""
    settings = dict(reset=None, optim_wrapper=ACCUMULATION, **settings_for(loop, interval=1 if loop == 'epochs' else 4))
    settings['default_hooks']['checkpoint'].update(save_best='auto')
    expected = train_with_cuts(tmp_path / 'unbroken', **settings)
    actual = train_with_cuts(tmp_path / 'broken', (-4, 6, -8, -12), **settings)
    assert_same_bits(actual, expected)
    steps = (1, 2, 3) if loop == 'epochs' else (4, 8, 12)
    assert [(step, 'accuracy/top1') in actual['logs'] for step in steps] == [True] * 3
    names = [sorted(path.name for path in (tmp_path / run).glob('*.pth')) for run in ('unbroken', 'broken')]
    assert names[0] == names[1]
    for name in names[0]:
        assert are_equal(tmp_path / 'broken' / name, tmp_path / 'unbroken' / name)
    # Not after the cut in iteration 6: the result for the checkpoint before is there by then.
    assert (
        sum(path.read_text().count('was saved before its validation') for path in (tmp_path / 'broken').glob('*/*.log'))
        == 3
    )


def test_cut_in_the_middle_of_an_epoch_repeats_it(tmp_path):
    """What mmengine does with a checkpoint inside an epoch: its batches come again, under new numbers."""
    settings = settings_for('epochs')
    settings['default_hooks']['checkpoint'].update(by_epoch=False, interval=6)
    result = train_with_cuts(tmp_path, (6,), **settings)
    # Six iterations were saved; the second of three epochs then starts anew.
    assert sorted(result['losses']) == list(range(6 + 8))
