# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""One of two processes of test_gradients.py; no test by itself.

python -m tests.helpers.gradients_worker RANK WORLD_SIZE FOLDER
"""

import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, init_default_scope

from mmrmix.contrib.cli.launch import build_runner
from mmrmix.contrib.hooks.channels_last_hook import convert_weights
from tests.helpers.ddp_worker import join
from tests.helpers.resuming import HOOKS_FOR_RESUME
from tests.helpers.runner import config_of_a_run
from tests.helpers.utils import TINY_BACKBONE

CHANNELS_LAST = dict(type='mmrmix.ChannelsLastHook')
COMPILE = dict(type='mmrmix.CompileHook', backend='eager')
UNUSED = dict(find_unused_parameters=True)
FLEXIBLE = dict(runner_type='FlexibleRunner', strategy=dict(type='DDPStrategy'), env_cfg=dict(dist_cfg=dict()))
FLEXIBLE_UNUSED = dict(
    runner_type='FlexibleRunner',
    env_cfg=dict(dist_cfg=dict()),
    strategy=dict(
        type='DDPStrategy', model_wrapper=dict(type='MMDistributedDataParallel', find_unused_parameters=True)
    ),
)
# What touches the weights, or who computes with them, after the model was built.
OPTIONS = {
    'plain': dict(),
    'channels-last': dict(hooks=[CHANNELS_LAST]),
    'channels-last, compiled': dict(hooks=[CHANNELS_LAST, COMPILE]),
    'EMA, channels-last, SyncBN': dict(hooks=[dict(type='EMAHook'), CHANNELS_LAST], norm='SyncBN', sync_bn='torch'),
    'unused, channels-last': dict(hooks=[CHANNELS_LAST], **UNUSED),
    'unused, compiled, channels-last': dict(hooks=[COMPILE, CHANNELS_LAST], **UNUSED),
    'FlexibleRunner, channels-last': dict(hooks=[CHANNELS_LAST], **FLEXIBLE),
    'FlexibleRunner, unused, channels-last': dict(hooks=[CHANNELS_LAST], **FLEXIBLE_UNUSED),
}


@HOOKS.register_module()
class GradientWitness(Hook):
    """The gradients of this process alone, and those that the optimiser gets, in every step."""

    priority = 'VERY_LOW'

    def before_train(self, runner):
        self.own, self.reduced = [], []
        self.parameters = {
            name.replace('module.', ''): parameter for name, parameter in runner.model.named_parameters()
        }
        for name, parameter in self.parameters.items():
            parameter.register_hook(lambda gradient, name=name: self._keep(name, gradient))
        runner.optim_wrapper.optimizer.register_step_pre_hook(self._before_step)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.own.append({})

    def _keep(self, name, gradient):
        self.own[-1][name] = gradient.detach().clone(memory_format=torch.contiguous_format)

    def _before_step(self, *_):
        self.reduced.append({name: value.grad.detach().clone() for name, value in self.parameters.items()})

    def results(self):
        """The mean over processes is computed here, in the order of names, without DDP."""
        means = []
        for gradients in self.own:
            for name in sorted(gradients):
                dist.all_reduce(gradients[name])
            means.append({name: value / dist.get_world_size() for name, value in gradients.items()})
        return dict(means=means, reduced=self.reduced)


def run(folder, norm='BN', hooks=(), **settings):
    """Four iterations with a checkpoint after the second one; the gradients."""
    config = config_of_a_run(
        folder,
        reset=None,
        hooks=[*HOOKS_FOR_RESUME, *hooks, dict(type='GradientWitness')],
        train_cfg=dict(by_epoch=False, max_iters=4),
        default_hooks=dict(checkpoint=dict(type='mmrmix.SafeCheckpointHook', by_epoch=False, interval=2)),
        launcher='pytorch',
    )
    # Else most gradients of the first step are zero.
    config['model']['backbone'] = dict(TINY_BACKBONE, zero_init_residual=False, norm_cfg=dict(type=norm))
    config['train_dataloader']['sampler']['type'] = 'InfiniteSampler'
    runner = build_runner(Config({**config, **settings}))
    runner.train()
    return next(hook for hook in runner.hooks if isinstance(hook, GradientWitness)).results()


def calls_of_a_communication_hook():
    """How often DDP calls a hook that was registered before the weights were converted, in two steps."""
    model = torch.nn.Conv2d(2, 3, 3)
    ddp = torch.nn.parallel.DistributedDataParallel(model)
    buckets = []

    def communicate(_, bucket):
        buckets.append(bucket.index())
        return dist.all_reduce(bucket.buffer(), async_op=True).get_future().then(lambda future: future.value()[0])

    ddp.register_comm_hook(None, communicate)
    convert_weights(ddp)
    for _ in range(2):
        ddp(torch.ones(1, 2, 3, 3)).sum().backward()
    return buckets


def main(rank, world_size, folder):
    join(rank, world_size, folder)
    init_default_scope('mmpretrain')
    results = {}
    for name, settings in OPTIONS.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            fresh = run(folder / name, **settings)
            checkpoint = str(folder / name / 'iter_2.pth')
            resumed = run(folder / f'{name} resumed', load_from=checkpoint, resume=True, **settings)
        messages = [str(warning.message) for warning in caught]
        results[name] = dict(fresh=fresh, resumed=resumed, warnings=messages)
        torch._dynamo.reset()
    results['communication hook'] = calls_of_a_communication_hook()
    torch.save(results, folder / f'rank{rank}.pth')
    dist.destroy_process_group()


if __name__ == '__main__':
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
