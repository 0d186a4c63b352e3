# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""RMHead: Eq. 5 against float64 NumPy, what it stores, and what it refuses."""

import numpy as np
import pytest
import torch
from mmpretrain.models.heads import MultiLabelLinearClsHead
from mmpretrain.registry import MODELS
from scipy.special import log_softmax, softmax

from mmrmix.history import mixing_of
from mmrmix.models import RMHead
from mmrmix.models.heads.labels import stack_rows
from tests.helpers.heads import AREA_RATIOS, BCE, CELLS, C, K, make_head, make_history, mixed_case, samples
from tests.helpers.utils import TINY_BACKBONE, build_classifier


def scores_of(data_samples):
    return torch.stack([sample.gt_score for sample in data_samples])


def linear(layer, pooled):
    return pooled @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()


def losses_by_hand(head, feature_map, scores, history_logits):
    """Eq. 5: the boxes are whole cells, so RoIAlign is their mean."""
    feature_map, scores = feature_map.double().numpy(), np.float64(scores)
    logits = linear(head.fc, feature_map.mean((2, 3)))
    roi = np.stack([f[cells].mean((1, 2)) if cells else np.zeros(C) for f, cells in zip(feature_map, CELLS)])
    log_p_roi = log_softmax(linear(head.fc if head.share_fc else head.fc_roi, roi), axis=1)
    divergence = (softmax(history_logits, axis=1) * (log_softmax(history_logits, axis=1) - log_p_roi)).sum(1)
    loss_cls = -(scores * log_softmax(logits, axis=1)).sum(1).sum() / 4
    return logits, loss_cls, head.omega * np.dot(AREA_RATIOS, divergence) / 4


@pytest.mark.parametrize('omega', [0.1, 0.5, 2.0])
@pytest.mark.parametrize('share_fc', [False, True])
def test_losses(omega, share_fc):
    head = make_head(omega=omega, share_fc=share_fc)
    feature_map, inputs, data_samples, history_logits = mixed_case(head)
    scores = scores_of(data_samples)
    losses = head.loss((torch.randn(4, 2, 8, 8), feature_map), data_samples)
    logits, loss_cls, loss_consistency = losses_by_hand(head, feature_map, scores, history_logits)
    assert set(losses) == {'loss_cls', 'loss_consistency'}
    assert losses['loss_cls'].item() == pytest.approx(loss_cls, rel=1e-5)
    assert losses['loss_consistency'].item() == pytest.approx(loss_consistency, rel=1e-5)

    past = head.history.batch
    assert past.inputs.data_ptr() == inputs.data_ptr() and torch.equal(past.scores, scores)
    np.testing.assert_allclose(past.logits.numpy(), logits, rtol=1e-5, atol=1e-5)
    assert not past.logits.requires_grad
    # The same batch again, as in SAM: the same losses.
    assert head.loss((feature_map,), data_samples) == losses


def test_omega_zero_has_no_branch():
    head = make_head(omega=0)
    feature_map, inputs, data_samples, _ = mixed_case(head)
    scores = scores_of(data_samples)
    losses = head.loss((feature_map,), data_samples)
    assert set(losses) == {'loss_cls'} and set(head.state_dict()) == {'fc.weight', 'fc.bias'}
    logits = linear(head.fc, feature_map.double().numpy().mean((2, 3)))
    expected = -(scores.double().numpy() * log_softmax(logits, axis=1)).sum() / 4
    assert losses['loss_cls'].item() == pytest.approx(expected, rel=1e-5)
    assert head.history.batch.inputs.data_ptr() == inputs.data_ptr()
    np.testing.assert_allclose(head.history.batch.logits.numpy(), logits, rtol=1e-5, atol=1e-5)


def test_state_dict_keys():
    both = {'fc.weight', 'fc.bias', 'fc_roi.weight', 'fc_roi.bias'}
    assert set(make_head().state_dict()) == set(dict(make_head().named_parameters())) == both
    assert make_head().fc_roi.weight.shape == (K, C)
    assert set(make_head(share_fc=True).state_dict()) == {'fc.weight', 'fc.bias'}


