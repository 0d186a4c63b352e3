# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import gzip
from pathlib import Path
from typing import List

from mmengine.dist import is_main_process
from mmpretrain.datasets import FashionMNIST as _FashionMNIST

from mmrmix.contrib.checkpoints.files import write_atomically
from mmrmix.registry import DATASETS

from .download import DownloadExplained
from .whole_batches import WholeBatches

DEBIAN_PACKAGE = 'dataset-fashion-mnist'
ARCHIVES = [name for name, _ in _FashionMNIST.train_list + _FashionMNIST.test_list]


@DATASETS.register_module()
class FashionMNIST(WholeBatches, DownloadExplained, _FashionMNIST):
    """Fashion-MNIST: 60,000 + 10,000 grey images of clothes, 28×28 pixels.

    Differences from mmpretrain's class: it also finds the files of the Debian
    package ``dataset-fashion-mnist``; ``split='test'`` alone selects the test
    images, where mmpretrain silently loads the training images unless
    ``test_mode=True`` is set, too; and it is fetched a batch at a time, see
    :class:`WholeBatches`.

    Args:
        data_root (str): Folder of the four unpacked files. Missing files are
            unpacked from archives in that folder or from the Debian package,
            or downloaded.
        split (str): ``'train'`` or ``'test'``. Defaults to ``'train'``.
        package_folder (str): Folder of the Debian package's files.
        **kwargs: Other arguments of mmpretrain's ``FashionMNIST``.

    Raises:
        RuntimeError: If the files can neither be found nor downloaded.
    """

    title = 'Fashion-MNIST'
    other_source = f'Install the Debian package (apt-get install {DEBIAN_PACKAGE}).'

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        package_folder: str = '/usr/share/datasets/fashion-mnist',
        **kwargs,
    ) -> None:
        self.package_folder = package_folder
        super().__init__(data_root=data_root, split=split, test_mode=split == 'test', **kwargs)

    def load_data_list(self) -> List[dict]:
        """Return ``img`` and ``gt_label`` of each image; unpack or download missing files."""
        root = Path(self.data_prefix['root'])
        if is_main_process() and not all((root / Path(name).stem).is_file() for name in ARCHIVES):
            unpack_archives(root, root) or unpack_archives(Path(self.package_folder), root)
        return super().load_data_list()


def unpack_archives(folder: Path, root: Path) -> bool:
    """Unpack the four archives of a folder.

    Args:
        folder (Path): Folder of the ``.gz`` files.
        root (Path): Folder for the unpacked files; created if needed.

    Returns:
        bool: Whether all archives were found; if not, nothing is unpacked.
    """
    if not all((folder / name).is_file() for name in ARCHIVES):
        return False
    for name in ARCHIVES:
        write_atomically(root / Path(name).stem, gzip.decompress((folder / name).read_bytes()))
    return True
