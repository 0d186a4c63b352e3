# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import gzip
from pathlib import Path

from mmpretrain.datasets import FashionMNIST as _FashionMNIST

from mmrmix.contrib.checkpoints.files import AtomicLocalBackend
from mmrmix.registry import DATASETS

from .download import not_downloaded
from .whole_batches import WholeBatches

DEBIAN_PACKAGE = 'dataset-fashion-mnist'
ARCHIVES = [name for name, _ in _FashionMNIST.train_list + _FashionMNIST.test_list]


@DATASETS.register_module()
class FashionMNIST(WholeBatches, _FashionMNIST):
    """Fashion-MNIST: 60,000 + 10,000 grey photographs of clothes, 28×28.

    mmpretrain's data set, which also finds the files of the Debian package
    ``dataset-fashion-mnist``, and whose ``split='test'`` are the test images:
    mmpretrain's classes for MNIST choose the files by ``test_mode`` alone, so
    that they evaluate on the training images where it is forgotten. It is
    fetched a batch at a time, see :class:`WholeBatches`.

    Args:
        data_root (str): Folder for the four unpacked files. Where they are
            missing they are unpacked from archives in that folder or from the
            Debian package, else downloaded.
        split (str): ``'train'`` or ``'test'``. Defaults to ``'train'``.
        package_folder (str): Where the Debian package has its files.
            Defaults to its usual place.
        **kwargs: Other arguments of mmpretrain's ``FashionMNIST``.

    Raises:
        RuntimeError: If the files are nowhere to be had; says where to put
            them.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        package_folder: str = '/usr/share/datasets/fashion-mnist',
        **kwargs,
    ) -> None:
        self.package_folder = package_folder
        super().__init__(data_root=data_root, split=split, test_mode=split == 'test', **kwargs)

    def _download(self) -> None:
        """Get the files that are missing; mmpretrain calls it on one process."""
        root = Path(self.data_prefix['root'])
        if unpack_archives(root, root) or unpack_archives(Path(self.package_folder), root):
            return
        try:
            super()._download()
        except Exception as error:
            package = f'Install the Debian package (apt-get install {DEBIAN_PACKAGE}).'
            raise not_downloaded('Fashion-MNIST', root, ARCHIVES, error, package) from None


def unpack_archives(folder: Path, root: Path) -> bool:
    """Unpack the four archives of a folder.

    Args:
        folder (Path): Where the ``.gz`` files may lie.
        root (Path): Where the unpacked ones go; made if needed.

    Returns:
        bool: Whether all archives were there; if not, nothing is done.
    """
    if not all((folder / name).is_file() for name in ARCHIVES):
        return False
    for name in ARCHIVES:
        AtomicLocalBackend().put(gzip.decompress((folder / name).read_bytes()), root / Path(name).stem)
    return True
