# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Small models and batches that several tests share."""

from typing import Any, Optional

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

TINY_BACKBONE = dict(
    type='ResNet_CIFAR',
    depth=18,
    num_stages=1,
    out_indices=(0,),
    strides=(2,),
    dilations=(1,),
    stem_channels=8,
    base_channels=8,
)


def build_classifier(
    backbone: Optional[dict] = None,
    in_channels: int = 8,
    num_classes: int = 10,
    augments: Any = None,
    probs: Optional[list] = None,
    **head,
) -> nn.Module:
    """An RM classifier in training mode, not linked yet.

    Args:
        backbone (dict, optional): Defaults to ``TINY_BACKBONE``: maps of 1/2
            the image's size.
        in_channels (int): Channels of the backbone's last map.
        num_classes (int): Number of classes.
        augments (dict or list[dict], optional): Defaults to RecursiveMix with
            its default arguments.
        probs (list[float], optional): As in ``train_cfg``.
        **head: Further arguments of the head, ``type`` included.
    """
    config = dict(
        type='ImageClassifier',
        backbone=backbone or TINY_BACKBONE,
        head={**dict(type='mmrmix.RMHead', num_classes=num_classes, in_channels=in_channels), **head},
        train_cfg=dict(augments=augments or dict(type='mmrmix.RecursiveMix'), probs=probs),
        data_preprocessor=dict(num_classes=num_classes, mean=[0.0] * 3, std=[1.0] * 3),
    )
    model = MODELS.build(config)
    model.init_weights()
    return model.train()


def make_batch(num_samples: int = 4, image_size: tuple = (16, 16), num_classes: int = 10) -> dict:
    """A batch of noise, as it comes out of a data loader."""
    labels = torch.randint(num_classes, (num_samples,))
    return dict(
        inputs=torch.randn(num_samples, 3, *image_size),
        data_samples=[DataSample().set_gt_label(label) for label in labels],
    )


def labelled(num_samples: int, num_classes: int = 10) -> list:
    """Data samples with a random label each."""
    return [DataSample().set_gt_label(int(label)) for label in torch.randint(num_classes, (num_samples,))]


def sgd(model: nn.Module, lr: float = 0.1) -> OptimWrapper:
    """A plain optimiser wrapper for ``model.train_step``."""
    return OptimWrapper(torch.optim.SGD(model.parameters(), lr=lr))


def has_float16_on_cpu() -> bool:
    """Whether this torch has the CPU operators for float16; 2.1 has not."""
    try:
        maps = torch.ones(1, 2, 2, 2, dtype=torch.float16).to(memory_format=torch.channels_last)
        torch.nn.functional.interpolate(maps, (1, 1)).flatten(2) @ torch.ones(1, 1, 1, dtype=torch.float16)
    except RuntimeError:
        return False
    return True


HALF_DTYPES = [torch.bfloat16, *([torch.float16] if has_float16_on_cpu() else [])]
needs_float16 = pytest.mark.skipif(torch.float16 not in HALF_DTYPES, reason='this torch has no float16 on CPUs')

SMALL = f"""
default_scope = 'mmpretrain'
data_preprocessor = dict(num_classes=10, mean=[0.0] * 3, std=[1.0] * 3)
model = dict(
    type='ImageClassifier',
    backbone=dict({', '.join(f'{name}={value!r}' for name, value in TINY_BACKBONE.items())}),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=10, in_channels=8, cal_acc=True,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.2, mode='original'),
    ),
    train_cfg=dict(augments=dict(type='CutMix', alpha=1.0, cutmix_minmax=(0.2, 0.8)), probs=[0.5]),
)
custom_hooks = [dict(type='EMAHook', momentum=0.1)]
"""
