# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .backbones import DenseNet_CIFAR, PyramidNet, initialized_backbone, pyramid_vision_transformer_v2
from .batch_augments import RecursiveMix
from .batch_data_preprocessor import BatchDataPreprocessor
from .heads import RMHead
from .pretrained_backbone import PretrainedBackbone

__all__ = [
    'BatchDataPreprocessor',
    'DenseNet_CIFAR',
    'PretrainedBackbone',
    'PyramidNet',
    'RMHead',
    'RecursiveMix',
    'initialized_backbone',
    'pyramid_vision_transformer_v2',
]
