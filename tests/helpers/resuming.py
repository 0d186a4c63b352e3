# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Runs that lose power, are resumed, and are compared with unbroken ones."""

import gc
import json
import random
from contextlib import suppress

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmpretrain.registry import DATASETS, HOOKS

from tests.helpers.runner import VALIDATION, Recorder, RMToyDataset, build_runner

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
    triple = model.head.history and model.head.history.batch
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


ACCUMULATION = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9), accumulative_counts=3)
