# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Eq. 2 of the paper: where the historical image goes."""

import math
from typing import Tuple

import numpy as np

Box = Tuple[int, int, int, int]


def sample_box(generator: np.random.Generator, image_size: Tuple[int, int], alpha: float) -> Box:
    r"""Draw a box of area ratio λ ~ U(0, α), centred anywhere in the image.

    .. math::
        r_x \sim U(0, W),\ r_w = W\sqrt\lambda, \quad
        r_y \sim U(0, H),\ r_h = H\sqrt\lambda

    Rounded as in the authors' code: sides are truncated to integers, the
    centre is an integer pixel, half sides by integer division, and the box is
    clipped at the border. It may come out empty.

    Args:
        generator (np.random.Generator): Source of randomness.
        image_size (tuple[int, int]): Height H and width W in pixels.
        alpha (float): Upper bound α of the area ratio, in (0, 1].

    Returns:
        tuple[int, int, int, int]: Half-open (x1, y1, x2, y2) in pixels, with
        0 ≤ x1 ≤ x2 ≤ W and 0 ≤ y1 ≤ y2 ≤ H.
    """
    height, width = image_size
    side_ratio = math.sqrt(generator.uniform(0, alpha))
    half_width, half_height = int(width * side_ratio) // 2, int(height * side_ratio) // 2
    x, y = generator.integers(0, (width, height)).tolist()
    return (
        max(x - half_width, 0),
        max(y - half_height, 0),
        min(x + half_width, width),
        min(y + half_height, height),
    )


def box_area_ratio(box: Box, image_size: Tuple[int, int]) -> float:
    """λ after clipping: the share in [0, 1] of an image (height, width) that a box (x1, y1, x2, y2) covers."""
    x1, y1, x2, y2 = box
    return (x2 - x1) * (y2 - y1) / (image_size[0] * image_size[1])
