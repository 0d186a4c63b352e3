# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .backbones import DenseNet_CIFAR, PyramidNet
from .batch_augments import RecursiveMix
from .heads import RMHead

__all__ = ['DenseNet_CIFAR', 'PyramidNet', 'RMHead', 'RecursiveMix']
