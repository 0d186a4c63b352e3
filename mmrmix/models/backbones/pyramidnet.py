# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from itertools import accumulate
from typing import Optional, Sequence, Tuple

import torch.nn.functional as F
import torch.utils.checkpoint
from mmcv.cnn import build_norm_layer, is_norm
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn

from mmrmix.registry import MODELS

NUM_STAGES = 3
INIT_CFG = dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu')


class PyramidBlock(nn.Module):
    """Residual block of PyramidNet: basic (3×3, 3×3) or bottleneck (1×1, 3×3, 1×1).

    Each convolution is preceded by a normalisation, and, except for the first
    one, a ReLU; the last convolution is followed by a normalisation. The
    shortcut has no weights: it is average-pooled if the block strides, and
    padded with zero channels.

    Args:
        in_channels (int): Input channels.
        width (int): Channels inside the block.
        stride (int): 1 or 2.
        bottleneck (bool): Whether it outputs 4 × width channels, or width.
        norm_cfg (dict): Config of the normalisation layers.
        with_cp (bool): Whether to recompute activations in the backward pass.
    """

    def __init__(
        self, in_channels: int, width: int, stride: int, bottleneck: bool, norm_cfg: dict, with_cp: bool
    ) -> None:
        super().__init__()
        self.stride = stride
        self.with_cp = with_cp
        kernel_sizes = (1, 3, 1) if bottleneck else (3, 3)
        channels = (in_channels, width, width, 4 * width) if bottleneck else (in_channels, width, width)
        self.depth = len(kernel_sizes)
        self.out_channels = channels[-1]
        for i, size in enumerate(kernel_sizes):
            self.add_module(f'bn{i + 1}', build_norm_layer(norm_cfg, channels[i])[1])
            conv_stride = stride if i == kernel_sizes.index(3) else 1  # The first 3×3 convolution strides.
            conv = nn.Conv2d(channels[i], channels[i + 1], size, conv_stride, size // 2, bias=False)
            self.add_module(f'conv{i + 1}', conv)
        self.add_module(f'bn{self.depth + 1}', build_norm_layer(norm_cfg, self.out_channels)[1])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, out_channels, ceil(H / stride), ceil(W / stride))``."""
        if self.with_cp and x.requires_grad:
            return torch.utils.checkpoint.checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        out = x
        for i in range(1, self.depth + 1):
            out = getattr(self, f'bn{i}')(out)
            out = getattr(self, f'conv{i}')(F.relu(out, inplace=True) if i > 1 else out)
        out = getattr(self, f'bn{self.depth + 1}')(out)
        shortcut = F.avg_pool2d(x, 2, ceil_mode=True) if self.stride > 1 else x
        return out + F.pad(shortcut, (0, 0, 0, 0, 0, self.out_channels - shortcut.shape[1]))


@MODELS.register_module()
class PyramidNet(BaseBackbone):
    """PyramidNet for images of 32×32 pixels (CIFAR).

    Backbone of `Deep Pyramidal Residual Networks
    <https://arxiv.org/abs/1610.02915>`_: the width grows by α̃ / number of
    blocks in every block (Eq. 3 there) instead of doubling in every stage.

    Args:
        depth (int): 9 n + 2 with bottlenecks, else 6 n + 2, for 3 stages of n blocks.
        alpha (float): Widening factor α̃, the channels added over all blocks.
        bottleneck (bool): Bottleneck instead of basic blocks. Defaults to True.
        in_channels (int): Image channels. Defaults to 3.
        stem_channels (int): Channels of the stem. Defaults to 16.
        out_indices (Sequence[int]): Stages to output. Defaults to ``(2, )``.
        frozen_stages (int): Freeze stem and stages up to this index. Defaults to -1: none.
        norm_cfg (dict): Config of the normalisation layers.
        norm_eval (bool): Keep normalisation in eval mode. Defaults to False.
        with_cp (bool): Gradient checkpointing. Defaults to False.
        init_cfg (dict or list[dict], optional): Defaults to normal weights of
            variance 2 / (k² · output channels), as published.

    Raises:
        ValueError: If depth or out_indices is impossible.

    Example:
        >>> # PyramidNet-200, α̃ = 240, with 1024 output channels
        >>> backbone = dict(type='mmrmix.PyramidNet', depth=200, alpha=240)
    """

    def __init__(
        self,
        depth: int,
        alpha: float,
        bottleneck: bool = True,
        in_channels: int = 3,
        stem_channels: int = 16,
        out_indices: Sequence[int] = (NUM_STAGES - 1,),
        frozen_stages: int = -1,
        norm_cfg: dict = dict(type='BN'),  # noqa: B006
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: Optional[dict] = INIT_CFG,
    ) -> None:
        super().__init__(init_cfg)
        step = 9 if bottleneck else 6
        if depth <= 2 or (depth - 2) % step:
            raise ValueError(
                f'depth={depth} must be {step} n + 2 with {"bottleneck" if bottleneck else "basic"} blocks: '
                'three stages of n blocks.'
            )
        if not set(out_indices) <= set(range(NUM_STAGES)):
            raise ValueError(f'out_indices={tuple(out_indices)} must lie in 0 to {NUM_STAGES - 1}, the three stages.')
        self.out_indices = out_indices
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        self.conv1 = nn.Conv2d(in_channels, stem_channels, 3, padding=1, bias=False)
        self.bn1 = build_norm_layer(norm_cfg, stem_channels)[1]
        num_blocks = (depth - 2) // step
        widths = pyramid_widths(stem_channels, alpha, NUM_STAGES * num_blocks)
        channels = stem_channels
        for stage in range(NUM_STAGES):
            blocks = []
            for i, width in enumerate(widths[stage * num_blocks : (stage + 1) * num_blocks]):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(PyramidBlock(channels, width, stride, bottleneck, norm_cfg, with_cp))
                channels = blocks[-1].out_channels
            self.add_module(f'layer{stage + 1}', nn.Sequential(*blocks))
        self.bn_final = build_norm_layer(norm_cfg, channels)[1]
        self._freeze_stages()

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Map images ``(N, in_channels, H, W)`` to a feature map per stage of ``out_indices``; strides 1, 2, 4."""
        x = self.bn1(self.conv1(x))
        outs = []
        for stage in range(NUM_STAGES):
            x = getattr(self, f'layer{stage + 1}')(x)
            if stage in self.out_indices:
                outs.append(F.relu(self.bn_final(x)) if stage == NUM_STAGES - 1 else x)
        return tuple(outs)

    def train(self, mode: bool = True) -> nn.Module:
        """Set the mode and return the backbone; frozen stages stay in eval mode."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if is_norm(module):
                    module.eval()
        return self

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        stages = [getattr(self, f'layer{stage + 1}') for stage in range(self.frozen_stages + 1)]
        for module in (self.conv1, self.bn1, *stages):
            module.eval()
            module.requires_grad_(False)


def pyramid_widths(stem_channels: int, alpha: float, num_blocks: int) -> Tuple[int, ...]:
    r"""Compute the widths of all blocks (Eq. 3 of the PyramidNet paper, with rounding).

    .. math::
        D_k = \text{round}(D_0 + k \tilde\alpha / N)

    Args:
        stem_channels (int): D_0.
        alpha (float): α̃.
        num_blocks (int): N.

    Returns:
        tuple[int]: D_1 to D_N; D_N = D_0 + α̃.
    """
    # Accumulated as in the published code: rounding depends on it.
    return tuple(round(width) for width in accumulate([alpha / num_blocks] * num_blocks, initial=float(stem_channels)))[
        1:
    ]
