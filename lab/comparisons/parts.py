# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The parts of RecursiveMix alone: mixing a batch, pooling a feature map."""

import itertools
from typing import Callable, List, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.models import CutMix, Mixup, ResizeMix
from torch import Tensor, nn

from mmrmix import RMHistory
from mmrmix.history import HistoryBatch, mixing_of
from mmrmix.models import RecursiveMix
from mmrmix.models.batch_augments.boxes import box_area_ratio, sample_box
from mmrmix.models.heads.roi_pooling import gap_and_roi_pool

from .timing import Settings, Table, times


class CloneAndInterpolate:
    """RecursiveMix written down from Eq. 1 and 2, for comparison."""

    def __init__(self) -> None:
        self.history = None
        self.generator = np.random.default_rng(0)

    def __call__(self, inputs: Tensor, scores: Tensor) -> Tuple[Tensor, Tensor]:
        inputs, scores = inputs.clone(), scores.float()
        if self.history is not None:
            image_size = inputs.shape[-2:]
            x1, y1, x2, y2 = box = sample_box(self.generator, image_size, 0.5)
            if x1 < x2 and y1 < y2:
                inputs[..., y1:y2, x1:x2] = F.interpolate(self.history[0], (y2 - y1, x2 - x1))
            area_ratio = box_area_ratio(box, image_size)
            scores = area_ratio * self.history[1] + (1 - area_ratio) * scores
        self.history = inputs.clone(), scores.clone()
        return inputs, scores


def recursive_mix(num_samples: int, device: torch.device) -> Callable:
    """Our augment, with a history that gets every batch; what the head does to commit one is left out."""
    augment = RecursiveMix()
    augment.history = history = RMHistory()
    is_finite = torch.ones(num_samples, dtype=torch.bool, device=device)

    def mix(inputs: Tensor, scores: Tensor) -> Tuple[Tensor, Tensor]:
        inputs, scores = augment(inputs, scores)
        if history.batch is None:
            # One commit, or the history would say after 100 batches that nobody trains on them.
            history.commit(mixing_of(scores), scores, scores)
        history.batch = HistoryBatch(inputs, scores, scores, is_finite)
        return inputs, scores

    return mix


def augments(settings: Settings) -> List[Table]:
    """Mixing a batch, calls on batches of noise; every call draws a box of its own."""
    shapes = [(8, 3, 32, 32)] if settings.is_quick else [(64, 3, 224, 224), (128, 3, 32, 32), (64, 1, 28, 28)]
    tables = []
    for shape in shapes:
        num_classes = 1000 if shape[-1] > 200 else 100
        batches = itertools.cycle([torch.rand(shape, device=settings.device) for _ in range(4)])
        scores = F.one_hot(torch.randint(num_classes, shape[:1], device=settings.device), num_classes)
        functions = {
            'CutMix': CutMix(alpha=1.0),
            'RecursiveMix': recursive_mix(shape[0], settings.device),
            'RecursiveMix, cloned and interpolated': CloneAndInterpolate(),
            'Mixup': Mixup(alpha=1.0),
            'ResizeMix': ResizeMix(alpha=1.0),
        }
        contenders = {
            name: lambda function=function, batches=batches, scores=scores: function(next(batches), scores)
            for name, function in functions.items()
        }
        title = f'Batch augments, {"×".join(map(str, shape))}'
        # Many boxes per turn, since the time depends on the box.
        values = times(title, contenders, settings, number=10 if shape[-1] > 200 else 100)
        tables.append(Table(title, 'ms', 'CutMix', values, limits={'RecursiveMix': 1.0}))
        against = {name: values[name] for name in ('RecursiveMix, cloned and interpolated', 'RecursiveMix')}
        tables.append(
            Table(
                f'RecursiveMix against a plain implementation, {"×".join(map(str, shape))}',
                'ms',
                'RecursiveMix, cloned and interpolated',
                against,
                limits={'RecursiveMix': 0.5},
            )
        )
    return tables


def pooling(settings: Settings) -> List[Table]:
    """Global average pooling with the RoI branch, forward and backward, against mmcv's RoIAlign."""
    try:
        from mmcv.ops import RoIAlign
    except ImportError:
        RoIAlign = None  # mmcv without compiled operators.
    tables = []
    for shape in [(8, 16, 7, 7)] if settings.is_quick else [(64, 2048, 7, 7), (128, 512, 4, 4), (64, 512, 7, 7)]:
        num_samples, height = shape[0], shape[2]
        feature_map = torch.randn(shape, device=settings.device, requires_grad=True)
        image_size = 32 * height
        boxes = (
            torch.tensor([0.2, 0.3, 0.7, 0.8], device=settings.device).mul(image_size).round().repeat(num_samples, 1)
        )
        gap = nn.AdaptiveAvgPool2d(1)

        def global_only(feature_map=feature_map, gap=gap):
            gap(feature_map).sum().backward()

        def ours(feature_map=feature_map, boxes=boxes, image_size=image_size):
            pooled, roi = gap_and_roi_pool(feature_map, boxes, (image_size, image_size))
            (pooled.sum() + roi.sum()).backward()

        contenders = {'GAP alone': global_only, 'GAP and RoI, one product (ours)': ours}
        base = 'GAP alone'
        if RoIAlign is not None:
            align = RoIAlign(1, spatial_scale=1 / 32, sampling_ratio=0, aligned=True)
            numbered = torch.cat([torch.arange(num_samples, device=settings.device)[:, None], boxes], 1)
            base = "GAP and mmcv's RoIAlign"

            def with_roi_align(feature_map=feature_map, gap=gap, align=align, numbered=numbered):
                (gap(feature_map).sum() + align(feature_map, numbered).sum()).backward()

            contenders = {base: with_roi_align, **contenders}
        title = f'Pooling, forward and backward, {"×".join(map(str, shape))}'
        limits = {'GAP and RoI, one product (ours)': 0.6} if RoIAlign is not None else {}
        tables.append(Table(title, 'ms', base, times(title, contenders, settings, number=10), limits))
    return tables
