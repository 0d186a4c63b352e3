# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from torch import Tensor, nn


def denormalize(images: Tensor, preprocessor: nn.Module) -> Tensor:
    """Undo the normalisation of a data preprocessor: x · std + mean.

    Args:
        images (Tensor): Normalised images, ``(N, C, H, W)``.
        preprocessor (nn.Module): mmpretrain's ``ClsDataPreprocessor``, or one
            that extends it.

    Returns:
        Tensor: Pixels in [0, 255], ``(N, C, H, W)``, with channels in the
        order that the network sees; ``images`` if nothing was normalised.
    """
    if getattr(preprocessor, 'mean', None) is None:
        return images
    return images * preprocessor.std + preprocessor.mean
