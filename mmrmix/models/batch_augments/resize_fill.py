# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""ResizeFill of Eq. 1: the historical image, resized into the box, in place."""

from functools import lru_cache
from typing import Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def resize(images: Tensor, size: Tuple[int, int], interpolation: str) -> Tensor:
    """Resize a batch as the authors do.

    The values are those of ``F.interpolate``, which is three times slower
    than a gather for the nearest pixels of small images on CPUs.

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
    num_samples, num_channels, height, width = images.shape
    rows, columns = _nearest(size[0], height, images.device), _nearest(size[1], width, images.device)
    pixels = (rows[:, None] * width + columns).flatten().expand(num_samples, num_channels, -1)
    return images.flatten(2).gather(2, pixels).view(num_samples, num_channels, *size)


# Sizes recur: there are no more of them than an image has rows.
@lru_cache(maxsize=1024)
def _nearest(size: int, source_size: int, device: torch.device) -> Tensor:
    """Pixel of the source for each of an axis, ``(size,)``, int64, rounded as F.interpolate does."""
    scale = float(np.float32(source_size) / np.float32(size))
    return (torch.arange(size, dtype=torch.float32, device=device) * scale).long()


def fill_box(
    images: Tensor,
    source: Tensor,
    box: Sequence[int],
    interpolation: str = 'nearest',
    cut: bool = False,
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
        cut (bool): Paste what ``source`` shows at the box's own place, as
            CutMix does, instead of the whole of it. Defaults to False.
        order (Tensor, optional): Sample i gets the source ``order[i]``,
            ``(N,)``, int64. Defaults to None: sample i gets the source i.
        keep (Tensor, optional): Which samples to fill, ``(N,)``, bool.
            Defaults to None: all.
    """
    x1, y1, x2, y2 = box
    if x1 == x2 or y1 == y2:
        return
    if not cut:
        patch = resize(source, (y2 - y1, x2 - x1), interpolation)
    elif source.shape[-2:] == images.shape[-2:]:
        patch = source[..., y1:y2, x1:x2]
    else:
        patch = resize(source, images.shape[-2:], interpolation)[..., y1:y2, x1:x2]
    patch = patch if order is None else patch[order]
    place = images[..., y1:y2, x1:x2]
    place.copy_(patch if keep is None else torch.where(keep[:, None, None, None], patch.to(images.dtype), place))


def fill_boxes(
    images: Tensor,
    source: Tensor,
    boxes: Tensor,
    interpolation: str = 'nearest',
    cut: bool = False,
    order: Optional[Tensor] = None,
    keep: Optional[Tensor] = None,
) -> None:
    """:func:`fill_box` with a box of its own for every sample.

    Needs temporary memory of the size of the batch (four times for bilinear),
    where :func:`fill_box` needs that of the patch.

    Args:
        images (Tensor): x, ``(N, C, H, W)``; overwritten inside the boxes.
        source (Tensor): x^h, ``(N, C, H', W')``; may be ``images`` itself.
        boxes (Tensor): Half-open (x1, y1, x2, y2) in pixels, ``(N, 4)``,
            float32.
        interpolation (str): See :func:`resize`. Defaults to ``'nearest'``.
        cut (bool): See :func:`fill_box`. Defaults to False.
        order (Tensor, optional): See :func:`fill_box`. Defaults to None.
        keep (Tensor, optional): See :func:`fill_box`. Defaults to None.
    """
    height, width = images.shape[-2:]
    x1, y1, x2, y2 = boxes.unbind(1)
    rows = torch.arange(height, device=images.device, dtype=torch.float32)
    columns = torch.arange(width, device=images.device, dtype=torch.float32)
    in_box = _between(rows, y1, y2)[:, :, None] & _between(columns, x1, x2)[:, None, :]
    if keep is not None:
        in_box = in_box & keep[:, None, None]
    if cut:
        x1, y1, x2, y2 = 0 * x1, 0 * y1, 0 * x2 + width, 0 * y2 + height
    if order is None:
        order = torch.arange(len(images), device=images.device)

    def sample(row: Tensor, column: Tensor) -> Tensor:
        picked = source[order[:, None, None], :, row[:, :, None], column[:, None, :]]
        return picked.permute(0, 3, 1, 2)

    source_rows = _source_positions(rows, y1, y2, source.shape[-2], interpolation)
    source_columns = _source_positions(columns, x1, x2, source.shape[-1], interpolation)
    top, left = source_rows.long(), source_columns.long()
    patch = sample(top, left)
    if interpolation == 'bilinear':
        bottom = (top + 1).clamp(max=source.shape[-2] - 1)
        right = (left + 1).clamp(max=source.shape[-1] - 1)
        # Interpolate in float32, as torch does for half precision images.
        along_rows = (source_rows - top)[:, None, :, None]
        along_columns = (source_columns - left)[:, None, None, :]
        patch = torch.lerp(
            torch.lerp(patch.float(), sample(top, right).float(), along_columns),
            torch.lerp(sample(bottom, left).float(), sample(bottom, right).float(), along_columns),
            along_rows,
        ).to(source.dtype)
    images.copy_(torch.where(in_box[:, None], patch.to(images.dtype), images))


def _between(positions: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """Which of the positions ``(L,)`` lie in [start, stop): ``(N, L)``."""
    return (positions >= start[:, None]) & (positions < stop[:, None])


def _source_positions(positions: Tensor, start: Tensor, stop: Tensor, source_size: int, interpolation: str) -> Tensor:
    """Where in the source each pixel of an axis comes from.

    Args:
        positions (Tensor): Pixels of the axis, ``(L,)``, float32.
        start (Tensor): First pixel of each box, ``(N,)``, float32.
        stop (Tensor): End of each box, ``(N,)``, float32.
        source_size (int): Number of pixels of the source's axis.
        interpolation (str): See :func:`resize`.

    Returns:
        Tensor: ``(N, L)``, float32, in [0, source_size - 1]; whole numbers
        for ``'nearest'``; meaningless outside the boxes.
    """
    offset = positions - start[:, None]
    # F.interpolate's own rounding: the scale in float32, by a true division
    # (number / tensor multiplies with the reciprocal), and then the product.
    if interpolation == 'nearest':
        scale = torch.full_like(start, source_size) / (stop - start).clamp(min=1)
        position = (offset * scale[:, None]).floor()
    else:
        scale = torch.full_like(start, source_size - 1) / (stop - start - 1).clamp(min=1)
        position = offset * scale[:, None]
    return position.clamp(0, source_size - 1)
