# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Eq. 5 of the paper: how the prediction inside the box agrees with the history's."""

from typing import Dict, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrmix.history import Mixing

# Of Fig. 8: a label above it supervises more than label smoothing would.
EFFECTIVE_SHARE = 1e-4


def consistency_loss(roi_logits: Tensor, history_logits: Tensor, area_ratios: Tensor) -> Tensor:
    r"""Second term of Eq. 5, without ω.

    .. math::
        \frac 1 N \sum_n \lambda_n \sum_k
        p^h_{nk} \log \frac{p^h_{nk}}{p^{roi}_{nk}}

    Args:
        roi_logits (Tensor): Logits inside the box, ``(N, K)``, any float
            dtype.
        history_logits (Tensor): Logits that the pasted images got in the last
            iteration, ``(N, K)``; no gradient flows into them.
        area_ratios (Tensor): λ in [0, 1], ``(N,)``, float32; 0 leaves a
            sample out.

    Returns:
        Tensor: Scalar, float32.
    """
    divergence = F.kl_div(
        F.log_softmax(roi_logits.float(), dim=1),
        F.log_softmax(history_logits.detach().float(), dim=1),
        reduction='none',
        log_target=True,
    ).sum(1)
    return (area_ratios * divergence).mean()


def mixing_statistics(target: Tensor, mixing: Optional[Mixing], roi_logits: Optional[Tensor]) -> Dict[str, Tensor]:
    """How much is mixed in a batch, for the log.

    Args:
        target (Tensor): Mixed labels in [0, 1], ``(N, K)``, or classes,
            ``(N,)``.
        mixing (Mixing, optional): None if RecursiveMix did not mix the batch.
        roi_logits (Tensor, optional): Logits inside the box, ``(N, K)``; None
            without the branch (ω = 0).

    Returns:
        dict[str, Tensor]: Scalars, float32: ``area_ratio``, the mean of λ;
        ``effective_classes``, the mean number of classes whose share of the
        label is above 1e-4 (Fig. 8); ``roi_agreement``, the share of pasted
        images whose class inside the box is that of p^h, only in batches where
        something was pasted.
    """
    is_soft = target.ndim == 2
    num_classes = (target > EFFECTIVE_SHARE).sum(1).float() if is_soft else torch.ones_like(target, dtype=torch.float32)
    area_ratios = torch.zeros_like(num_classes) if mixing is None else mixing.area_ratios
    statistics = dict(area_ratio=area_ratios.mean(), effective_classes=num_classes.mean())
    if mixing is not None and mixing.is_pasted and roi_logits is not None:
        is_pasted = area_ratios > 0
        agrees = roi_logits.argmax(1) == mixing.history_logits.argmax(1)
        statistics['roi_agreement'] = (agrees & is_pasted).sum() / is_pasted.sum().clamp(min=1)
    return statistics
