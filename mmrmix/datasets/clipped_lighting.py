# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Dict

import cv2
import mmcv
import numpy as np
from mmpretrain.datasets.transforms import Lighting

from mmrmix.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ClippedLighting(Lighting):
    """PCA lighting noise on 8-bit images, without overflow.

    mmpretrain's ``Lighting`` casts its result to uint8 as it is, so that a
    white pixel that becomes brighter comes out black (257 → 1). Here values
    are rounded and clipped to [0, 255].

    Args:
        eigval (Sequence[float]): Eigenvalues of the covariance of the pixel
            values in [0, 255].
        eigvec (list[list[float]]): Its eigenvectors, a row per channel in the
            order of the image's channels.
        alphastd (float): Standard deviation of the noise. Defaults to 0.1.
        to_rgb (bool): Whether to convert the image to RGB. Defaults to False.
    """

    def transform(self, results: Dict) -> Dict:
        """Add the noise to ``results['img']``.

        Args:
            results (dict): Has ``img``, ``(H, W, 3)``, uint8.

        Returns:
            dict: ``results`` with the new ``img``, uint8.
        """
        # The noise is one number a channel: what a black pixel becomes.
        shift = super().transform(dict(img=np.zeros((1, 1, 3), np.float32)))['img'].ravel()
        image = mmcv.bgr2rgb(results['img']) if self.to_rgb else results['img']
        results['img'] = cv2.add(image, (*shift.tolist(), 0))
        return results
