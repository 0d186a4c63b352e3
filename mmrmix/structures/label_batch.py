# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence
from functools import cached_property
from typing import Callable, List, Optional, Union

import torch
from mmpretrain.structures import DataSample
from torch import Tensor


class LabelBatch(Sequence):
    """Labels of a batch: one tensor, and a list of DataSamples for who wants one.

    mmpretrain carries labels as a list of N ``DataSample``, which its loader,
    preprocessor and heads each take apart and put together again. This is the
    same list for all code that indexes or iterates over it, but the samples
    are made when somebody does; until then the labels are one tensor.

    Args:
        gt_label (Tensor, optional): Class of each image, ``(N,)``, int64.
        gt_score (Tensor, optional): Soft or one-hot labels in [0, 1],
            ``(N, K)``. Defaults to None; one of the two must be there.
        sample_idx (list[int], optional): Index of each image in its data set.
            Defaults to None: not known.
    """

    def __init__(
        self, gt_label: Optional[Tensor], gt_score: Optional[Tensor] = None, sample_idx: Optional[List[int]] = None
    ) -> None:
        self.gt_label = gt_label
        self.gt_score = gt_score
        self.sample_idx = sample_idx

    @classmethod
    def collect(cls, samples: Union['LabelBatch', List[DataSample]]) -> 'LabelBatch':
        """Labels of mmpretrain's samples.

        Args:
            samples (LabelBatch or list[DataSample]): Each with one
                ``gt_label``, ``gt_score`` or both.

        Returns:
            LabelBatch: ``samples`` itself if it is one; else it has the
            samples' labels, but not the other things that they hold.
        """
        if isinstance(samples, cls):
            return samples
        label = torch.cat([sample.gt_label for sample in samples]) if 'gt_label' in samples[0] else None
        score = torch.stack([sample.gt_score for sample in samples]) if 'gt_score' in samples[0] else None
        return cls(label, score)

    @cached_property
    def samples(self) -> List[DataSample]:
        """list[DataSample]: N samples, whose labels are views of the tensors."""
        samples = [DataSample() for _ in range(len(self))]
        if self.gt_label is not None:
            for sample, label in zip(samples, self.gt_label.split(1)):
                sample.set_field(label, 'gt_label')
        if self.gt_score is not None:
            for sample, score in zip(samples, self.gt_score.unbind()):
                sample.set_field(score, 'gt_score')
        if self.sample_idx is not None:
            for sample, index in zip(samples, self.sample_idx):
                sample.set_field(index, 'sample_idx', field_type='metainfo')
        return samples

    def __len__(self) -> int:
        return len(self.gt_score if self.gt_label is None else self.gt_label)

    def __getitem__(self, index: Union[int, slice]) -> Union[DataSample, List[DataSample]]:
        return self.samples[index]

    def pin_memory(self) -> 'LabelBatch':
        """Copy to pinned memory; torch's data loaders call it.

        Returns:
            LabelBatch: The copy.
        """
        return self._map(torch.Tensor.pin_memory)

    def to(self, device: torch.device) -> 'LabelBatch':
        """Copy to a device, from pinned memory without waiting for it.

        Args:
            device (torch.device): Where the labels go.

        Returns:
            LabelBatch: The copy; the tensors themselves where they are there.
        """
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def _map(self, function: Callable[[Tensor], Tensor]) -> 'LabelBatch':
        tensors = [tensor if tensor is None else function(tensor) for tensor in (self.gt_label, self.gt_score)]
        return LabelBatch(*tensors, self.sample_idx)
