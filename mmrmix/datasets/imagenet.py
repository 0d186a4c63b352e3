# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Any

from mmpretrain.datasets import ImageNet as _ImageNet

from mmrmix.registry import DATASETS


@DATASETS.register_module()
class ImageNet(_ImageNet):
    """mmpretrain's ImageNet with errors that name the image; OpenCV's do not."""

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on image ``idx``; a RuntimeError names the file that cannot be loaded."""
        try:
            return super().prepare_data(idx)
        except Exception as error:
            path = self.get_data_info(idx)['img_path']
            raise RuntimeError(
                f'{path} cannot be loaded: {str(error).strip()}. Replace it or remove it from the data set.'
            ) from error
