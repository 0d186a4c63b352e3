# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Random erasing of whole batches: a box of every image becomes noise."""

import math
from numbers import Real
from typing import Tuple

import torch
from torch import Tensor, nn

NUM_ATTEMPTS = 10


class RandomErasing(nn.Module):
    """Fill a random box with normally distributed noise, pixel by pixel.

    As `timm's <https://github.com/huggingface/pytorch-image-models>`_ in the
    mode ``pixel``, which DeiT and PVT use (`Random Erasing
    <https://arxiv.org/abs/1708.04896>`_): normalised images get noise of mean
    0 and standard deviation 1.

    Args:
        prob (float): Probability that an image is erased, in [0, 1].
        min_area_ratio (float): Least area of the box, as a share of the
            image, in (0, max_area_ratio]. Defaults to 0.02.
        max_area_ratio (float): Largest area of the box, at most 1. Defaults
            to 1/3.
        min_aspect_ratio (float): Least ratio of height to width, in (0, 1];
            its logarithm is uniform, and the largest ratio its inverse.
            Defaults to 0.3.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        prob: float,
        min_area_ratio: float = 0.02,
        max_area_ratio: float = 1 / 3,
        min_aspect_ratio: float = 0.3,
    ) -> None:
        super().__init__()
        if not isinstance(prob, Real) or not 0 <= prob <= 1:
            raise ValueError(f'erasing.prob={prob!r} must lie in [0, 1]: it is a probability.')
        if not 0 < min_area_ratio <= max_area_ratio <= 1:
            raise ValueError(
                f'erasing.min_area_ratio={min_area_ratio} and max_area_ratio={max_area_ratio} must be shares of the '
                'image with 0 < min_area_ratio ≤ max_area_ratio ≤ 1.'
            )
        if not 0 < min_aspect_ratio <= 1:
            raise ValueError(
                f'erasing.min_aspect_ratio={min_aspect_ratio} must lie in (0, 1]: the largest ratio is its inverse.'
            )
        self.prob = prob
        self.area_ratios = (min_area_ratio, max_area_ratio)
        self.min_aspect_ratio = min_aspect_ratio

    # Draws must come from torch's generators, not from those of a compiled graph.
    @torch.compiler.disable
    def forward(self, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Erase boxes of a batch that is not normalised yet.

        Args:
            images (Tensor): ``(N, C, H, W)``, float32.
            mean (Tensor): Mean of the noise, ``(C, 1, 1)``: what will be
                subtracted.
            std (Tensor): Standard deviation of the noise, ``(C, 1, 1)``: what
                the images will be divided by.

        Returns:
            Tensor: ``(N, C, H, W)``, float32, new; memory format of ``images``.
        """
        size = tuple(images.shape[-2:])
        boxes = sample_boxes(len(images), size, self.area_ratios, self.min_aspect_ratio, images.device)
        boxes = boxes * (torch.rand(len(images), 1, device=images.device) < self.prob)
        noise = torch.randn(images.shape, device=images.device).mul_(std).add_(mean)
        return fill_boxes(images, boxes, noise)


def sample_boxes(
    num_samples: int,
    size: Tuple[int, int],
    area_ratios: Tuple[float, float],
    min_aspect_ratio: float,
    device: torch.device,
) -> Tensor:
    """Draw a box for every image.

    Of ten attempts, the first counts whose box is smaller than the image in
    both directions; the box is empty if there is none.

    Args:
        num_samples (int): Number of images N.
        size (tuple[int, int]): Height and width of an image in pixels.
        area_ratios (tuple[float, float]): Limits of the uniform area ratio.
        min_aspect_ratio (float): Lower limit of height ÷ width, whose
            logarithm is uniform; the upper limit is the inverse.
        device (torch.device): Where to draw.

    Returns:
        Tensor: Boxes (x1, y1, x2, y2) in pixels, half-open, ``(N, 4)``, int64.
    """
    height, width = size
    low, high = area_ratios
    shape = (NUM_ATTEMPTS, num_samples)
    areas = torch.empty(shape, device=device).uniform_(low * height * width, high * height * width)
    log_limit = -math.log(min_aspect_ratio)
    aspects = torch.empty(shape, device=device).uniform_(-log_limit, log_limit).exp()
    heights, widths = (areas * aspects).sqrt().round().long(), (areas / aspects).sqrt().round().long()
    fits = (heights < height) & (widths < width)
    first = fits.int().argmax(0, keepdim=True)
    heights, widths, fits = (values.gather(0, first)[0] for values in (heights, widths, fits))
    x1, y1 = (
        # Below 1, in float32 times a whole number: never the whole number.
        (torch.rand(num_samples, device=device) * (length - lengths + 1)).long()
        for length, lengths in ((width, widths), (height, heights))
    )
    return torch.stack([x1, y1, x1 + widths, y1 + heights], 1) * fits[:, None]


def fill_boxes(images: Tensor, boxes: Tensor, filling: Tensor) -> Tensor:
    """Replace a box of every image.

    Args:
        images (Tensor): ``(N, C, H, W)``.
        boxes (Tensor): (x1, y1, x2, y2) in pixels, half-open, ``(N, 4)``.
        filling (Tensor): What the boxes show then, ``(N, C, H, W)``, dtype of
            ``images``.

    Returns:
        Tensor: ``(N, C, H, W)``, new; dtype and memory format of ``images``.
    """
    x1, y1, x2, y2 = boxes[:, :, None].unbind(1)
    rows, columns = (torch.arange(length, device=images.device) for length in images.shape[-2:])
    is_row, is_column = (rows >= y1) & (rows < y2), (columns >= x1) & (columns < x2)
    is_inside = is_row[:, None, :, None] & is_column[:, None, None, :]
    # The first of the two tensors decides on the memory format.
    return torch.where(~is_inside, images, filling)
