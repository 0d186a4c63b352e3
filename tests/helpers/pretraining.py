# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Checkpoints that detectors and segmentors start from, of the right networks with random weights."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from tests.helpers.paths import CONFIGS

TRANSFER = sorted(
    path.relative_to(CONFIGS).as_posix()
    for pattern in ('detection/*/*.py', 'segmentation/*/*.py', 'demo/*_fashion-scenes.py')
    for path in CONFIGS.glob(pattern)
)


def pretraining_config(cfg):
    """The config of the run whose checkpoint a config names: the best where the run keeps it, else the last."""
    checkpoint = Path(cfg.model.backbone.init_cfg.checkpoint)
    (path,) = CONFIGS.rglob(f'{checkpoint.parent.name}.py')
    pretraining = Config.fromfile(path)
    keeps_best = pretraining.default_hooks.checkpoint.get('save_best')
    assert checkpoint.name == ('best_*.pth' if keeps_best else f'epoch_{pretraining.train_cfg.max_epochs}.pth')
    assert checkpoint.parent.parent == Path('work_dirs')
    return pretraining


def save_classifier(cfg, path):
    """Save the classifier of a config as mmengine does; no tensor is as any initialisation leaves it."""
    model = MODELS.build({**cfg.model, 'data_preprocessor': None})
    state_dict = model.state_dict()
    for value in state_dict.values():
        value.add_(1e-4 * torch.rand(value.shape) if value.is_floating_point() else 4711)
    torch.save(dict(meta=dict(epoch=300), state_dict=state_dict, hook_msgs=dict(rm_history=[])), path)
    return path
