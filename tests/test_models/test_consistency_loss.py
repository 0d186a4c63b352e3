# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The second term of Eq. 5."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch.testing import assert_close

from mmrmix.models.heads.rm_head import consistency_loss
from tests.helpers.utils import HALF_DTYPES


def test_consistency_loss_by_hand():
    # softmax(log a, log b) = (a, b) / (a + b): p^h = (3/4, 1/4), p^roi = (1/2, 1/2),
    # KL = 3/4 ln 3/2 + 1/4 ln 1/2 = 0.130812; in the second sample p^h = p^roi.
    roi_logits = torch.tensor([[0.0, 0.0], [1.0, 3.0], [9.0, -9.0]])
    history_logits = torch.tensor([[np.log(3.0), 0.0], [5.0, 7.0], [0.0, 0.0]], dtype=torch.float32)
    divergence = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert divergence == pytest.approx(0.130812, abs=1e-6)
    # The mean runs over all three samples, the third has no box.
    result = consistency_loss(roi_logits, history_logits, torch.tensor([0.4, 0.5, 0.0]))
    assert result.dtype == torch.float32 and result.shape == ()
    assert result.item() == pytest.approx(0.4 * divergence / 3, abs=1e-7)
    # The other way around it would be 1/2 ln 2/3 + 1/2 ln 2.
    swapped = consistency_loss(history_logits[:1], roi_logits[:1], torch.ones(1))
    assert swapped.item() == pytest.approx(0.5 * np.log(4 / 3), abs=1e-7)


@pytest.mark.parametrize('dtype', HALF_DTYPES)
def test_consistency_loss_computes_in_float32(dtype):
    roi_logits, history_logits = torch.randn(8, 1000).to(dtype), torch.randn(8, 1000).to(dtype)
    q, p = (log_softmax(logits.double().numpy(), axis=1) for logits in (roi_logits, history_logits))
    result = consistency_loss(roi_logits, history_logits, torch.ones(8))
    assert result.item() == pytest.approx((np.exp(p) * (p - q)).sum(1).mean(), rel=1e-5)


def test_gradient_is_that_of_soft_cross_entropy():
    """The authors' loss differs by the entropy of softmax(p^h), a constant."""
    area_ratios = torch.tensor([0.4, 0.0, 1.0])
    history_logits = torch.randn(3, 5, requires_grad=True)
    ours, theirs = (torch.randn(3, 5, generator=torch.manual_seed(1)).requires_grad_() for _ in range(2))
    consistency_loss(ours, history_logits, area_ratios).backward()
    cross_entropy = -(history_logits.detach().softmax(1) * theirs.log_softmax(1)).sum(1)
    (area_ratios * cross_entropy).mean().backward()
    assert_close(ours.grad, theirs.grad, atol=1e-7, rtol=1e-5)
    assert ours.grad[0].abs().max() > 0 and not ours.grad[1].any()
    # By hand: λ (softmax(q) - softmax(p)) / N.
    expected = area_ratios[:, None] * (ours.softmax(1) - history_logits.softmax(1)) / 3
    assert_close(ours.grad, expected.detach(), atol=1e-7, rtol=1e-5)
    assert history_logits.grad is None
