# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Labels of a batch as tensors, from mmpretrain's list of samples."""

from typing import Optional, Sequence, Tuple

import torch
from mmpretrain.structures import DataSample
from torch import Tensor

from mmrmix.history import mixing_of


def batch_labels(
    data_samples: Sequence[DataSample], is_multi_label: bool = False
) -> Tuple[Optional[Tensor], Optional[Tensor]]:
    """Classes and scores of a batch.

    Args:
        data_samples (Sequence[DataSample]): N samples with ``gt_label``,
            ``gt_score`` or both, or a batch that has them as tensors, in an
            attribute ``packed``.
        is_multi_label (bool): Samples may have several classes, or none; then
            only scores are collected. Defaults to False.

    Returns:
        tuple[Tensor or None, Tensor or None]: ``gt_label``, ``(N,)``, int64,
        and ``gt_score``, ``(N, K)``: the tensor that the augments returned,
        where the samples hold its rows. One of them may be None.

    Raises:
        ValueError: If there are no labels, or several where one is expected.
    """
    packed = getattr(data_samples, 'packed', None)
    if packed is not None:
        return packed
    label = score = None
    if 'gt_score' in data_samples[0]:
        score = stack_rows([sample.gt_score for sample in data_samples])
    if 'gt_label' in data_samples[0] and not is_multi_label:
        labels = [sample.gt_label for sample in data_samples]
        wrong = next((label for label in labels if label.numel() != 1), None)
        if wrong is not None:
            raise ValueError(
                f'An image has the labels {wrong.tolist()}, but one class an image is expected. For data with '
                'several set head.thr=0.5, head.loss=dict(type="CrossEntropyLoss", use_sigmoid=True) and '
                'data_preprocessor.to_onehot=True.'
            )
        label = torch.cat(labels)
    if label is None and score is None:
        wanted = 'several gt_label made one-hot (data_preprocessor.to_onehot=True)' if is_multi_label else 'gt_label'
        raise ValueError(f'The samples have no labels to train with: neither gt_score nor {wanted}.')
    return label, score


def stack_rows(rows: Sequence[Tensor]) -> Tensor:
    """Stack rows ``(K,)`` to ``(N, K)``: the very tensor that they were taken from, if they are all of it.

    Preprocessors hand out the rows of the labels that augments return, one to
    each sample; :func:`mmrmix.mixing_of` needs the tensor itself. A
    view knows it as ``_base``; torch has no public name for that. A part of a
    batch that RecursiveMix mixed is an error, and so is another order.
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
