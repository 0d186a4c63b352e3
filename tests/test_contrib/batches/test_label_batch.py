# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Labels of a batch in two tensors, which heads take like a list of data samples."""

import pytest
import torch
from mmpretrain.models import LinearClsHead
from mmpretrain.structures import DataSample

from mmrmix import RMHistory
from mmrmix.contrib import LabelBatch
from mmrmix.models import RMHead
from mmrmix.models.heads.labels import batch_labels
from tests.helpers.utils import labelled


class TestLabelBatch:
    def test_is_a_list_of_samples(self):
        label, score = torch.tensor([3, 1]), torch.rand(2, 4)
        batch = LabelBatch(label, score, sample_idx=[7, 9])
        assert len(batch) == 2 and len(batch[:1]) == 1
        assert batch[1] is batch[-1]
        assert all(isinstance(sample, DataSample) for sample in batch)
        assert torch.equal(batch[1].gt_label, label[1:]) and torch.equal(batch[1].gt_score, score[1])
        assert [sample.sample_idx for sample in batch] == [7, 9]
        assert 'gt_score' not in LabelBatch(label)[0] and 'gt_label' not in LabelBatch(None, score)[0]

    def test_labels_of_samples(self):
        samples = labelled(3)
        label, score = batch_labels(samples)
        assert score is None and label.tolist() == [sample.gt_label.item() for sample in samples]
        for sample in samples:
            sample.set_gt_score(torch.rand(4))
        assert torch.equal(batch_labels(samples)[1][2], samples[2].gt_score)
        # Packed or not, they are the same.
        batch = LabelBatch(*batch_labels(samples))
        assert batch_labels(batch) is batch.packed
        assert all(map(torch.equal, batch_labels(batch), batch_labels([*batch])))

    @pytest.mark.parametrize('with_score', [False, True])
    @pytest.mark.parametrize('head', [LinearClsHead, RMHead])
    def test_heads_take_it_like_a_list(self, head, with_score):
        head = head(num_classes=10, in_channels=4)
        if isinstance(head, RMHead):
            head.history = RMHistory()
            feats = (torch.rand(3, 4, 2, 2),)
        else:
            feats = (torch.rand(3, 4),)
        batch = LabelBatch(torch.tensor([1, 2, 3]), torch.rand(3, 10) if with_score else None)
        losses = [sum(head.loss(feats, samples).values()) for samples in (batch, [*batch])]
        assert torch.equal(*losses)
        predictions = head.predict(feats, batch)
        assert [sample.gt_label.item() for sample in predictions] == [1, 2, 3]
        assert all('pred_score' in sample for sample in predictions)
