# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What a data set says where it cannot be downloaded."""

from pathlib import Path
from typing import List, Sequence, Union

from mmengine.dataset import BaseDataset


def not_downloaded(
    name: str, root: Union[str, Path], archives: Sequence[str], error: Exception, instead: str = ''
) -> RuntimeError:
    """The error of a data set that is neither there nor to be had.

    Args:
        name (str): Of the data set.
        root (str or Path): Where it was looked for.
        archives (Sequence[str]): File names of what the download consists of.
        error (Exception): Why the download failed.
        instead (str): A further way to get it, a sentence. Defaults to ''.

    Returns:
        RuntimeError: Says what to put where.
    """
    ways = f'{instead} Or get' if instead else 'Get'
    return RuntimeError(
        f'{name} is not in {Path(root)}, and downloading it failed ({error}). {ways} {", ".join(archives)} elsewhere and '
        f'put {"them" if len(archives) > 1 else "it"} into {Path(root)}.'
    )


class DownloadExplained(BaseDataset):
    """Mixin of mmpretrain's CIFAR classes, for computers without internet."""

    def load_data_list(self) -> List[dict]:
        """Images and labels, downloaded where they are missing.

        Returns:
            list[dict]: ``img`` and ``gt_label`` of each image.

        Raises:
            RuntimeError: If the files are neither there nor to be had;
                ``not_downloaded`` says what to put where.
        """
        try:
            return super().load_data_list()
        except Exception as error:
            if self._check_integrity() or not self.download:
                raise
            name = type(self).__name__.replace('CIFAR', 'CIFAR-')
            raise not_downloaded(name, self.data_prefix['root'], [self.filename], error) from None
