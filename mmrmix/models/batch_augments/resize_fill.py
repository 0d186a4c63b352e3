# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Eq. 1 of the paper: the historical image, resized into the box (ResizeFill), and the mixed labels."""

from functools import lru_cache
from typing import Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def resize(images: Tensor, size: Tuple[int, int], interpolation: str) -> Tensor:
    """Resize a batch as ``F.interpolate`` does, which the authors use.

    Args:
        images (Tensor): ``(N, C, H, W)``.
        size (tuple[int, int]): Height and width in pixels, at least 1.
        interpolation (str): ``'nearest'``, or ``'bilinear'`` with aligned
            corners.

    Returns:
        Tensor: ``(N, C, *size)``, the dtype of ``images``.
    """
    if interpolation == 'bilinear':
        return F.interpolate(images, size, mode='bilinear', align_corners=True)
    if images.device.type != 'cpu':
        return F.interpolate(images, size)
    # The same pixels, but for small images F.interpolate takes three times as long on a CPU.
    rows, columns = (_nearest(*sizes) for sizes in zip(size, images.shape[-2:]))
    pixels = torch.from_numpy((rows[:, None] * images.shape[-1] + columns).ravel())
    return images.flatten(2).gather(2, pixels.expand(*images.shape[:2], -1)).unflatten(2, size)


@lru_cache(maxsize=1024)  # Sizes recur.
def _nearest(size: int, source_size: int) -> np.ndarray:
    """Source pixel of each pixel of an axis, ``(size,)``, int64, rounded as ``F.interpolate`` does."""
    scale = np.float32(source_size) / np.float32(size)
    return (np.arange(size, dtype=np.float32) * scale).astype(np.int64)


def fill_box(
    images: Tensor,
    source: Tensor,
    box: Sequence[int],
    interpolation: str = 'nearest',
    order: Optional[Tensor] = None,
    keep: Optional[Tensor] = None,
) -> None:
    r"""Fill one box of the whole batch with the source images, in place.

    .. math::
        \tilde x = M \odot \text{ResizeFill}(x^h, M) + (1 - M) \odot x

    Args:
        images (Tensor): x, ``(N, C, H, W)``; overwritten inside the box.
        source (Tensor): x^h, ``(N, C, H', W')``; may be ``images`` itself.
        box (Sequence[int]): Half-open (x1, y1, x2, y2) in pixels.
        interpolation (str): See :func:`resize`. Defaults to ``'nearest'``.
        order (Tensor, optional): Sample i gets the source ``order[i]``,
            ``(N,)``, int64. Defaults to None: sample i gets the source i.
        keep (Tensor, optional): Samples to fill, ``(N,)``, bool. Defaults to
            None: all.
    """
    x1, y1, x2, y2 = box
    if x1 == x2 or y1 == y2 or not len(source):
        return
    patch = resize(source, (y2 - y1, x2 - x1), interpolation)
    patch = patch if order is None else patch[order]
    place = images[..., y1:y2, x1:x2]
    place.copy_(patch if keep is None else torch.where(keep[:, None, None, None], patch.to(images.dtype), place))


def mix_labels(scores: Tensor, source_scores: Tensor, area_ratios: Tensor) -> Tensor:
    r"""Mix labels by area: :math:`\tilde y = \lambda y^h + (1 - \lambda) y`.

    Args:
        scores (Tensor): y, ``(N, K)``, float32.
        source_scores (Tensor): y^h, ``(N, K)``, float32.
        area_ratios (Tensor): λ in [0, 1], ``(N,)``, float32.

    Returns:
        Tensor: ỹ, ``(N, K)``, float32; equal to y where λ = 0.
    """
    return torch.lerp(scores, source_scores, area_ratios[:, None])
