# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Whole training steps of the paper's configs: time, memory, and Table 10."""

import itertools
import json
import statistics
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Callable, Dict, List, NamedTuple, Tuple

import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import MODELS
from reproduction.experiments import METHODS
from torch import nn
from torch.profiler import ProfilerActivity, profile

from mmrmix import link_history
from mmrmix.contrib import BatchDataPreprocessor, ChannelsLastHook, LabelBatch
from mmrmix.models.heads.deployed import without_fc_roi

from .timing import Settings, Table, times

CONFIGS = Path(__file__).parents[2] / 'configs'
CONTENDERS = {'baseline': METHODS['baseline'], 'CutMix': METHODS['CutMix'], 'RecursiveMix': METHODS['RM']}


class Workload(NamedTuple):
    """A network of the paper, its configs by method, and the size of a batch in images and pixels."""

    name: str
    config: str
    batch_size: int
    image_size: int


RESNET50 = Workload('ResNet-50', '{}/resnet50_8xb64{}_imagenet.py', 64, 224)
RESNET18 = Workload('ResNet-18 (CIFAR)', '{}/resnet18_2xb64{}_cifar100.py', 64, 32)
PVT = Workload('PVTv2-B1', '{}/pvtv2-b1_8xb64{}_imagenet.py', 64, 224)
QUICK = RESNET18._replace(batch_size=4)


class Mode(NamedTuple):
    """How a step is computed."""

    name: str
    is_half: bool = False
    is_channels_last: bool = False
    is_compiled: bool = False


FLOAT32 = Mode('float32')
HALF = Mode('mixed precision', is_half=True)
CHANNELS_LAST = Mode('channels-last', is_channels_last=True)
COMPILED = Mode('compiled', is_compiled=True)


def build(workload: Workload, method: str, mode: Mode, settings: Settings) -> Tuple[nn.Module, Callable[[], None]]:
    """A model, and a function that trains it for one step on a batch of noise."""
    cfg = Config.fromfile(CONFIGS / workload.config.format(*CONTENDERS[method]))
    if cfg.get('data_preprocessor'):
        cfg.model.data_preprocessor = cfg.data_preprocessor
    if settings.is_quick and 'CIFAR' in workload.name:
        cfg.model.backbone.update(base_channels=8, stem_channels=8)
        cfg.model.head.in_channels = 64
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).to(settings.device).train()
    model.init_weights()
    if any(hook.type == 'mmrmix.RMHistoryHook' for hook in cfg.get('custom_hooks', [])):
        link_history(model)
    is_on_gpu = settings.device.type == 'cuda'
    if mode.is_half and is_on_gpu:
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    if mode.is_channels_last:
        ChannelsLastHook().before_train(SimpleNamespace(model=model))
    if mode.is_compiled:
        model.forward = torch.compile(model.forward)

    shape = (workload.batch_size, 3, workload.image_size, workload.image_size)
    images = torch.randint(255, shape, dtype=torch.uint8)
    labels = torch.randint(cfg.model.head.num_classes, shape[:1])
    if is_on_gpu:
        images, labels = images.pin_memory(), labels.pin_memory()
    # mmengine's AMP needs a GPU; CPUs use bfloat16.
    precision = torch.autocast('cpu', torch.bfloat16) if mode.is_half and not is_on_gpu else nullcontext()

    is_ours = isinstance(model.data_preprocessor, BatchDataPreprocessor)

    def step() -> None:
        samples = LabelBatch(labels)
        with precision:
            model.train_step(dict(inputs=images, data_samples=samples if is_ours else [*samples]), optim_wrapper)

    return model, step


def step_title(workload: Workload, mode: Mode) -> str:
    """Title of the table of a training step."""
    return f'Training step, {workload.name}, {workload.batch_size}×3×{workload.image_size}², {mode.name}'


def steps(settings: Settings) -> List[Table]:
    """A training step: preprocessing, mixing, forward, backward, optimiser."""
    if settings.is_quick:
        runs = [(QUICK, mode) for mode in (FLOAT32, HALF, CHANNELS_LAST)]
    elif settings.device.type == 'cuda':
        modes = [FLOAT32, HALF, HALF._replace(name='mixed precision, channels-last', is_channels_last=True), COMPILED]
        modes.append(Mode('all three', is_half=True, is_channels_last=True, is_compiled=True))
        runs = [(workload, mode) for workload in (RESNET50, RESNET18._replace(batch_size=128), PVT) for mode in modes]
    else:
        runs = [(RESNET50, FLOAT32), *((RESNET18, mode) for mode in (FLOAT32, HALF, CHANNELS_LAST, COMPILED))]
        runs.append((PVT._replace(batch_size=8), FLOAT32))
        runs += [(RESNET50._replace(batch_size=8), mode) for mode in (HALF, CHANNELS_LAST)]
    tables = []
    for workload, mode in runs:
        is_slow = workload is RESNET50 and settings.device.type == 'cpu'  # 20 s a step on 2 cores.
        methods = ['baseline', 'RecursiveMix'] if is_slow else [*CONTENDERS]
        contenders = {name: build(workload, name, mode, settings)[1] for name in methods}
        title = step_title(workload, mode)
        is_on_gpu = settings.device.type == 'cuda'
        values = times(title, contenders, settings, number=10 if is_on_gpu else 1, turns=4 if is_slow else 0)
        limit = 1.005 if is_on_gpu else 1.02
        limits = {'RecursiveMix': limit} if workload is RESNET50 and mode is FLOAT32 else {}
        tables.append(Table(title, 'ms', 'baseline', values, limits))
    return tables


