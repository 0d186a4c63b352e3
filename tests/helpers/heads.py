# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""RMHead on a mixed batch of four samples."""

import numpy as np
import torch
from mmpretrain.structures import DataSample

from mmrmix import RMHistory
from mmrmix.history import HistoryBatch
from mmrmix.models import RMHead

K, C = 5, 6
BCE = dict(type='CrossEntropyLoss', use_sigmoid=True)
# Of a 8×8 image under a 4×4 map, two pixels a cell: cells rows 1:3 of columns
# 0:2, the whole, nothing, and rows 0:1 of columns 2:4.
BOXES = [[0.0, 2, 4, 6], [0, 0, 8, 8], [3, 0, 3, 5], [4, 0, 8, 2]]
CELLS = [np.s_[:, 1:3, 0:2], np.s_[:, :, :], None, np.s_[:, 0:1, 2:4]]
AREA_RATIOS = [0.25, 1.0, 0.0, 0.125]


def make_head(**kwargs):
    head = RMHead(**{**dict(num_classes=K, in_channels=C), **kwargs})
    head.init_weights()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    head.history = RMHistory()
    return head


def make_history(num_samples):
    scores, logits = torch.rand(num_samples, K).softmax(1), 3 * torch.randn(num_samples, K)
    return HistoryBatch(torch.randn(num_samples, 3, 8, 8), scores, logits, torch.ones(num_samples, dtype=torch.bool))


def mixed_case(head, scores=None):
    """A feature map of a mixed batch, all random, its samples, and p^h."""
    scores = torch.rand(4, K).softmax(1) if scores is None else scores.clone()
    inputs = torch.randn(4, 3, 8, 8)
    head.history.batch = make_history(4)
    logits = head.history.batch.logits
    head.history.attach(scores, inputs, torch.tensor(BOXES), torch.tensor(AREA_RATIOS), logits, True)
    return torch.randn(4, C, 4, 4), inputs, samples(scores), logits.double().numpy()


def samples(scores, labels=None):
    """Data samples as mmpretrain's preprocessor makes them: rows of the scores."""
    scores = torch.as_tensor(scores, dtype=torch.float32)
    labels = scores.argmax(1) if labels is None else labels
    return [DataSample().set_gt_score(score).set_gt_label(int(label)) for score, label in zip(scores, labels)]
