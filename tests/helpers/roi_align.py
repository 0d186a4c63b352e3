# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""RoIAlign's definition, in NumPy."""

import math

import numpy as np


def roi_align_by_definition(feature_map, box, image_size):
    """Mean of bilinear samples over a grid of ceil(h) × ceil(w) points, for one map ``(C, h, w)``."""
    feature_map = feature_map.double().numpy()
    channels, height, width = feature_map.shape
    x1, x2 = (edge * width / image_size[1] - 0.5 for edge in (box[0], box[2]))
    y1, y2 = (edge * height / image_size[0] - 0.5 for edge in (box[1], box[3]))
    columns, rows = math.ceil(x2 - x1), math.ceil(y2 - y1)
    total = np.zeros(channels)
    for i, j in np.ndindex(rows, columns):
        y = min(max(y1 + (i + 0.5) * (y2 - y1) / rows, 0), height - 1)
        x = min(max(x1 + (j + 0.5) * (x2 - x1) / columns, 0), width - 1)
        top, left = math.floor(y), math.floor(x)
        bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
        total += (1 - (y - top)) * (1 - (x - left)) * feature_map[:, top, left]
        total += (1 - (y - top)) * (x - left) * feature_map[:, top, right]
        total += (y - top) * (1 - (x - left)) * feature_map[:, bottom, left]
        total += (y - top) * (x - left) * feature_map[:, bottom, right]
    return total / max(rows * columns, 1)
