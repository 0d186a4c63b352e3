# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Global average pooling and 1×1 RoIAlign (Eq. 3 and 4) in one read."""

import math
from typing import Tuple

import torch
from torch import Tensor


def roi_align_weights(start: Tensor, stop: Tensor, size: int) -> Tensor:
    """Share of each cell of an axis in a 1×1 RoIAlign.

    RoIAlign averages bilinear samples over a regular grid of ceil(extent)
    points. Both are separable, so on each axis a cell's share is the mean,
    over the grid's points, of the triangle function around the cell. This is
    mmcv's ``RoIAlign(sampling_ratio=0, aligned=True)``.

    Args:
        start (Tensor): First edge of each box in cells of the feature map,
            ``(N,)``, float32, with RoIAlign's half-cell shift applied.
        stop (Tensor): Second edge, likewise.
        size (int): Number of cells L of the axis.

    Returns:
        Tensor: ``(N, L)``, float32; a row sums to 1, to 0 for an empty box.
    """
    # A box inside the image has at most one point a cell, and one more where
    # its extent is rounded up; so shapes do not depend on the box.
    numbers = torch.arange(size + 1, device=start.device, dtype=start.dtype)
    cells = numbers[:-1]
    extent = stop - start
    num_points = extent.ceil()
    step = extent / num_points.clamp(min=1)
    points = start[:, None] + (numbers + 0.5) * step[:, None]
    triangles = (1 - (points.clamp(0, size - 1)[:, :, None] - cells).abs()).clamp(min=0)
    in_grid = (numbers < num_points[:, None]) / num_points.clamp(min=1)[:, None]
    return (triangles * in_grid[:, :, None]).sum(1)


def gap_and_roi_pool(feature_map: Tensor, boxes: Tensor, image_size: Tuple[int, int]) -> Tuple[Tensor, Tensor]:
    r"""Pool a feature map globally and inside one box a sample.

    .. math::
        \text{GAP}(F)_{nc} = \frac{1}{hw}\sum_{ij} F_{ncij}, \quad
        \text{RoIAlign}_{1×1}(F, B)_{nc} = \sum_{ij} F_{ncij}\, u_{ni} v_{nj}

    Both are weighted sums over the map, so one matrix product yields both.

    Args:
        feature_map (Tensor): F, ``(N, C, h, w)``, any float dtype.
        boxes (Tensor): B as (x1, y1, x2, y2) in pixels of the image,
            ``(N, 4)``, float32.
        image_size (tuple[int, int]): Height and width of the image in pixels.
            Each axis has its own scale from pixels to cells; on square images
            and maps that is the authors' spatial_scale.

    Returns:
        tuple[Tensor, Tensor]: Global and box average, ``(N, C)`` each, the
        dtype of ``feature_map`` (under autocast, autocast's); the latter is
        zero for an empty box.
    """
    height, width = feature_map.shape[-2:]
    scale_y, scale_x = height / image_size[0], width / image_size[1]
    # In RoIAlign's own order, so that the number of grid points rounds alike.
    x1, x2 = boxes[:, 0] * scale_x - 0.5, boxes[:, 2] * scale_x - 0.5
    y1, y2 = boxes[:, 1] * scale_y - 0.5, boxes[:, 3] * scale_y - 0.5
    rows = roi_align_weights(y1, y2, height)
    columns = roi_align_weights(x1, x2, width)
    roi = (rows[:, :, None] * columns[:, None, :]).flatten(1)

    # 1 / (h·w) is inexact in half precision, and that error would be the same
    # for all channels. A power of two is exact; the rest is applied after.
    uniform = 2.0 ** -round(math.log2(height * width))
    weights = torch.stack([torch.full_like(roi, uniform), roi], dim=2).to(feature_map.dtype)
    pooled = feature_map.flatten(2) @ weights
    return pooled[..., 0] / (uniform * height * width), pooled[..., 1]
