# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Colour jitter and PCA lighting of whole batches, in float32 and without clipping."""

from numbers import Real
from typing import Sequence

import torch
from torch import Tensor, nn

# Of R, G, B, in the rounding of Torch7's image package; they sum to 0.9999.
GREY_WEIGHTS = (0.2989, 0.587, 0.114)


class ColorJitter(nn.Module):
    """Random brightness, contrast and saturation, see :func:`adjust_color`.

    Each image gets three factors, uniform in [1 - v, 1 + v].

    Args:
        brightness (float): v of the brightness, in [0, 1]. Defaults to 0.
        contrast (float): The same of the contrast. Defaults to 0.
        saturation (float): The same of the saturation. Defaults to 0.

    Raises:
        ValueError: If one of them is no number in [0, 1].
    """

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0) -> None:
        super().__init__()
        self.ranges = dict(brightness=brightness, contrast=contrast, saturation=saturation)
        for name, value in self.ranges.items():
            if not isinstance(value, Real) or not 0 <= value <= 1:
                raise ValueError(
                    f'color_jitter.{name}={value!r} must be a number in [0, 1]: factors are drawn from '
                    f'[1 - {name}, 1 + {name}].'
                )

    # Draws must come from torch's generators, not from those of a compiled graph.
    @torch.compiler.disable
    def forward(self, images: Tensor, is_bgr: bool = False) -> Tensor:
        """Jitter a batch in place.

        Args:
            images (Tensor): ``(N, 3, H, W)``, float32, any range.
            is_bgr (bool): Whether the channels are B, G, R. Defaults to
                False: R, G, B.

        Returns:
            Tensor: ``images``.

        Raises:
            ValueError: If the images have no three channels.
        """
        _check_channels(images, 'color_jitter')
        draws = 2 * torch.rand(3, len(images), device=images.device) - 1
        factors = {name: 1 + value * draw for (name, value), draw in zip(self.ranges.items(), draws)}
        return adjust_color(images, **factors, is_bgr=is_bgr)


class Lighting(nn.Module):
    """Random steps along the principal components of the colours, as in AlexNet.

    Each image gets one step, see :func:`lighting_steps`, whose lengths α are
    normally distributed.

    Args:
        alphastd (float): Standard deviation of α, at least 0.
        eigval (Sequence[float]): Three eigenvalues, of images in [0, 1].
        eigvec (Sequence[Sequence[float]]): Eigenvectors, one in each of the
            three columns; rows are R, G, B.

    Raises:
        ValueError: If alphastd is negative, or if eigval or eigvec have
            another shape or range.
    """

    def __init__(self, alphastd: float, eigval: Sequence[float], eigvec: Sequence[Sequence[float]]) -> None:
        super().__init__()
        if not isinstance(alphastd, Real) or not alphastd >= 0:
            raise ValueError(f'lighting.alphastd={alphastd!r} must be a number and not negative.')
        if len(eigval) != 3 or not all(0 <= value <= 1 for value in eigval):
            raise ValueError(
                f'lighting.eigval={eigval} must be three numbers in [0, 1], as of images in [0, 1]: divide those of '
                'images in [0, 255] by 255.'
            )
        if [len(row) for row in eigvec] != [3, 3, 3]:
            raise ValueError(f'lighting.eigvec={eigvec} must have three rows, for R, G, B, of three numbers.')
        self.alphastd = alphastd
        self.register_buffer('eigval', torch.tensor(eigval, dtype=torch.float32), persistent=False)
        self.register_buffer('eigvec', torch.tensor(eigvec, dtype=torch.float32), persistent=False)

    @torch.compiler.disable
    def forward(self, images: Tensor, is_bgr: bool = False) -> Tensor:
        """Add a random step to every image of a batch, in place.

        Args:
            images (Tensor): ``(N, 3, H, W)``, float32, in units of [0, 255].
            is_bgr (bool): Whether the channels are B, G, R. Defaults to
                False: R, G, B.

        Returns:
            Tensor: ``images``.

        Raises:
            ValueError: If the images have no three channels.
        """
        _check_channels(images, 'lighting')
        alphas = self.alphastd * torch.randn(len(images), 3, device=images.device)
        steps = 255 * lighting_steps(alphas, self.eigval, self.eigvec)
        return images.add_((steps.flip(1) if is_bgr else steps)[:, :, None, None])


def adjust_color(
    images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, is_bgr: bool = False
) -> Tensor:
    r"""Change brightness, contrast and saturation of every image of a batch, in place.

    A factor below 1 mixes the image x with black (brightness b), with the
    mean of its grey image g(x) (contrast c) or with g(x) (saturation s); one
    above 1 moves it away. Nothing is clipped, so all three are linear and
    commute: the result does not depend on the order, and is

    .. math:: b \big( c\, y + (1 - c)\, \overline{g(y)} \big), \quad y = s\, x + (1 - s)\, g(x)

    Args:
        images (Tensor): x, ``(N, 3, H, W)``, float32, any range.
        brightness (Tensor): b, ``(N,)``, float32.
        contrast (Tensor): c, ``(N,)``, float32.
        saturation (Tensor): s, ``(N,)``, float32.
        is_bgr (bool): Whether the channels are B, G, R. Defaults to False:
            R, G, B.

    Returns:
        Tensor: ``images``.
    """
    brightness, contrast, saturation = (factor[:, None, None] for factor in (brightness, contrast, saturation))
    red, green, blue = reversed(images.unbind(1)) if is_bgr else images.unbind(1)
    grey = (red * GREY_WEIGHTS[0]).add_(green, alpha=GREY_WEIGHTS[1]).add_(blue, alpha=GREY_WEIGHTS[2])
    grey_mean = grey.mean((1, 2), keepdim=True) * (saturation + (1 - saturation) * sum(GREY_WEIGHTS))
    # All that is the same in the three channels.
    common = (grey * (brightness * contrast * (1 - saturation))).add_(brightness * (1 - contrast) * grey_mean)
    return images.mul_((brightness * contrast * saturation)[:, None]).add_(common[:, None])


def lighting_steps(alphas: Tensor, eigval: Tensor, eigvec: Tensor) -> Tensor:
    r"""Steps of :math:`\sum_j \alpha_j \lambda_j v_j` in the space of colours.

    Args:
        alphas (Tensor): α, ``(N, 3)``, float32.
        eigval (Tensor): λ, ``(3,)``, float32.
        eigvec (Tensor): v, one in each column, ``(3, 3)``, float32.

    Returns:
        Tensor: ``(N, 3)``, float32, for the channels of ``eigvec``'s rows.
    """
    # No matrix product: autocast would round it to 16 bits.
    return (eigvec * (alphas * eigval)[:, None]).sum(2)


def _check_channels(images: Tensor, setting: str) -> None:
    if images.shape[1] != 3:
        raise ValueError(
            f'{setting} is for images with the channels R, G, B, but a batch has the shape {tuple(images.shape)}: '
            f'remove data_preprocessor.{setting}, or load colour images.'
        )
