# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What RMHead refuses, and the sentence that it says."""

import re

import pytest
import torch
from mmpretrain.structures import DataSample

from mmrmix.models import RMHead
from tests.helpers.heads import BCE, C, K, make_head, mixed_case, samples


@pytest.mark.parametrize(
    'feature', [torch.zeros(4, C), torch.zeros(4, 17, C), [torch.zeros(4, C, 2, 2)]], ids=['pooled', 'tokens', 'list']
)
@pytest.mark.parametrize('method', ['loss', 'forward', 'pre_logits'])
def test_feature_is_no_map(feature, method):
    head = make_head()
    arguments = [samples(torch.eye(K)[:4])] if method == 'loss' else []
    with pytest.raises(ValueError, match=r"feature map \(N, C, h, w\).*remove the neck.*out_type='featmap'"):
        getattr(head, method)((feature,), *arguments)


@pytest.mark.parametrize('omega', [-0.1, float('nan'), float('inf'), '0.1', None])
def test_omega_out_of_range(omega):
    with pytest.raises(ValueError, match=re.escape(f'omega={omega!r} must be a number and not negative')):
        make_head(omega=omega)


@pytest.mark.parametrize(
    'settings, error, message',
    [
        (dict(share_fc='no'), TypeError, "share_fc='no' must be True or False"),
        (dict(thr=0.5), ValueError, r'thr=0.5 is for several labels .*use_sigmoid=True\), or remove thr'),
        (dict(thr=0.5, cal_acc=True, loss=BCE), ValueError, 'cal_acc=True counts one class an image'),
        (dict(cal_acc=True, topk=(1, 8)), ValueError, r'topk=\(1, 8\) of 5 classes: .* head.topk=\(1,\)'),
    ],
)
def test_settings_that_clash(settings, error, message):
    with pytest.raises(error, match=message):
        make_head(**settings)


@pytest.mark.parametrize('share_fc', [False, True])
@pytest.mark.parametrize(
    'shape, message',
    [
        (
            (2, 7, 7, C),
            rf'RMHead\(in_channels={C}\).*got shape \(2, 7, 7, {C}\): this one has its channels last.*permute',
        ),
        ((2, 9, 4, 4), rf'RMHead\(in_channels={C}\).*got shape \(2, 9, 4, 4\): set head.in_channels=9'),
    ],
)
def test_a_map_of_other_channels(shape, message, share_fc):
    head = make_head(share_fc=share_fc)
    for method, arguments in (('loss', [samples(torch.eye(K)[:2])]), ('forward', []), ('predict', [])):
        with pytest.raises(ValueError, match=message):
            getattr(head, method)((torch.zeros(shape),), *arguments)


def test_samples_that_do_not_fit():
    head = make_head()
    feature_map, _, data_samples, _ = mixed_case(head)
    with pytest.raises(ValueError, match=r'4 labels, but features of 3 images: pass the batch on'):
        head.loss((feature_map[:3],), data_samples)
    with pytest.raises(ValueError, match=r'2 samples belong to a batch of 4 that RecursiveMix mixed'):
        head.loss((feature_map[:2],), data_samples[:2])
    head = make_head(num_classes=7)
    feature_map, _, data_samples, _ = mixed_case(head)
    with pytest.raises(ValueError, match=r'Labels have 5 classes, RMHead 7: set data_preprocessor.num_classes'):
        head.loss((feature_map,), data_samples)


@pytest.mark.parametrize('labels', [[[1], [0, 2], [3]], [[1], [], [3]]], ids=str)
def test_several_labels_an_image_without_thr(labels):
    """Softmax over multi-hot labels would train without a word."""
    head = make_head()
    data_samples = [DataSample().set_gt_label(torch.tensor(label, dtype=torch.long)) for label in labels]
    with pytest.raises(ValueError, match=r'An image has the labels \[.*head.thr=0.5.*use_sigmoid=True.*to_onehot'):
        head.loss((torch.zeros(3, C, 4, 4),), data_samples)
    head = make_head(thr=0.5, loss=BCE)
    with pytest.raises(ValueError, match=r'neither gt_score nor several gt_label made one-hot .*to_onehot=True'):
        head.loss((torch.zeros(3, C, 4, 4),), data_samples)
    with pytest.raises(ValueError, match='neither gt_score nor gt_label'):
        make_head().loss((torch.zeros(3, C, 4, 4),), [DataSample()] * 3)


def test_unlinked():
    head = RMHead(num_classes=K, in_channels=C)
    with pytest.raises(RuntimeError, match=r'RMHead has no history: .*RMHistoryHook.*link_history'):
        head.loss((torch.zeros(4, C, 4, 4),), samples(torch.eye(K)[:4]))
    # Without the branch it is a plain head; and inference never needs one.
    baseline = RMHead(num_classes=K, in_channels=C, omega=0)
    assert set(baseline.loss((torch.zeros(4, C, 4, 4),), samples(torch.eye(K)[:4]))) == {'loss_cls'}
    assert head((torch.zeros(4, C, 4, 4),)).shape == (4, K)


def test_topk_may_be_a_number():
    head = make_head(num_classes=6, cal_acc=True, topk=1)
    losses = head.loss((torch.randn(2, head.in_channels, 4, 4),), samples(torch.eye(6)[:2].numpy()))
    assert set(losses) == {'loss_cls', 'loss_consistency', 'accuracy_top-1'}


def test_no_feature_at_all():
    with pytest.raises(ValueError, match='remove the neck'):
        make_head().loss((), samples(torch.eye(10)[:2].numpy()))
