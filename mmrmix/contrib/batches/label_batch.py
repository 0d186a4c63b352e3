# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Callable, Iterator, List, Optional, Sequence, Union

import torch
from mmpretrain.structures import DataSample
from torch import Tensor

from mmrmix.history import mixing_of


class LabelBatch:
    """Labels of a batch as one tensor, for data sets with one label an image.

    mmpretrain carries labels as a list of N ``DataSample``, which its loader,
    preprocessor and heads each take apart and put together again. This keeps
    the tensors until somebody indexes it or iterates over it. From then on
    the samples are the labels: what is written into them counts, here, too.

    It is no :class:`collections.abc.Sequence` on purpose: torch and mmengine
    rebuild those item by item, and lose what they do not know.

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
        self._label = gt_label
        self._score = gt_score
        self.sample_idx = sample_idx
        self._samples: Optional[List[DataSample]] = None

    @classmethod
    def collect(cls, samples: Union['LabelBatch', Sequence[DataSample]], is_multi_label: bool = False) -> 'LabelBatch':
        """Labels of mmpretrain's samples.

        Args:
            samples (LabelBatch or Sequence[DataSample]): Each with
                ``gt_label``, ``gt_score`` or both.
            is_multi_label (bool): Whether samples may have several classes,
                or none; then their scores are all that is collected.
                Defaults to False.

        Returns:
            LabelBatch: ``samples`` itself if it is one; else it has the
            samples' labels, but not the other things that they hold.

        Raises:
            ValueError: If there are no labels, or several where one is
                expected.
        """
        if isinstance(samples, cls):
            return samples
        label = score = None
        if 'gt_score' in samples[0]:
            score = stack_rows([sample.gt_score for sample in samples])
        if 'gt_label' in samples[0] and not is_multi_label:
            labels = [sample.gt_label for sample in samples]
            wrong = next((label for label in labels if label.numel() != 1), None)
            if wrong is not None:
                raise ValueError(
                    f'An image has the labels {wrong.tolist()}, but one class an image is expected. For data with '
                    'several set head.thr=0.5, head.loss=dict(type="CrossEntropyLoss", use_sigmoid=True) and '
                    'data_preprocessor.to_onehot=True.'
                )
            label = torch.cat(labels)
        if label is None and score is None:
            raise ValueError(
                'The samples have no labels to train with: neither gt_score nor '
                + (
                    'several gt_label made one-hot (data_preprocessor.to_onehot=True).'
                    if is_multi_label
                    else 'gt_label.'
                )
            )
        return cls(label, score)

    @property
    def gt_label(self) -> Optional[Tensor]:
        """Tensor, optional: Class of each image, ``(N,)``, int64."""
        return self._label if self._samples is None else LabelBatch.collect(self._samples)._label

    @property
    def gt_score(self) -> Optional[Tensor]:
        """Tensor, optional: Soft or one-hot labels, ``(N, K)``."""
        return self._score if self._samples is None else LabelBatch.collect(self._samples)._score

    @property
    def samples(self) -> List[DataSample]:
        """list[DataSample]: N samples, the same at every call."""
        if self._samples is None:
            samples = [DataSample() for _ in range(len(self))]
            if self._label is not None:
                for sample, label in zip(samples, self._label.split(1)):
                    sample.set_field(label, 'gt_label')
            if self._score is not None:
                for sample, score in zip(samples, self._score.unbind()):
                    sample.set_field(score, 'gt_score')
            if self.sample_idx is not None:
                for sample, index in zip(samples, self.sample_idx):
                    sample.set_field(index, 'sample_idx', field_type='metainfo')
            # One truth of the labels.
            self._samples, self._label, self._score = samples, None, None
        return self._samples

    def __len__(self) -> int:
        if self._samples is not None:
            return len(self._samples)
        tensor = self._score if self._label is None else self._label
        return 0 if tensor is None else len(tensor)

    def __getitem__(self, index: Union[int, slice]) -> Union[DataSample, List[DataSample]]:
        return self.samples[index]

    def __iter__(self) -> Iterator[DataSample]:
        return iter(self.samples)

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
            LabelBatch: The copy; its tensors are the same where they are
            there already.
        """
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def _map(self, function: Callable[[Tensor], Tensor]) -> 'LabelBatch':
        tensors = [tensor if tensor is None else function(tensor) for tensor in (self.gt_label, self.gt_score)]
        return LabelBatch(*tensors, self.sample_idx)


def stack_rows(rows: Sequence[Tensor]) -> Tensor:
    """``torch.stack``, without a copy where the rows make up one tensor.

    Preprocessors hand out the rows of the labels that augments return, one to
    each sample. This returns the very tensor that they were taken from, by
    which :func:`mmrmix.history.mixing_of` recognises a batch.

    Args:
        rows (Sequence[Tensor]): N tensors ``(K,)``.

    Returns:
        Tensor: ``(N, K)``.

    Raises:
        ValueError: If they are a part of a batch that RecursiveMix mixed, or
            all of it in another order.
    """
    whole = rows[0]._base
    if whole is not None and whole.shape == (len(rows), *rows[0].shape) and whole.is_contiguous():
        first, length = whole.storage_offset(), rows[0].numel()
        if all(row._base is whole and row.storage_offset() == first + n * length for n, row in enumerate(rows)):
            return whole
    if mixing_of(whole) is not None:
        raise ValueError(
            f'{len(rows)} samples belong to a batch of {len(whole)} that RecursiveMix mixed, but are not all of it in '
            'its order, so boxes and predictions of the history would go to the wrong images: pass a batch on as it '
            'comes from the data preprocessor, and split it before that (accumulative_counts does).'
        )
    return torch.stack(list(rows))
