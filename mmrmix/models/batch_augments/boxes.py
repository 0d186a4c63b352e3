# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Eq. 2 of the paper: where the historical image goes."""

from typing import Tuple

import numpy as np


def sample_boxes(
    generator: np.random.Generator, num_boxes: int, image_size: Tuple[int, int], alpha: float
) -> np.ndarray:
    r"""Draw boxes of area ratio λ ~ U(0, α), centred anywhere in the image.

    .. math::
        r_x \sim U(0, W),\ r_w = W\sqrt\lambda, \quad
        r_y \sim U(0, H),\ r_h = H\sqrt\lambda

    Rounded as in the authors' code: sides are truncated to integers, the
    centre is an integer pixel, half sides by integer division, and what
    reaches over the border is clipped. A box may come out empty.

    Args:
        generator (np.random.Generator): Source of randomness.
        num_boxes (int): M ≥ 1.
        image_size (tuple[int, int]): Height and width in pixels.
        alpha (float): Upper bound α of the area ratio, in (0, 1].

    Returns:
        np.ndarray: Half-open (x1, y1, x2, y2) in pixels, ``(M, 4)``, int64,
        with 0 ≤ x1 ≤ x2 ≤ W and 0 ≤ y1 ≤ y2 ≤ H.
    """
    height, width = image_size
    size = np.array([width, height])
    side_ratio = np.sqrt(generator.uniform(0, alpha, size=(num_boxes, 1)))
    half_sides = (size * side_ratio).astype(np.int64) // 2
    centres = generator.integers(0, size, size=(num_boxes, 2))
    corners = np.concatenate([centres - half_sides, centres + half_sides], axis=1)
    return np.minimum(np.maximum(corners, 0), (width, height, width, height))


def box_area_ratios(boxes: np.ndarray, image_size: Tuple[int, int]) -> np.ndarray:
    """λ after clipping: the share of the image that each box covers.

    Args:
        boxes (np.ndarray): (x1, y1, x2, y2) in pixels, ``(M, 4)``.
        image_size (tuple[int, int]): Height and width in pixels.

    Returns:
        np.ndarray: In [0, 1], ``(M,)``, float64.
    """
    height, width = image_size
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (height * width)
