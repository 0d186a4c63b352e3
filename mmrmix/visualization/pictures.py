# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Batches as pictures, without matplotlib."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.utils import draw_bounding_boxes, make_grid

# The orange of tools/visualization/browse_mix.py.
OUTLINE = '#ff7f0e'


def denormalize(images: Tensor, preprocessor: nn.Module) -> Tensor:
    """Undo the normalisation of a data preprocessor: x · std + mean.

    Args:
        images (Tensor): Normalised images, ``(N, C, H, W)``.
        preprocessor (nn.Module): mmpretrain's ``ClsDataPreprocessor``.

    Returns:
        Tensor: Pixels in [0, 255], ``(N, C, H, W)``, with channels in the
        order that the network sees; ``images`` if nothing was normalised.
    """
    if getattr(preprocessor, 'mean', None) is None:
        return images
    return images * preprocessor.std + preprocessor.mean


def draw_grid(images: Tensor, boxes: Tensor) -> np.ndarray:
    """Put images side by side, with their boxes framed.

    Args:
        images (Tensor): ``(N, C, H, W)`` in [0, 255], any float dtype; RGB
            for C = 3, else the first channel is shown in grey.
        boxes (Tensor): Half-open (x1, y1, x2, y2) in pixels, ``(N, 4)``; the
            frame is the box's outermost pixels, an empty box has none.

    Returns:
        np.ndarray: RGB, ``(height, width, 3)``, uint8, in ⌈√N⌉ columns, with
        2 white pixels around every image.
    """
    if images.shape[1] != 3:
        images = images[:, :1].expand(-1, 3, -1, -1)
    images = images.round().clamp(0, 255).to(torch.uint8).cpu()
    # torchvision's boxes include their last pixels.
    boxes = boxes.cpu() - torch.tensor([0, 0, 1, 1])
    framed = [
        draw_bounding_boxes(image, box[None], colors=OUTLINE) if (box[:2] <= box[2:]).all() else image
        for image, box in zip(images, boxes)
    ]
    grid = make_grid(framed, nrow=math.ceil(math.sqrt(len(framed))), pad_value=255)
    return grid.permute(1, 2, 0).contiguous().numpy()
