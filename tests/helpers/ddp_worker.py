# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""One of two processes of test_distributed.py; no test by itself.

python -m tests.helpers.ddp_worker RANK WORLD_SIZE FOLDER
"""

import os
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from mmpretrain.registry import HOOKS

from mmrmix import link_history
from tests.helpers.resuming import ACCUMULATION, HOOKS_FOR_RESUME, settings_for, train_with_cuts
from tests.helpers.runner import build_runner
from tests.helpers.runner import train as train_with_runner
from tests.helpers.utils import build_classifier, make_batch, sgd

RM = dict(type='mmrmix.RecursiveMix')
CUTMIX = dict(type='CutMix', alpha=1.0)


def parameters(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def wrap(model):
    return MMDistributedDataParallel(model, device_ids=None, find_unused_parameters=False)


def train(rank, **model):
    """Two epochs of four batches, of which the last differs in size between the ranks."""
    torch.manual_seed(0)
    wrapped = wrap(build_classifier(**model))
    history = link_history(wrapped, seed=3)
    steps = []
    attach = history.attach

    def record(scores, inputs, boxes, area_ratios, *rest):
        steps[-1].update(rm=True, box=boxes[0].tolist(), ratio=area_ratios[0].item())
        attach(scores, inputs, boxes, area_ratios, *rest)

    history.attach = record
    torch.manual_seed(100 + rank)
    np.random.seed(rank)
    optim_wrapper = sgd(wrapped)
    for _ in range(2):
        history.clear()
        for num_samples in (4, 4, 4, 4 - 2 * rank):
            history.begin_step(len(steps))
            steps.append(dict(rm=False))
            log = wrapped.train_step(make_batch(num_samples, image_size=(32, 32)), optim_wrapper)
            steps[-1].update(loss=log['loss'].item(), size=len(history.batch.inputs) if history.batch else 0)
    return dict(steps=steps, parameters=parameters(wrapped.module))


def count_collectives(steps=3, **model):
    """Number of calls of each collective in some steps, DDP's own ones included."""
    torch.manual_seed(0)
    model = build_classifier(**model)
    if hasattr(model.head, 'fc_roi'):
        link_history(model)
    else:
        model.neck = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        model.neck.forward = lambda feats: (torch.nn.Sequential.forward(model.neck, feats[-1]),)
    wrapped = wrap(model)
    optim_wrapper = sgd(wrapped)
    # DDP arranges its buckets anew in the second step.
    for _ in range(2):
        wrapped.train_step(make_batch(), optim_wrapper)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(steps):
            wrapped.train_step(make_batch(), optim_wrapper)
    return Counter(event.name for event in profile.events() if event.name.startswith('c10d::'))


def runner(folder):
    runner, steps = train_with_runner(folder, epochs=2, reset=None, **LAUNCHED)
    return dict(
        wrapped=type(runner.model).__name__,
        iterations=[step['iteration'] for step in steps],
        seeds=[step['seed'] for step in steps],
        sizes=[len(step['after'].inputs) for step in steps],
        parameters=parameters(runner.model.module),
    )


LAUNCHED = dict(launcher='pytorch', model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None))


@HOOKS.register_module()
class CountCollectives(Hook):
    """Number of calls of each collective in the third and fourth step, with all that hooks do around them."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 1:
            self.profile.start()
        elif runner.iter == 3:
            self.profile.stop()

    @property
    def counts(self):
        return Counter(event.name for event in self.profile.events() if event.name.startswith('c10d::'))


def collectives_of_a_run(folder, **settings):
    """Of a run with hooks that saves after its fifth iteration, not before."""
    settings = {**settings_for('iterations'), **LAUNCHED, **settings}
    hooks = [*HOOKS_FOR_RESUME, dict(type='CountCollectives')]
    runner, _ = train_with_runner(folder, reset=None, hooks=hooks, **settings)
    return next(hook for hook in runner.hooks if isinstance(hook, CountCollectives)).counts


def collectives_of_a_plain_run(folder):
    """The same without anything of mmrmix."""
    config = {**settings_for('iterations'), **LAUNCHED}
    config.pop('epochs')
    config['default_hooks']['checkpoint']['type'] = 'CheckpointHook'
    runner = build_runner(
        folder,
        augments=CUTMIX,
        head=dict(type='LinearClsHead', num_classes=10, in_channels=8),
        custom_hooks=[dict(type='CountCollectives')],
        **config,
    )
    runner.model.module.neck = torch.nn.Sequential()
    runner.model.module.neck.forward = lambda feats: (feats[-1].mean((2, 3)),)
    runner.train()
    return next(hook for hook in runner.hooks if isinstance(hook, CountCollectives)).counts


@HOOKS.register_module(force=True)
class SaveAnywhere(Hook):
    """Saves where CheckpointHook does not, from the main process only, as some hooks do."""

    priority = 'VERY_LOW'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2 and is_main_process():
            runner.save_checkpoint(runner.work_dir, 'anywhere.pth', meta=dict(epoch=0, iter=2))


def resumed(folder):
    """Unbroken and broken runs, which have to end alike. A rank has batches of 4 and 3 images, 2 in an epoch."""
    settings = dict(
        epochs=dict(
            cuts=(1, 3, -4),
            augments=[RM, CUTMIX],
            probs=[0.5, 0.4],
            optim_wrapper=ACCUMULATION,
            hooks=[*HOOKS_FOR_RESUME, dict(type='EMAHook')],
        ),
        iterations=dict(cuts=(2, 6, -8, 11), hooks=[*HOOKS_FOR_RESUME, dict(type='SaveAnywhere')]),
    )
    # As the demo and the mini configs train.
    channels_last = [*HOOKS_FOR_RESUME, dict(type='mmrmix.ChannelsLastHook')]
    settings.update(
        {
            'epochs, channels-last': dict(cuts=(1, 3, 5), hooks=channels_last),
            'iterations, channels-last': dict(cuts=(2, 6, 9), hooks=channels_last, optim_wrapper=ACCUMULATION),
        }
    )
    results = {}
    for name, extra in settings.items():
        loop = 'epochs' if name.startswith('epochs') else 'iterations'
        cuts = extra.pop('cuts')
        config = {**settings_for(loop, interval=2 if loop == 'iterations' else 1), **LAUNCHED, **extra, 'reset': None}
        config['default_hooks']['checkpoint'].update(save_best='auto')
        results[name] = [
            train_with_cuts(folder / f'{name}_{what}', at, **config)
            for what, at in (('unbroken', ()), ('broken', cuts))
        ]
    return results


def join(rank, world_size, folder):
    """Become one of the processes, which meet in a file."""
    os.environ.setdefault('LOCAL_RANK', str(rank))
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/store',
        rank=rank,
        world_size=world_size,
        timeout=timedelta(seconds=30),
    )


def main(rank, world_size, folder):
    join(rank, world_size, folder)
    init_default_scope('mmpretrain')
    plain = dict(type='LinearClsHead', augments=CUTMIX)
    torch.save(
        dict(
            rm=train(rank),
            again=train(rank),
            beside_cutmix=train(rank, augments=[RM, CUTMIX], probs=[0.5, 0.4]),
            collectives=count_collectives(),
            plain_collectives=count_collectives(**plain),
            runner=runner(folder / 'runner'),
            run_collectives=collectives_of_a_run(folder / 'run'),
            plain_run_collectives=collectives_of_a_plain_run(folder / 'plain_run'),
            resumed=resumed(folder),
        ),
        folder / f'rank{rank}.pth',
    )
    dist.destroy_process_group()


if __name__ == '__main__':
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
