# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""One of two processes of test_statistics.py; no test by itself.

python -m tests.helpers.statistics_worker RANK WORLD_SIZE FOLDER
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from tests.helpers.ddp_worker import LAUNCHED, join
from tests.helpers.runner import VALIDATION, train


@HOOKS.register_module()
class StatisticsWitness(Hook):
    """BatchNorm's statistics that this process evaluates with."""

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.statistics = {
            name: value.clone() for name, value in runner.model.module.named_buffers() if 'running' in name
        }


def statistics_of_a_run(folder, checkpoint):
    # What mmengine sets where a config has no model_wrapper_cfg.
    wrapper = dict(LAUNCHED['model_wrapper_cfg'], broadcast_buffers=False)
    settings = {**VALIDATION, **LAUNCHED, 'model_wrapper_cfg': wrapper}
    hooks = dict(checkpoint=dict(type=checkpoint, interval=1))
    runner, _ = train(folder, epochs=1, hooks=[dict(type='StatisticsWitness')], default_hooks=hooks, **settings)
    return next(hook for hook in runner.hooks if isinstance(hook, StatisticsWitness)).statistics


def main(rank, world_size, folder):
    join(rank, world_size, folder)
    hooks = dict(ours='mmrmix.SafeCheckpointHook', mmengines='CheckpointHook')
    found = {name: statistics_of_a_run(folder / name, hook) for name, hook in hooks.items()}
    torch.save(found, folder / f'statistics{rank}.pth')
    dist.destroy_process_group()


if __name__ == '__main__':
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