def test_init_weights_covers_both_layers():
    """LinearClsHead's default: normal with standard deviation 0.01, bias zero."""
    head = RMHead(num_classes=100, in_channels=200)
    head.init_weights()
    for layer in (head.fc, head.fc_roi):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05) and not layer.bias.any()
    assert not torch.equal(head.fc.weight, head.fc_roi.weight)


def test_history_is_no_part_of_the_graph():
    head = make_head()
    feature_map, _, data_samples, _ = mixed_case(head)
    history_logits = mixing_of(stack_rows([sample.gt_score for sample in data_samples])).history_logits
    history_logits.requires_grad_()
    feature_map.requires_grad_()
    sum(head.loss((feature_map,), data_samples).values()).backward()
    assert history_logits.grad is None
    # The branch's gradient reaches all parameters and, through H', the map.
    assert all(parameter.grad.abs().max() > 0 for parameter in head.parameters())
    assert feature_map.grad.abs().min() > 0


@pytest.mark.parametrize('labels', ['gt_score', 'gt_label'])
@pytest.mark.parametrize('share_fc', [False, True])
def test_nothing_mixed(labels, share_fc):
    head = make_head(share_fc=share_fc)
    head.history.batch = past = make_history(2)
    scores = np.float32(np.eye(K))[[3, 0, 1]]
    data_samples = samples(scores)
    for sample in data_samples:
        sample.pop('gt_label' if labels == 'gt_score' else 'gt_score')
    feature_map = torch.randn(3, C, 4, 4)
    losses = head.loss((feature_map,), data_samples)
    logits = linear(head.fc, feature_map.double().numpy().mean((2, 3)))
    expected = -log_softmax(logits, axis=1)[[0, 1, 2], [3, 0, 1]].mean()
    assert losses['loss_cls'].item() == pytest.approx(expected, rel=1e-5)
    assert losses['loss_consistency'].item() == 0
    assert head.history.batch is past
    sum(losses.values()).backward()
    if not share_fc:
        # Zero, not None: DDP waits for it.
        assert not head.fc_roi.weight.grad.any() and not head.fc_roi.bias.grad.any()


def test_label_smoothing_before_mixing():
    """Smoothing is affine, so it makes no difference before or after."""
    head = make_head(loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original', num_classes=K))
    history, current, area_ratios = np.eye(K)[[0, 2, 2, 4]], np.eye(K)[[1, 0, 4, 2]], np.array(AREA_RATIOS)[:, None]
    mixed = area_ratios * history + (1 - area_ratios) * current
    feature_map, _, data_samples, history_logits = mixed_case(head, torch.from_numpy(mixed).float())
    smoothed = area_ratios * (0.9 * history + 0.1 / K) + (1 - area_ratios) * (0.9 * current + 0.1 / K)
    _, loss_cls, loss_consistency = losses_by_hand(head, feature_map, smoothed, history_logits)
    losses = head.loss((feature_map,), data_samples)
    assert losses['loss_cls'].item() == pytest.approx(loss_cls, rel=1e-5)
    assert losses['loss_consistency'].item() == pytest.approx(loss_consistency, rel=1e-5)


@pytest.mark.parametrize('thr', [0.5, None])
def test_multi_label(thr):
    """With thr for data of several labels an image; without for one label and the binary loss."""
    head = make_head(loss=dict(type='CrossEntropyLoss', use_sigmoid=True), thr=thr)
    scores = torch.tensor([[1, 0.25, 0, 0, 0.75], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0.5, 0.5, 0, 1]])
    feature_map, _, data_samples, history_logits = mixed_case(head, scores)
    if thr is not None:
        for sample in data_samples:
            sample.set_gt_label(torch.tensor([0, 2, 4]))
    logits, _, loss_consistency = losses_by_hand(head, feature_map, scores, history_logits)
    target = scores.double().numpy()
    losses = head.loss((feature_map,), data_samples)
    # mmpretrain sums over the classes and divides by the number of images.
    expected = (target * np.logaddexp(0, -logits) + (1 - target) * np.logaddexp(0, logits)).sum() / 4
    assert losses['loss_cls'].item() == pytest.approx(expected, rel=1e-5)
    assert losses['loss_consistency'].item() == pytest.approx(loss_consistency, rel=1e-5)


