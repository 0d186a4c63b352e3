# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Batches as pictures: colours, captions, frames. The other scripts of this folder import it."""

from typing import List, Optional, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from mmengine.config import Config
from torch import Tensor, nn

from mmrmix.visualization import denormalize

BOX_COLOR = 'tab:orange'


def as_loaded(images: Tensor, preprocessor: nn.Module) -> Tensor:
    """Undo normalisation and conversion to RGB.

    Args:
        images (Tensor): Normalised images, ``(N, C, H, W)``.
        preprocessor (nn.Module): The classifier's data preprocessor.

    Returns:
        Tensor: Pixels in [0, 255], ``(N, C, H, W)``, with channels in the
        order of the data set.
    """
    pixels = denormalize(images, preprocessor)
    return pixels.flip(1) if preprocessor.to_rgb and pixels.shape[1] == 3 else pixels


def as_pictures(images: Tensor, preprocessor: nn.Module, cfg: Config) -> np.ndarray:
    """Convert a batch to arrays that matplotlib shows.

    Args:
        images (Tensor): Normalised images, ``(N, C, H, W)``.
        preprocessor (nn.Module): The classifier's data preprocessor.
        cfg (Config): Config of the classifier.

    Returns:
        np.ndarray: RGB or grey in [0, 1], ``(N, H, W, C)``, float32.
    """
    pixels = as_loaded(images, preprocessor)
    # Files are loaded as BGR; data sets in memory hold RGB.
    if pixels.shape[1] == 3 and 'LoadImageFromFile' in str(cfg.train_dataloader.dataset):
        pixels = pixels.flip(1)
    return (pixels / 255).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()


def class_names(names: Optional[Sequence[str]], num_classes: int) -> List[str]:
    """Class names that are short enough for a title.

    Args:
        names (Sequence[str], optional): Names from the data set. Synonyms
            after a comma, as in ImageNet, are dropped.
        num_classes (int): K.

    Returns:
        list[str]: K names of at most 20 characters; ``class 0`` and so on
        if the data set has none.
    """
    names = names or [f'class {i}' for i in range(num_classes)]
    firsts = [name.split(',')[0] for name in names]
    return [name if len(name) <= 20 else f'{name[:19]}…' for name in firsts]


def caption(scores: Tensor, classes: Sequence[str], limit: int = 3) -> str:
    """List the largest labels of an image, one per line.

    Args:
        scores (Tensor): Label of the image in [0, 1], ``(K,)``.
        classes (Sequence[str]): Names of the K classes.
        limit (int): Maximum number of lines. Defaults to 3.

    Returns:
        str: Names and shares; shares below 1 % are left out.
    """
    shares, labels = scores.topk(min(limit, len(scores)))
    pairs = zip(labels.tolist(), shares.tolist())
    return '\n'.join(f'{classes[label]} {share:.0%}' for label, share in pairs if share >= 0.01)


def show(axis: Axes, picture: np.ndarray, box: Optional[Tensor] = None) -> None:
    """Draw an image, and a frame around its pasted box.

    Args:
        axis (Axes): The axes to draw on.
        picture (np.ndarray): In [0, 1], ``(H, W, 1)`` or ``(H, W, 3)``.
        box (Tensor, optional): Half-open (x1, y1, x2, y2) in pixels, ``(4,)``;
            an empty box is not drawn. Defaults to None.
    """
    axis.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap='gray', vmin=0, vmax=1)
    axis.axis('off')
    x1, y1, x2, y2 = (0, 0, 0, 0) if box is None else box.tolist()
    if x1 < x2 and y1 < y2:
        # A line of its own width between pixels, which draw_bounding_boxes cannot draw. Pixel centres are at integers.
        frame = Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=BOX_COLOR, linewidth=1.5)
        axis.add_patch(frame)
