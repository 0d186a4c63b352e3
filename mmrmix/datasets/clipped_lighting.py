# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import cv2
import mmcv
import numpy as np
from mmpretrain.datasets.transforms import Lighting

from mmrmix.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ClippedLighting(Lighting):
    """PCA lighting noise on uint8 images, rounded and clipped to [0, 255].

    mmpretrain's ``Lighting`` casts its result to uint8 without clipping, so
    that a white pixel that becomes brighter turns black (257 → 1).

    Args:
        eigval (Sequence[float]): Eigenvalues of the covariance of the pixel
            values in [0, 255].
        eigvec (list[list[float]]): Its eigenvectors, one row per channel in the
            order of the image's channels.
        alphastd (float): Standard deviation of the noise. Defaults to 0.1.
        to_rgb (bool): Whether to convert the image to RGB. Defaults to False.
    """

    def transform(self, results: dict) -> dict:
        """Add noise to ``results['img']``, ``(H, W, 3)``, uint8."""
        # The noise is one number per channel: the result for a black pixel.
        shift = super().transform(dict(img=np.zeros((1, 1, 3), np.float32)))['img'].ravel()
        image = mmcv.bgr2rgb(results['img']) if self.to_rgb else results['img']
        results['img'] = cv2.add(image, (*shift.tolist(), 0))
        return results
