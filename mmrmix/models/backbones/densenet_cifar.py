# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Union

from mmpretrain.models.backbones import DenseNet
from torch import nn

from mmrmix.registry import MODELS


@MODELS.register_module()
class DenseNet_CIFAR(DenseNet):  # noqa: N801, named like mmpretrain's ResNet_CIFAR
    """DenseNet for images of 32×32 pixels (CIFAR).

    Differences from mmpretrain's ``DenseNet``, as in the official RecursiveMix
    code: the stem is a 3×3 convolution of stride 1 without normalisation or
    pooling, and transitions have no ReLU.

    Args:
        arch (str or dict): ``'121'``, ``'161'`` (the paper's), another key of
            ``DenseNet.arch_settings`` or a dict as there. Defaults to ``'121'``.
        in_channels (int): Image channels. Defaults to 3.
        **kwargs: Other arguments of :class:`mmpretrain.models.DenseNet`;
            ``memory_efficient`` is its gradient checkpointing.

    Example:
        >>> backbone = dict(type='mmrmix.DenseNet_CIFAR', arch='161')
    """

    def __init__(self, arch: Union[str, dict] = '121', in_channels: int = 3, **kwargs) -> None:
        super().__init__(arch=arch, in_channels=in_channels, **kwargs)
        self.stem = nn.Conv2d(in_channels, self.init_channels, 3, padding=1, bias=False)
        for transition in self.transitions[:-1]:
            transition.act = nn.Identity()

    def train(self, mode: bool = True) -> nn.Module:
        """Set the mode and return the backbone, as ``nn.Module`` does; mmpretrain's class returns None."""
        super().train(mode)
        return self
