# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from mmrmix.utils import moved_to_contrib

from .backbones import DenseNet_CIFAR, PyramidNet, initialized_backbone, pyramid_vision_transformer_v2
from .batch_augments import RecursiveMix
from .heads import RMHead
from .pretrained_backbone import PretrainedBackbone

__all__ = [
    'DenseNet_CIFAR',
    'PretrainedBackbone',
    'PyramidNet',
    'RMHead',
    'RecursiveMix',
    'initialized_backbone',
    'pyramid_vision_transformer_v2',
]
__getattr__ = moved_to_contrib(__name__)
