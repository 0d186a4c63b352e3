# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Callable, Iterator, List, NamedTuple, Optional, Union

import torch
from mmpretrain.structures import DataSample
from torch import Tensor


class PackedLabels(NamedTuple):
    """Labels of N images as tensors: ``gt_label``, ``(N,)``, int64, ``gt_score``, ``(N, K)``, or one of them."""

    gt_label: Optional[Tensor]
    gt_score: Optional[Tensor]


class LabelBatch:
    """Labels of a batch as tensors, which unpack into ``DataSample`` when someone indexes or iterates.

    mmpretrain carries labels as a list of N samples, which its loader,
    preprocessor and heads each take apart and put together again. Once
    unpacked, the samples are the labels and ``packed`` is None, so that there
    are never two truths.

    It is no :class:`collections.abc.Sequence` on purpose: torch and mmengine
    rebuild those item by item and lose what they do not know.

    Args:
        gt_label (Tensor, optional): Class of each image, ``(N,)``, int64.
        gt_score (Tensor, optional): Soft or one-hot labels in [0, 1],
            ``(N, K)``. Defaults to None; one of the two is needed.
        sample_idx (list[int], optional): Index of each image in its data set.
            Defaults to None.

    Attributes:
        packed (PackedLabels, optional): None once unpacked.
    """

    def __init__(
        self, gt_label: Optional[Tensor], gt_score: Optional[Tensor] = None, sample_idx: Optional[List[int]] = None
    ) -> None:
        self.packed: Optional[PackedLabels] = PackedLabels(gt_label, gt_score)
        self.sample_idx = sample_idx
        self._samples: List[DataSample] = []

    @property
    def samples(self) -> List[DataSample]:
        """list[DataSample]: N samples, the same at every call."""
        if self.packed is not None:
            samples = [DataSample() for _ in range(len(self))]
            for name, tensor in self.packed._asdict().items():
                rows = () if tensor is None else tensor.split(1) if tensor.ndim == 1 else tensor.unbind()
                for sample, row in zip(samples, rows):
                    sample.set_field(row, name)
            for sample, index in zip(samples, self.sample_idx or ()):
                sample.set_field(index, 'sample_idx', field_type='metainfo')
            self._samples, self.packed = samples, None
        return self._samples

    def __len__(self) -> int:
        if self.packed is None:
            return len(self._samples)
        return next((len(tensor) for tensor in self.packed if tensor is not None), 0)

    def __getitem__(self, index: Union[int, slice]) -> Union[DataSample, List[DataSample]]:
        return self.samples[index]

    def __iter__(self) -> Iterator[DataSample]:
        return iter(self.samples)

    def pin_memory(self) -> 'LabelBatch':
        """Copy to pinned memory; torch's data loaders call it."""
        return self._map(torch.Tensor.pin_memory)

    def to(self, device: torch.device) -> 'LabelBatch':
        """Copy to a device, from pinned memory without waiting."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def _map(self, function: Callable[[Tensor], Tensor]) -> 'LabelBatch':
        if self.packed is None:
            raise RuntimeError(
                'These labels are unpacked: move its samples instead, [sample.to(...) for sample in batch].'
            )
        tensors = [tensor if tensor is None else function(tensor) for tensor in self.packed]
        return LabelBatch(*tensors, self.sample_idx)