def features_for(head, ranking):
    """Maps whose logits rank the classes as asked."""
    head.fc = torch.nn.Linear(C, 6)
    torch.nn.init.eye_(head.fc.weight)
    torch.nn.init.zeros_(head.fc.bias)
    rows = [[float(6 - order.index(k)) for k in range(6)] for order in ranking]
    return torch.tensor(rows)[:, :, None, None].expand(-1, -1, 4, 4)


@pytest.mark.parametrize('kind', ['mixed', 'unmixed', 'soft labels alone'])
def test_accuracy(kind):
    """Of the current images: the mixed label of sample 0 is mostly the history's."""
    head = make_head(num_classes=6, cal_acc=True, topk=(1, 5))
    feature_map = features_for(
        head, [[3, 0, 1, 2, 4, 5], [0, 1, 2, 3, 4, 5], [1, 2, 3, 5, 4, 0], [2, 1, 0, 5, 3, 4], [5, 4, 3, 2, 1, 0]]
    )
    # Current classes 3 (first), 1 (second), 0 (last), 5 (fourth), 5 (first).
    labels = [3, 1, 0, 5, 5]
    scores = torch.eye(6)[labels]
    if kind == 'mixed':
        scores = 0.8 * torch.eye(6)[[0, 0, 1, 2, 1]] + 0.2 * scores
        area_ratios, logits = torch.full((5,), 0.8), torch.zeros(5, 6)
        head.history.attach(scores, torch.zeros(5, 3, 8, 8), torch.zeros(5, 4), area_ratios, logits, True)
    data_samples = samples(scores, labels)
    if kind == 'soft labels alone':
        for sample in data_samples:
            sample.pop('gt_label')
    losses = head.loss((feature_map,), data_samples)
    assert losses['accuracy_top-1'].item() == pytest.approx(40)
    assert losses['accuracy_top-5'].item() == pytest.approx(80)


def test_plain_classifier_loads_the_checkpoint():
    model = build_classifier()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
    torch.nn.init.normal_(model.head.fc.weight)
    plain = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=TINY_BACKBONE,
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=8),
        )
    )
    missing, unexpected = plain.load_state_dict(model.state_dict(), strict=False)
    assert missing == [] and sorted(unexpected) == ['head.fc_roi.bias', 'head.fc_roi.weight']
    images = torch.randn(3, 3, 20, 16)
    with torch.no_grad():
        logits, expected = model.eval()(images), plain.eval()(images)
        predictions = model(images, mode='predict')
    assert torch.equal(logits, expected) and expected.std() > 0.1
    assert torch.equal(torch.stack([p.pred_score for p in predictions]), expected.softmax(1))


@pytest.mark.parametrize('thr', [0.3, 0.5])
def test_multi_label_predictions_are_mmpretrains(thr):
    head = make_head(thr=thr, loss=BCE)
    expected = MultiLabelLinearClsHead(num_classes=K, in_channels=C, thr=thr, loss=BCE)
    expected.fc.load_state_dict(head.fc.state_dict())
    feature_map = torch.randn(4, C, 3, 3)
    for ours, theirs in zip(head.predict((feature_map,)), expected.predict((feature_map.mean((2, 3)),))):
        assert torch.equal(ours.pred_score, theirs.pred_score) and ours.pred_label.equal(theirs.pred_label)
    assert any(len(sample.pred_label) > 1 for sample in head.predict((feature_map,)))
