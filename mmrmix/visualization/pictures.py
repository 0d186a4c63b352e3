# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Batches as pictures: colours, captions, frames."""

from typing import List, Optional, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from mmengine.config import Config
from torch import Tensor, nn

from mmrmix.contrib.cli.launch import innermost_dataset

BOX_COLOR = 'tab:orange'


def as_loaded(images: Tensor, preprocessor: nn.Module) -> Tensor:
    """Undo what a data preprocessor did to pixels.

    Args:
        images (Tensor): Normalised images, ``(N, C, H, W)``.
        preprocessor (nn.Module): mmpretrain's ``ClsDataPreprocessor``, or one
            that extends it.

    Returns:
        Tensor: Pixels in [0, 255], ``(N, C, H, W)``, float32, with channels
        in the order of the data set.
    """
    if preprocessor._enable_normalize:
        images = images * preprocessor.std + preprocessor.mean
    return images.flip(1) if preprocessor.to_rgb and images.shape[1] == 3 else images


def loads_bgr(cfg: Config) -> bool:
    """Whether the training set yields B, G, R, as files are loaded; those in memory have R, G, B.

    Args:
        cfg (Config): Config of a classifier.

    Returns:
        bool: Whether the pipeline loads files.
    """
    pipeline = innermost_dataset(cfg.train_dataloader).get('pipeline') or []
    return any('LoadImageFromFile' in str(transform.get('type')) for transform in pipeline)


def as_pictures(images: Tensor, preprocessor: nn.Module, cfg: Config) -> np.ndarray:
    """Images of a batch, for matplotlib.

    Args:
        images (Tensor): Normalised images, ``(N, C, H, W)``.
        preprocessor (nn.Module): See :func:`as_loaded`.
        cfg (Config): Config of the classifier, which says how images are
            loaded.

    Returns:
        np.ndarray: In [0, 1], R, G, B or grey, ``(N, H, W, C)``, float32.
    """
    pixels = as_loaded(images, preprocessor)
    if pixels.shape[1] == 3 and loads_bgr(cfg):
        pixels = pixels.flip(1)
    return (pixels / 255).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()


def class_names(names: Optional[Sequence[str]], num_classes: int) -> List[str]:
    """Names of the classes, short enough for a title.

    Args:
        names (Sequence[str], optional): Those of the data set, with synonyms
            behind a comma, as ImageNet has them.
        num_classes (int): K.

    Returns:
        list[str]: K names of at most 20 characters; ``class 0`` and so on
        where the data set has none.
    """
    names = names or [f'class {i}' for i in range(num_classes)]
    firsts = [name.split(',')[0] for name in names]
    return [name if len(name) <= 20 else f'{name[:19]}…' for name in firsts]


def caption(scores: Tensor, classes: Sequence[str], limit: int = 3) -> str:
    """The largest labels of an image, a line each.

    Args:
        scores (Tensor): Its label in [0, 1], ``(K,)``.
        classes (Sequence[str]): Names of the K classes.
        limit (int): Most lines. Defaults to 3.

    Returns:
        str: Names with shares of at least 1 %.
    """
    shares, labels = scores.topk(min(limit, len(scores)))
    pairs = zip(labels.tolist(), shares.tolist())
    return '\n'.join(f'{classes[label]} {share:.0%}' for label, share in pairs if share >= 0.01)


def show(axis: Axes, picture: np.ndarray, box: Optional[Tensor] = None) -> None:
    """Draw an image, and a frame around what was pasted.

    Args:
        axis (Axes): Where to draw.
        picture (np.ndarray): In [0, 1], ``(H, W, 1)`` or ``(H, W, 3)``.
        box (Tensor, optional): Half-open (x1, y1, x2, y2) in pixels, ``(4,)``;
            an empty one is not drawn. Defaults to None.
    """
    axis.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap='gray', vmin=0, vmax=1)
    axis.axis('off')
    x1, y1, x2, y2 = (0, 0, 0, 0) if box is None else box.tolist()
    if x1 < x2 and y1 < y2:
        # Pixel centres are at whole numbers.
        axis.add_patch(
            Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=BOX_COLOR, linewidth=1.5)
        )
