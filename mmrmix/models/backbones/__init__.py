# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .densenet_cifar import DenseNet_CIFAR
from .pyramidnet import PyramidNet

__all__ = ['DenseNet_CIFAR', 'PyramidNet']
