# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Data sets of equally large images in memory, fetched a batch at a time."""

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

# Settings of a PackInputs that nobody has changed.
DEFAULTS = vars(PackInputs())


class WholeBatches(BaseDataset):
    """Mixin of data sets that hold their images in memory.

    A pipeline of nothing but ``PackInputs`` does the same to every image, so
    images and labels are packed once, into two tensors, and a batch is one
    selection of rows: with ``collate_fn=dict(type='mmrmix.collate_whole_batch')``
    no Python runs for a single image. Crop and flip are
    :class:`mmrmix.BatchDataPreprocessor`'s.

    With any other pipeline, collate function or wrapper around it, it is the
    ordinary data set that it extends.
    """

    _tensors: Optional[Tuple[Tensor, Tensor]] = None

    def full_init(self) -> None:
        """Load the data set, see :class:`mmengine.dataset.BaseDataset`."""
        if not self._fully_initialized:
            super().full_init()
            self._pack()

    def get_subset_(self, indices: Any) -> None:
        """Keep a part of the data set.

        Args:
            indices (int or Sequence[int]): See
                :class:`mmengine.dataset.BaseDataset`.
        """
        super().get_subset_(indices)
        self._pack()

    def get_subset(self, indices: Any) -> 'WholeBatches':
        """A part of the data set, as a data set of its own.

        Args:
            indices (int or Sequence[int]): See
                :class:`mmengine.dataset.BaseDataset`.

        Returns:
            WholeBatches: The part.
        """
        subset = super().get_subset(indices)
        subset._pack()
        return subset

    def take(self, indices: List[int]) -> Dict[str, Any]:
        """A batch, as the collated items of the data set.

        Args:
            indices (list[int]): N indices.

        Returns:
            dict: ``inputs``, a tensor ``(N, C, H, W)``, uint8, and
            ``data_samples``, a :class:`mmrmix.contrib.batches.LabelBatch`, or a
            list where the pipeline is not ``PackInputs`` alone.
        """
        # Hooks switch pipelines in the middle of a run.
        if not self._is_packable():
            return default_collate([self[index] for index in indices])
        if self._tensors is None:
            self._pack()
        images, labels = self._tensors
        rows = torch.as_tensor(indices)
        return dict(
            inputs=images.index_select(0, rows),
            data_samples=LabelBatch(labels.index_select(0, rows), sample_idx=list(indices)),
        )

    def __getitems__(self, indices: List[int]) -> 'LazyBatch':
        """What torch's data loaders call for a batch.

        Args:
            indices (list[int]): N indices.

        Returns:
            LazyBatch: For the collate function.
        """
        return LazyBatch(self, indices)

    def _is_packable(self) -> bool:
        """Whether the pipeline is ``PackInputs()`` and nothing else."""
        transforms = self.pipeline.transforms
        return [type(transform) for transform in transforms] == [PackInputs] and vars(transforms[0]) == DEFAULTS

    def _pack(self) -> None:
        self._tensors = None
        if not self._is_packable():
            return
        infos = [self.get_data_info(index) for index in range(len(self))]
        images = torch.stack([PackInputs.format_input(info['img']) for info in infos])
        self._tensors = images, torch.tensor([int(info['gt_label']) for info in infos])


class LazyBatch(Sequence):
    """Items of a data set that nobody has fetched yet.

    A list of items for ordinary collate functions;
    :func:`collate_whole_batch` fetches them all at once.

    Args:
        dataset (WholeBatches): The data set.
        indices (list[int]): N indices.
    """

    def __init__(self, dataset: WholeBatches, indices: List[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> dict:
        return self.dataset[self.indices[position]]


@FUNCTIONS.register_module()
def collate_whole_batch(items: Sequence, _scope_: Optional[str] = None) -> dict:
    """Collate function of data sets with whole batches.

    Args:
        items (Sequence): What the data set returned for a batch; items of
            other data sets are collated by mmengine's ``default_collate``.
        _scope_ (str, optional): Not used. mmengine adds it to what a config
            inherits by ``mmrmix::``, and passes it on to collate functions.

    Returns:
        dict: See :meth:`WholeBatches.take`.
    """
    return items.dataset.take(items.indices) if isinstance(items, LazyBatch) else default_collate(items)


@DATASETS.register_module()
class CIFAR10(WholeBatches, DownloadExplained, _CIFAR10):
    """mmpretrain's CIFAR-10, fetched a batch at a time, see :class:`WholeBatches`."""


@DATASETS.register_module()
class CIFAR100(WholeBatches, DownloadExplained, _CIFAR100):
    """mmpretrain's CIFAR-100, fetched a batch at a time, see :class:`WholeBatches`."""
