# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from mmrmix.utils import moved_to_contrib

from .backbones import DenseNet_CIFAR, PyramidNet
from .batch_augments import RecursiveMix
from .heads import RMHead

__all__ = [
    'DenseNet_CIFAR',
    'PyramidNet',
    'RMHead',
    'RecursiveMix',
]
__getattr__ = moved_to_contrib(__name__)