def peak_bytes(step: Callable[[], None], device: torch.device, number: int) -> int:
    """Peak of the bytes that tensors occupy during the first steps, without the model itself."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        for _ in range(number):
            step()
        return torch.cuda.max_memory_allocated(device) - before
    # The trace has an event for every allocation by torch's CPU allocator.
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        for _ in range(number):
            step()
    with TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        profiler.export_chrome_trace(str(path))
        events = [event for event in json.loads(path.read_text())['traceEvents'] if event.get('name') == '[memory]']
    events.sort(key=lambda event: event['ts'])
    return max(itertools.accumulate(event['args']['Bytes'] for event in events))


def memory(settings: Settings) -> List[Table]:
    """Most memory that tensors take in a step, weights not counted."""
    tables = []
    for workload in [QUICK] if settings.is_quick else [RESNET50, RESNET18]:
        values: Dict[str, List[float]] = {}
        for method in CONTENDERS:
            model, step = build(workload, method, FLOAT32, settings)
            values[method] = [peak_bytes(step, settings.device, number=2) / 2**20]
        batch = workload.batch_size * 3 * workload.image_size**2 * 4 / 2**20
        num_classes = model.head.num_classes
        budget = batch + 3 * workload.batch_size * num_classes * 4 / 2**20
        # Gradient and momentum of fc_roi do not depend on the batch size.
        branch = 2 * sum(parameter.numel() for parameter in model.head.fc_roi.parameters()) * 4 / 2**20
        extra = values['RecursiveMix'][0] - values['baseline'][0]
        tables.append(
            Table(
                f'Peak memory of a step, {workload.name}, {workload.batch_size}×3×{workload.image_size}²',
                'MiB',
                'baseline',
                values,
                limits={'RecursiveMix': 1 + (budget + branch) / values['baseline'][0]},
                note=f'RecursiveMix takes {extra:.1f} MiB more. One batch of inputs has {batch:.1f} MiB, labels and '
                f'logits of the history and the RoI branch {budget - batch:.1f} MiB, gradient and momentum of fc_roi '
                f'{branch:.1f} MiB: the limit is their sum.',
            )
        )
    return tables


def costs(settings: Settings, tables: List[Table]) -> List[Table]:
    """Table 10 of the paper: what RecursiveMix costs with ResNet-50, from what the other comparisons measured.

    Args:
        settings (Settings): How to measure.
        tables (list[Table]): All other tables.
    """
    workload = QUICK if settings.is_quick else RESNET50
    rows: Dict[str, List[float]] = {}
    for name, method in (('baseline', 'baseline'), ('RecursiveMix, training', 'RecursiveMix')):
        model, _ = build(workload, method, FLOAT32, settings)
        rows[name] = [sum(parameter.numel() for parameter in model.parameters()) / 1e6]
    deployed = without_fc_roi(dict(model.named_parameters())).values()
    rows['RecursiveMix, deployed'] = [sum(parameter.numel() for parameter in deployed) / 1e6]
    result = [Table('Table 10: parameters', 'million', 'baseline', rows, note='Paper: 25.56, 27.61 and 25.56.')]
    shape = (3, workload.image_size, workload.image_size)
    flops = {}
    for method in ('baseline', 'RecursiveMix'):
        model = build(workload, method, FLOAT32, settings)[0].eval()
        flops[method] = [get_model_complexity_info(model, shape, show_table=False, show_arch=False)['flops'] / 1e9]
    result.append(Table('Table 10: multiply-adds of the deployed network, an image', 'billion', 'baseline', flops))
    step = next((table for table in tables if table.title == step_title(workload, FLOAT32)), None)
    if step:
        per_epoch = {
            method: [statistics.median(step.values[method]) / 3.6e6 * 1281167 / workload.batch_size]
            for method in ('baseline', 'RecursiveMix')
        }
        result.append(
            Table(
                'Table 10: time of an ImageNet epoch on this one device',
                'hours',
                'baseline',
                per_epoch,
                note='1,281,167 images at the time of a step above; data loading not counted. '
                'Paper, 8 × TITAN Xp, 300 epochs: 73.0 and 73.8 hours.',
            )
        )
    return result
