# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .densenet_cifar import DenseNet_CIFAR
from .initialized_backbone import initialized_backbone, pyramid_vision_transformer_v2
from .pyramidnet import PyramidNet

__all__ = ['DenseNet_CIFAR', 'PyramidNet', 'initialized_backbone', 'pyramid_vision_transformer_v2']
