# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""A run that was interrupted and resumed ends with the bits of an unbroken one."""

import random
from contextlib import suppress

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmpretrain.registry import DATASETS, HOOKS

from .test_rm_history_hook import CUTMIX, RM, Recorder, RMToyDataset, build_runner

SEED_HOOK = dict(type='mmrmix.EpochSeedHook')


class PowerCutError(RuntimeError):
    """What CutPower raises."""


@HOOKS.register_module(force=True)
class CutPower(Hook):
    """Ends the process, so to speak, in the middle of an epoch."""

    def __init__(self, at):
        self.at = at

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == self.at:
            raise PowerCutError


@DATASETS.register_module(force=True)
class NoisyToyDataset(RMToyDataset):
    """Images that change with all three generators of random numbers."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        noise = random.random() + np.random.rand() + torch.rand(()).item()
        sample['inputs'] = sample['inputs'].float() + 20 * noise
        return sample


def run(tmp_path, cuts=(), hooks=(SEED_HOOK,), num_workers=0, **settings):
    """Train three epochs of four iterations; returns everything that the end depends on."""
    loader = dict(batch_size=4, num_workers=num_workers, sampler=dict(type='DefaultSampler', shuffle=True))
    settings = dict(
        epochs=3,
        train_dataloader=dict(**loader, dataset=dict(type='NoisyToyDataset', num_samples=14)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        **settings,
    )
    losses = {}
    for cut in [*cuts, None]:
        extra = [] if cut is None else [dict(type='CutPower', at=cut)]
        runner = build_runner(tmp_path, hooks=[*hooks, *extra], resume=cut != next(iter(cuts), None), **settings)
        with suppress(PowerCutError):
            runner.train()
        steps = next(hook for hook in runner.hooks if isinstance(hook, Recorder)).steps
        losses.update({step['runner_iter']: step['loss'].item() for step in steps if 'loss' in step})
    model = {name: value.clone() for name, value in runner.model.state_dict().items()}
    ema = [hook.ema_model.state_dict() for hook in runner.hooks if hasattr(hook, 'ema_model')]
    return losses, model, runner.optim_wrapper.state_dict(), ema


def assert_same_bits(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    'settings',
    [
        dict(),
        dict(num_workers=2),
        dict(augments=[RM, CUTMIX], probs=[0.5, 0.4]),
        dict(hooks=[SEED_HOOK, dict(type='EMAHook')]),
        dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9), accumulative_counts=2)),
    ],
    ids=['plain', 'workers', 'beside CutMix', 'EMA', 'accumulation'],
)
def test_resume_is_exact(tmp_path, settings):
    expected = run(tmp_path / 'unbroken', **settings)
    # In the first epoch (nothing saved yet), twice in the second, in the last.
    actual = run(tmp_path / 'broken', cuts=(1, 5, 7, 10), **settings)
    assert sorted(expected[0]) == list(range(12))
    for part, expected_part in zip(actual, expected):
        assert_same_bits(part, expected_part)


def test_resume_is_not_exact_without_it(tmp_path):
    expected = run(tmp_path / 'unbroken', hooks=())
    losses, *_ = run(tmp_path / 'broken', cuts=(5,), hooks=())
    assert [losses[i] == expected[0][i] for i in range(4)] == [True] * 4
    assert losses[11] != expected[0][11]


@pytest.mark.parametrize('changed', ['seed', 'rank', 'epoch'])
def test_seeds_depend_on(changed, monkeypatch):
    class FakeRunner:
        seed, epoch = 3, 5

    def draws(**changes):
        runner = FakeRunner()
        vars(runner).update({key: value for key, value in changes.items() if key != 'rank'})
        monkeypatch.setattr('mmrmix.engine.hooks.epoch_seed_hook.get_rank', lambda: changes.get('rank', 1))
        HOOKS.build(SEED_HOOK).before_train_epoch(runner)
        return random.random(), np.random.rand(), torch.rand(()).item()

    first, again, other = draws(), draws(), draws(**{changed: 0})
    assert first == again
    assert not set(first) & set(other)
