# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Data sets of equally sized images in memory, fetched a batch at a time."""

from collections.abc import Sequence
from typing import Any, Dict, List, Optional, Tuple

import torch
from mmengine.dataset import BaseDataset, default_collate
from mmpretrain.datasets import CIFAR10 as _CIFAR10
from mmpretrain.datasets import CIFAR100 as _CIFAR100
from mmpretrain.datasets import PackInputs
from torch import Tensor

from mmrmix.registry import DATASETS, FUNCTIONS

from .download import DownloadExplained
from .label_batch import LabelBatch

# Settings of an unmodified PackInputs.
DEFAULTS = vars(PackInputs())


class _WholeBatch(Sequence):
    """A collated batch that reads as the list of its N items.

    torch calls ``dataset.__getitems__(indices)`` and passes the result to the
    collate function. :func:`collate_whole_batch` takes the batch as it is; any
    other collate function iterates over the items, as usual.
    """

    def __init__(self, batch: Dict[str, Any]) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch['inputs'])

    def __getitem__(self, position: int) -> Dict[str, Any]:
        return {key: values[position] for key, values in self.batch.items()}


@FUNCTIONS.register_module()
def collate_whole_batch(items: Sequence, _scope_: Optional[str] = None) -> Dict[str, Any]:
    """Collate function that costs nothing per image for :class:`WholeBatches`.

    Args:
        items (Sequence): N items. Lists, which other data sets and pipelines
            return, go through mmengine's ``default_collate``.
        _scope_ (str, optional): Ignored. mmengine adds it to configs that are
            inherited by ``mmrmix::`` and passes it to collate functions.

    Returns:
        dict: ``inputs``, ``(N, C, H, W)``, uint8, and ``data_samples``, a
        :class:`mmrmix.contrib.LabelBatch` or a list of N ``DataSample``.
    """
    return items.batch if isinstance(items, _WholeBatch) else default_collate(items)


class WholeBatches(BaseDataset):
    """Mixin of data sets that hold their images in memory.

    If the pipeline consists of a plain ``PackInputs``, which does the same to
    every image, images and labels are packed once into two tensors. A batch
    is then one ``index_select``, and with
    ``collate_fn=dict(type='mmrmix.collate_whole_batch')`` no Python code runs
    per image. :class:`mmrmix.BatchDataPreprocessor` crops and flips.

    With any other pipeline, collate function or wrapper, it behaves like the
    data set that it extends.
    """

    _tensors: Optional[Tuple[Tensor, Tensor]] = None

    def full_init(self) -> None:
        """Load and pack the data set, see :class:`mmengine.dataset.BaseDataset`."""
        super().full_init()
        # Before loader workers start: they share the memory.
        if self._tensors is None:
            self._pack()

    def get_subset_(self, indices: Any) -> None:
        """Keep a subset, see :class:`mmengine.dataset.BaseDataset`."""
        super().get_subset_(indices)
        self._pack()

    def get_subset(self, indices: Any) -> 'WholeBatches':
        """Return a subset as a new data set, see :class:`mmengine.dataset.BaseDataset`."""
        subset = super().get_subset(indices)
        subset._pack()
        return subset

    def __getitems__(self, indices: List[int]) -> Sequence:
        """Return the items of a batch; torch's data loaders call it with N indices."""
        # Checked for every batch: hooks may switch the pipeline during a run.
        if not self._is_packable():
            return [self[index] for index in indices]
        if self._tensors is None:
            self._pack()
        images, labels = (tensor.index_select(0, torch.as_tensor(indices)) for tensor in self._tensors)
        return _WholeBatch(dict(inputs=images, data_samples=LabelBatch(labels, sample_idx=list(indices))))

    def _is_packable(self) -> bool:
        """Whether the pipeline is ``PackInputs()`` and nothing else."""
        transforms = self.pipeline.transforms
        return [type(transform) for transform in transforms] == [PackInputs] and vars(transforms[0]) == DEFAULTS

    def _pack(self) -> None:
        self._tensors = None
        if self._is_packable():
            infos = [self.get_data_info(index) for index in range(len(self))]
            images = torch.stack([PackInputs.format_input(info['img']) for info in infos])
            self._tensors = images, torch.tensor([int(info['gt_label']) for info in infos])


@DATASETS.register_module()
class CIFAR10(WholeBatches, DownloadExplained, _CIFAR10):
    """mmpretrain's CIFAR-10, fetched a batch at a time, see :class:`WholeBatches`."""

    title = 'CIFAR-10'


@DATASETS.register_module()
class CIFAR100(WholeBatches, DownloadExplained, _CIFAR100):
    """mmpretrain's CIFAR-100, fetched a batch at a time, see :class:`WholeBatches`."""

    title = 'CIFAR-100'
