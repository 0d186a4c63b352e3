# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The whole training loop: mmengine's Runner against bare PyTorch."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Callable, Dict, List, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, HOOKS, MODELS

from mmrmix.contrib import ChannelsLastHook, WholeBatches
from mmrmix.contrib.batch_data_preprocessor import random_crop_flip

from .timing import Settings, Table, in_turns

DEMO = Path(__file__).parents[2] / 'configs/demo'


@DATASETS.register_module()
class Noise(WholeBatches):
    """Random images in memory."""

    def __init__(self, shape: Tuple[int, ...], **kwargs) -> None:
        self.shape = shape
        super().__init__(**kwargs)

    def load_data_list(self) -> List[dict]:
        generator = np.random.default_rng(0)
        images = generator.integers(0, 255, self.shape, dtype=np.uint8)
        return [dict(img=image, gt_label=int(generator.integers(10))) for image in images]


@HOOKS.register_module()
class EpochTimer(Hook):
    """Seconds from an epoch's first to its last iteration, before checkpoints are saved."""

    priority = 'HIGHEST'
    seconds = 0.0

    def before_train_epoch(self, runner: Runner) -> None:
        EpochTimer.seconds = -time.perf_counter()

    def after_train_epoch(self, runner: Runner) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        EpochTimer.seconds += time.perf_counter()


def config(method: str, shape: Tuple[int, ...], batch_size: int, work_dir: str) -> Config:
    """The demo's config on noise of another shape, for one epoch."""
    cfg = Config.fromfile(DEMO / f'resnet10_1xb64{"" if method == "RecursiveMix" else "-baseline"}_fashion-mnist.py')
    num_channels = shape[-1]
    cfg.work_dir = work_dir
    cfg.model.backbone.in_channels = num_channels
    cfg.data_preprocessor.update(mean=[72.94] * num_channels, std=[90.02] * num_channels)
    cfg.train_dataloader.update(batch_size=batch_size, pin_memory=torch.cuda.is_available())
    cfg.train_dataloader.dataset = dict(type='Noise', shape=shape, pipeline=[dict(type='PackInputs')])
    cfg.train_cfg.max_epochs = 1
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='EpochTimer')]
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator', 'test_dataloader', 'test_cfg', 'test_evaluator'):
        cfg[key] = None
    cfg.default_hooks.checkpoint.pop('save_best', None)
    # Log to files only, a separate one for each run.
    cfg.log_level = 'ERROR'
    cfg.experiment_name = f'loop_{time.perf_counter_ns()}'
    cfg.visualizer = dict(type='Visualizer', name=cfg.experiment_name, vis_backends=[dict(type='LocalVisBackend')])
    return cfg


def per_image(cfg: Config) -> Config:
    """As in mmpretrain: a pipeline per image, a list of samples per batch."""
    size, padding = cfg.train_dataloader.dataset.shape[1], cfg.data_preprocessor.crop_padding
    cfg.train_dataloader.dataset.pipeline = [
        dict(type='RandomCrop', crop_size=size, padding=padding),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='PackInputs'),
    ]
    cfg.train_dataloader.collate_fn = dict(type='default_collate')
    cfg.data_preprocessor.update(type='ClsDataPreprocessor')
    for key in ('crop_padding', 'flip_prob'):
        cfg.data_preprocessor.pop(key)
    return cfg


def run(cfg: Config) -> float:
    """Images per second of an epoch through the Runner."""
    runner = Runner.from_cfg(cfg)
    runner.train()
    return len(runner.train_dataloader.dataset) / EpochTimer.seconds


def steps_only(cfg: Config) -> float:
    """The same loader and ``model.train_step``, without Runner, hooks and logs."""
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor}).to(device).train()
    ChannelsLastHook().before_train(SimpleNamespace(model=model))
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    begin = time.perf_counter()
    for batch in loader:
        model.train_step(batch, optim_wrapper)
    if device.type == 'cuda':
        torch.cuda.synchronize()
    return len(loader.dataset) / (time.perf_counter() - begin)


def bare(cfg: Config) -> float:
    """Plain PyTorch: the same network, images, augmentation, memory format and optimiser."""
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    images, labels = (tensor.to(device) for tensor in dataset._tensors)
    settings, batch_size = cfg.data_preprocessor, cfg.train_dataloader.batch_size
    mean, std = (torch.tensor(settings[key], device=device).view(-1, 1, 1) for key in ('mean', 'std'))
    model = MODELS.build({**cfg.model, 'data_preprocessor': None}).to(device).train()
    model.to(memory_format=torch.channels_last)
    sgd = dict(cfg.optim_wrapper.optimizer)
    sgd.pop('type')
    optimizer = torch.optim.SGD(model.parameters(), **sgd)
    begin = time.perf_counter()
    for indices in torch.randperm(len(images), device=device).split(batch_size):
        batch = images[indices].contiguous(memory_format=torch.channels_last)
        batch = random_crop_flip(batch, settings.crop_padding, settings.flip_prob)
        loss = F.cross_entropy(model((batch.float() - mean) / std), labels[indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if device.type == 'cuda':
        torch.cuda.synchronize()
    return len(images) / (time.perf_counter() - begin)


def loops(settings: Settings) -> List[Table]:
    """Loading, preprocessing, steps and logs, the demo's ResNet-10 on noise in memory."""
    shapes = {'CIFAR-shaped': (6400, 32, 32, 3), 'Fashion-MNIST-shaped': (12800, 28, 28)}
    if settings.is_quick:
        shapes = {'CIFAR-shaped': (64, 32, 32, 3)}
    tables = []
    for name, shape in shapes.items():
        batch_size = 16 if settings.is_quick else 128 if 'CIFAR' in name else 64
        shape = shape if len(shape) == 4 else (*shape, 1)
        with TemporaryDirectory() as work_dir:
            new = lambda method, shape=shape, size=batch_size, out=work_dir: config(method, shape, size, out)  # noqa: E731
            contenders: Dict[str, Callable[[], float]] = {
                'bare PyTorch': lambda new=new: bare(new('baseline')),
                'loader and train_step, without Runner': lambda new=new: steps_only(new('baseline')),
                'Runner': lambda new=new: run(new('baseline')),
                'Runner, RecursiveMix': lambda new=new: run(new('RecursiveMix')),
                "Runner, mmpretrain's pipeline": lambda new=new: run(per_image(new('baseline'))),
            }
            title = f'Training loop, {name}, batches of {batch_size}'
            rates = in_turns(title, contenders, turns=1 if settings.is_quick else min(settings.turns, 3))
        cost = [
            1e3 * batch_size * (1 / ours - 1 / plain)
            for ours, plain in zip(rates['Runner'], rates['loader and train_step, without Runner'])
        ]
        tables.append(
            Table(
                title,
                'images/s',
                'bare PyTorch',
                rates,
                limits={'Runner': 0.85 if settings.device.type == 'cuda' else 0.95},
                more_is_better=True,
                note=f"mmengine's Runner with its hooks and logs costs {np.median(cost):.2f} ms a step (median of "
                f'{", ".join(f"{value:.2f}" for value in cost)}).',
            )
        )
    return tables
