# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from mmrmix.utils import moved_to_contrib

from .densenet_cifar import DenseNet_CIFAR
from .pyramidnet import PyramidNet

__all__ = ['DenseNet_CIFAR', 'PyramidNet']
__getattr__ = moved_to_contrib(__name__)
