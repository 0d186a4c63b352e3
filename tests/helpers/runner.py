# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Tiny runs of mmengine's Runner with RecursiveMix, and a record of their steps."""

import uuid

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, HOOKS, OPTIM_WRAPPERS
from mmpretrain.structures import DataSample

from tests.helpers.utils import TINY_BACKBONE

RM = dict(type='mmrmix.RecursiveMix', alpha=0.5)
CUTMIX = dict(type='CutMix', alpha=1.0)


@DATASETS.register_module(force=True)
class RMToyDataset(torch.utils.data.Dataset):
    """Noise: 10 images make 2 batches of 4 and one of 2."""

    def __init__(self, num_samples=10, num_classes=10):
        self.num_samples = num_samples
        self.metainfo = dict(classes=[str(i) for i in range(num_classes)])

    def __len__(self):
        return self.num_samples

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(256, (3, 16, 16), generator=generator, dtype=torch.uint8)
        return dict(inputs=image, data_samples=DataSample().set_gt_label(index % 10))


@HOOKS.register_module(force=True)
class Recorder(Hook):
    """What the history holds around every step."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.steps = []

    @staticmethod
    def history(runner):
        return getattr(runner.model, 'module', runner.model).head.history

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        history = self.history(runner)
        self.steps.append(
            dict(
                runner_iter=runner.iter,
                epoch=runner.epoch,
                iteration=history.iteration,
                seed=history.seed,
                history=history,
                before=history.batch,
            )
        )

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.steps[-1].update(after=self.history(runner).batch, **outputs)


@OPTIM_WRAPPERS.register_module(force=True)
class BFloat16OptimWrapper(OptimWrapper):
    """AmpOptimWrapper without its assertion that there is a GPU."""

    def optim_context(self, model):
        return torch.autocast('cpu', dtype=torch.bfloat16)


def config_of_a_run(
    tmp_path,
    augments=RM,
    probs=None,
    epochs=2,
    reset='epoch',
    save='auto',
    head=None,
    hooks=(),
    num_classes=10,
    **settings,
):
    """Config of a tiny RM classifier on CPU; ``settings`` are further keys of it."""
    loader = dict(batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True))
    config = dict(
        model=dict(
            type='ImageClassifier',
            backbone=TINY_BACKBONE,
            head=head or dict(type='mmrmix.RMHead', num_classes=10, in_channels=8),
            train_cfg=dict(augments=augments, probs=probs),
            data_preprocessor=dict(num_classes=num_classes, to_onehot=True, mean=[128] * 3, std=[64] * 3),
        ),
        train_dataloader=dict(**loader, dataset=dict(type='RMToyDataset')),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05)),
        custom_hooks=[dict(type='mmrmix.RMHistoryHook', reset=reset, save=save), *hooks, dict(type='Recorder')],
        default_scope='mmpretrain',
        default_hooks=dict(checkpoint=None),
        randomness=dict(seed=11),
        work_dir=str(tmp_path),
        experiment_name=uuid.uuid4().hex,
    )
    return {**config, **settings}


def build_runner(*args, **kwargs):
    return Runner.from_cfg(config_of_a_run(*args, **kwargs))


def train(*args, **kwargs):
    """Returns the runner and what was recorded."""
    runner = build_runner(*args, **kwargs)
    runner.train()
    steps = next(hook for hook in runner.hooks if isinstance(hook, Recorder)).steps
    assert all(torch.isfinite(step['loss']) for step in steps)
    return runner, steps


VALIDATION = dict(
    val_dataloader=dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(type='RMToyDataset', num_samples=6),
    ),
    val_cfg=dict(),
    val_evaluator=dict(type='Accuracy'),
)
