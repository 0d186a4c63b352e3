# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Errors of data sets that cannot be downloaded."""

from pathlib import Path
from typing import List

from mmengine.dataset import BaseDataset


class DownloadExplained(BaseDataset):
    """Mixin of mmpretrain's CIFAR and MNIST classes, for computers without internet access.

    Attributes:
        title (str): Name of the data set in errors. Defaults to that of the class.
        other_source (str): Sentence that names another way to get it. Defaults to ''.
    """

    title = ''
    other_source = ''

    def load_data_list(self) -> List[dict]:
        """Load images and labels; download them if they are missing.

        Returns:
            list[dict]: ``img`` and ``gt_label`` of each image.

        Raises:
            RuntimeError: If the download fails; names the archives and the
                folder to put them into.
        """
        try:
            return super().load_data_list()
        except Exception as error:
            # mmpretrain's assertions about a damaged file have no message.
            if not self.download or not str(error):
                raise
            root = Path(self.data_prefix['root'])
            # CIFAR comes in one archive, MNIST in one for each file.
            archives = (
                [self.filename] if hasattr(self, 'filename') else [name for name, _ in self.train_list + self.test_list]
            )
            raise RuntimeError(
                f'{self.title or type(self).__name__} is not in {root}, and downloading it failed ({error}). '
                f'{f"{self.other_source} Or get" if self.other_source else "Get"} {", ".join(archives)} elsewhere and '
                f'put {"them" if len(archives) > 1 else "it"} into {root}.'
            ) from None
