# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Any

from mmpretrain.datasets import ImageNet as _ImageNet

from mmrmix.registry import DATASETS


@DATASETS.register_module()
class ImageNet(_ImageNet):
    """mmpretrain's ImageNet, whose errors name the image.

    OpenCV's error for an empty file, for one, does not: among 1.3 million
    images, nobody finds it.
    """

    def prepare_data(self, idx: int) -> Any:
        """An image through the pipeline.

        Args:
            idx (int): Its index.

        Returns:
            Any: What the pipeline returns.

        Raises:
            RuntimeError: Names the file that cannot be loaded, and why.
        """
        try:
            return super().prepare_data(idx)
        except Exception as error:
            path = self.get_data_info(idx)['img_path']
            raise RuntimeError(
                f'{path} cannot be loaded: {str(error).strip()}. Replace it, or take it out of the data set.'
            ) from error
