# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import logging
from typing import Any

import torch
from mmengine.logging import print_log
from mmpretrain.datasets import ImageNet as _ImageNet

from mmrmix.registry import DATASETS


@DATASETS.register_module()
class ImageNet(_ImageNet):
    """mmpretrain's ImageNet with errors that name the image; OpenCV's do not.

    Args:
        max_skips (int): How many images in a row may be skipped because they
            cannot be loaded. The next image of the data set takes the place of
            each, so that a resumed run replaces it by the same one; the log
            names and counts them. Defaults to 0: an error at once.
        **kwargs: Arguments of :class:`mmpretrain.datasets.ImageNet`.
    """

    def __init__(self, max_skips: int = 0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.max_skips = max_skips
        # One number for all loader workers.
        self._num_skipped = torch.zeros((), dtype=torch.int64).share_memory_()

    def prepare_data(self, idx: int, skips: int = 0) -> Any:
        """Run the pipeline on an image.

        Args:
            idx (int): Index of the image.
            skips (int): Images before it that were skipped. Defaults to 0.

        Returns:
            Any: The result of the pipeline.

        Raises:
            RuntimeError: If the image cannot be loaded, with the path of its
                file, and there were ``max_skips`` skips.
        """
        try:
            return super().prepare_data(idx)
        except Exception as error:
            reason = f'{self.get_data_info(idx)["img_path"]} cannot be loaded: {str(error).strip()}'
            if skips >= self.max_skips:
                raise RuntimeError(f'{reason}. Replace it or remove it from the data set.') from error
        self._num_skipped += 1
        print_log(f'{reason}. Skipped; skips so far: {int(self._num_skipped)}.', 'current', logging.WARNING)
        return self.prepare_data((idx + 1) % len(self), skips + 1)
