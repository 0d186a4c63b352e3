# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""mmpretrain's random crop and resize by torch's uint8 kernels, antialiased as by Pillow."""

from typing import Tuple

import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.datasets.transforms import RandomResizedCrop, ResizeEdge

from mmrmix.registry import TRANSFORMS


def antialiased_resize(image: np.ndarray, size: Tuple[int, int], interpolation: str) -> np.ndarray:
    """Resize an image with antialiasing.

    Args:
        image (np.ndarray): ``(H, W, C)`` or ``(H, W)``, uint8 or float32; any
            order of channels.
        size (tuple[int, int]): New height and width in pixels.
        interpolation (str): ``bilinear`` or ``bicubic``.

    Returns:
        np.ndarray: ``(height, width, C)``, dtype of ``image``; a view of a
        ``(C, height, width)`` array, which ``PackInputs`` does not copy again.
    """
    # torch takes neither negative strides nor read-only memory. Interleaved channels, as mmcv has them, are its
    # faster input.
    image = np.require(image, requirements=['C_CONTIGUOUS', 'WRITEABLE']).reshape(*image.shape[:2], -1)
    # v2.functional.resize ends in this call, too, but takes half as long again to get there.
    pixels = F.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None], size, mode=interpolation, align_corners=False, antialias=True
    )
    return pixels[0].numpy().transpose(1, 2, 0)


def _check(interpolation: str) -> None:
    if interpolation not in ('bilinear', 'bicubic'):
        raise ValueError(
            f"interpolation={interpolation!r} must be 'bilinear' or 'bicubic': torch antialiases no other. Use "
            "mmpretrain's transform with backend='pillow'."
        )


@TRANSFORMS.register_module()
class TorchRandomResizedCrop(RandomResizedCrop):
    """mmpretrain's ``RandomResizedCrop(backend='pillow')``, several times as fast.

    It draws the same crops from the same random numbers, with the distribution
    of torchvision's ``RandomResizedCrop``. Grey levels differ by rounding.

    Args:
        scale (int | Sequence[int]): Height and width of the result in pixels,
            or both in one number.
        interpolation (str): ``bilinear`` or ``bicubic``. Defaults to
            'bilinear'.
        **kwargs: ``crop_ratio_range``, ``aspect_ratio_range`` and
            ``max_attempts`` of mmpretrain's class.

    Raises:
        ValueError: If interpolation is none of the two.

    Example:
        >>> train_pipeline = [
        ...     dict(type='LoadImageFromFile'),
        ...     dict(type='mmrmix.TorchRandomResizedCrop', scale=224),
        ...     dict(type='PackInputs')]
    """

    def __init__(self, scale, interpolation: str = 'bilinear', **kwargs) -> None:
        _check(interpolation)
        super().__init__(scale, interpolation=interpolation, backend='torch', **kwargs)

    def transform(self, results: dict) -> dict:
        """Crop and resize ``results['img']``, ``(H, W, C)`` or ``(H, W)``, uint8 or float32."""
        top, left, height, width = self.rand_crop_params(results['img'])
        crop = results['img'][top : top + height, left : left + width]
        results['img'] = antialiased_resize(crop, self.scale, self.interpolation)
        results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class TorchResizeEdge(ResizeEdge):
    """mmpretrain's ``ResizeEdge(backend='pillow')``, several times as fast; grey levels differ by rounding.

    Args:
        scale (int): Length of the edge in pixels.
        edge (str): ``short``, ``long``, ``width`` or ``height``. Defaults to
            'short'.
        interpolation (str): ``bilinear`` or ``bicubic``. Defaults to
            'bilinear'.

    Raises:
        ValueError: If interpolation is none of the two.
    """

    def __init__(self, scale: int, edge: str = 'short', interpolation: str = 'bilinear') -> None:
        _check(interpolation)
        super().__init__(scale, edge=edge, interpolation=interpolation, backend='torch')

    def _resize_img(self, results: dict) -> None:
        """Resize to ``results['scale']``, which mmpretrain computes as (width, height)."""
        height, width = results['img'].shape[:2]
        new_width, new_height = results['scale']
        results['img'] = antialiased_resize(results['img'], (new_height, new_width), self.interpolation)
        results['img_shape'] = (new_height, new_width)
        results['scale_factor'] = (new_width / width, new_height / height)
