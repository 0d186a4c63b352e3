# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Union

from mmpretrain.models.backbones import DenseNet
from torch import nn

from mmrmix.registry import MODELS


@MODELS.register_module()
class DenseNet_CIFAR(DenseNet):  # noqa: N801, the name of mmpretrain's siblings
    """DenseNet for images of 32×32 pixels (CIFAR).

    Unlike mmpretrain's ``DenseNet``, it starts with a 3×3 convolution of
    stride 1, with neither normalisation nor pooling behind it, and its
    transitions have no ReLU, as in the code of the RecursiveMix paper.

    Args:
        arch (str or dict): ``'121'`` or ``'161'`` (the paper's), another of
            ``DenseNet.arch_settings``, or a dict as there. Defaults to
            ``'121'``.
        in_channels (int): Channels of the images. Defaults to 3.
        **kwargs: Of :class:`mmpretrain.models.DenseNet`; ``memory_efficient``
            is its gradient checkpointing.

    Example:
        >>> backbone = dict(type='mmrmix.DenseNet_CIFAR', arch='161')
    """

    def __init__(self, arch: Union[str, dict] = '121', in_channels: int = 3, **kwargs) -> None:
        super().__init__(arch=arch, in_channels=in_channels, **kwargs)
        self.stem = nn.Conv2d(in_channels, self.init_channels, 3, padding=1, bias=False)
        for transition in self.transitions[:-1]:
            transition.act = nn.Identity()

    def train(self, mode: bool = True) -> nn.Module:
        """Switch between training and evaluation.

        Args:
            mode (bool): Training. Defaults to True.

        Returns:
            nn.Module: The backbone itself, which mmpretrain's forgets.
        """
        super().train(mode)
        return self
