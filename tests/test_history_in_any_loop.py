# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Any order of training, validating, preparing ahead and failing: the history stems from one batch."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

import mmrmix

NUM_CLASSES = 5


class Pool(nn.Module):
    """A backbone that costs nothing, and fails on demand."""

    failing = False

    def forward(self, inputs):
        if self.failing:
            raise RuntimeError('broken backbone')
        return (nn.functional.adaptive_avg_pool2d(inputs, 4),)


class Training:
    """A training loop, and beside it what the history should be.

    Batch number i consists of images that are i + n / 8 everywhere, n being
    the sample's index. So each pixel tells which sample it comes from.
    """

    def __init__(self, alpha):
        self.model = MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=Pool(),
                head=dict(type='mmrmix.RMHead', num_classes=NUM_CLASSES, in_channels=3),
                train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=alpha)),
                data_preprocessor=dict(num_classes=NUM_CLASSES, to_onehot=True, mean=[0.0] * 3, std=[1.0] * 3),
            )
        )
        self.history = mmrmix.link_history(self.model)
        augments = self.model.data_preprocessor.batch_augments
        cutmix = type(augments)([dict(type='CutMix', alpha=1.0)])
        self.augments = dict(rm=augments, cutmix=cutmix, off=None)
        self.number = 0
        self.expected = None

    def preprocess(self, augment, num_samples, side, training=True):
        """A new batch; returns it preprocessed, and its one-hot labels."""
        self.number += 1
        values = self.number + torch.arange(num_samples) / 8
        labels = torch.randint(NUM_CLASSES, (num_samples,))
        self.model.data_preprocessor.batch_augments = self.augments[augment]
        data = self.model.data_preprocessor(
            dict(
                inputs=values[:, None, None, None].expand(-1, 3, side, side + 4).clone(),
                data_samples=[DataSample().set_gt_label(label) for label in labels],
            ),
            training=training,
        )
        scores = torch.stack([sample.gt_score for sample in data['data_samples']]).float()
        assert torch.allclose(scores.sum(1), torch.ones(num_samples), atol=1e-5)
        if training and augment == 'rm':
            self.check_mix(data['inputs'], scores, values, nn.functional.one_hot(labels, NUM_CLASSES))
        return data, scores

    def check_mix(self, inputs, scores, values, onehot):
        """Labels and λ, worked out from the pixels."""
        for n, value in enumerate(values):
            pasted = inputs[n] != value
            ratio = pasted.float().mean()
            if self.expected is None or n >= len(self.expected['scores']):
                assert ratio == 0
                history_score = onehot[n]
            else:
                assert set(inputs[n][pasted].tolist()) <= set(self.expected['inputs'][n].flatten().tolist())
                history_score = self.expected['scores'][n]
            assert torch.allclose(scores[n], ratio * history_score + (1 - ratio) * onehot[n], atol=1e-6)

    def forward(self, data, scores, mixed):
        """Losses, compared with plain cross-entropy; trains a little."""
        fc = self.model.head.fc
        logits = (data['inputs'].mean((2, 3)) @ fc.weight.T + fc.bias).detach()
        cross_entropy = -(scores * logits.log_softmax(1)).sum(1).mean()
        losses = self.model(**data, mode='loss')
        assert torch.allclose(losses['loss_cls'], cross_entropy, atol=1e-4)
        if mixed:
            # Its logits are those of the weights before this update.
            self.expected = dict(inputs=data['inputs'].clone(), scores=scores.clone(), logits=logits)
            assert self.history.batch.inputs.data_ptr() == data['inputs'].data_ptr()
        else:
            assert losses['loss_consistency'] == 0
        parameters = list(self.model.parameters())
        for parameter, grad in zip(parameters, torch.autograd.grad(sum(losses.values()), parameters)):
            parameter.data -= 0.01 * grad

    def step(self, augment, num_samples, side):
        self.forward(*self.preprocess(augment, num_samples, side), mixed=augment == 'rm')

    def val_loss(self, augment, num_samples, side):
        self.forward(*self.preprocess(augment, num_samples, side, training=False), mixed=False)

    def predict(self, augment, num_samples, side):
        data, _ = self.preprocess(augment, num_samples, side, training=False)
        self.model(**data, mode='predict')

    def skip(self, augment, num_samples, side):
        self.preprocess(augment, num_samples, side)

    def ahead(self, augment, num_samples, side):
        """A prefetcher prepares the next batch before this one is trained on."""
        batches = [self.preprocess(augment, n, side) for n in (num_samples, 1 + num_samples % 4)]
        for data, scores in batches:
            self.forward(data, scores, mixed=augment == 'rm')

    def late(self, augment, num_samples, side):
        """A batch that comes after a newer one is trained on, and becomes no history."""
        older, newer = (self.preprocess(augment, n, side) for n in (num_samples, 1 + num_samples % 4))
        self.forward(*newer, mixed=augment == 'rm')
        expected = self.expected
        triple = self.history.batch
        self.model(**older[0], mode='loss')
        assert self.history.batch is triple and self.expected is expected

    def twice(self, augment, num_samples, side):
        """SAM, line searches: the same batch, the same losses."""
        data, scores = self.preprocess(augment, num_samples, side)
        losses = [self.model(**data, mode='loss') for _ in range(2)]
        assert losses[0] == losses[1]
        self.forward(data, scores, mixed=augment == 'rm')

    def fail_in_backbone(self, augment, num_samples, side):
        data, _ = self.preprocess(augment, num_samples, side)
        self.model.backbone.failing = True
        with pytest.raises(RuntimeError, match='broken backbone'):
            self.model(**data, mode='loss')
        self.model.backbone.failing = False

    def fail_in_loss(self, augment, num_samples, side):
        data, _ = self.preprocess(augment, num_samples, side)
        with pytest.raises(TypeError, match='unknown'):
            self.model.head.loss(self.model.extract_feat(data['inputs']), data['data_samples'], unknown=1)

    def new_epoch(self, *_):
        self.history.clear()
        self.expected = None

    def check_history(self, before):
        """The triple is that of the last step that mixed, to the bit."""
        triple = self.history.batch
        if self.expected is None:
            assert triple is None
            return
        assert triple.inputs.equal(self.expected['inputs'])
        assert triple.scores.equal(self.expected['scores'])
        assert torch.allclose(triple.logits, self.expected['logits'], atol=1e-4)
        assert torch.allclose(triple.scores.sum(1), torch.ones(len(triple.scores)), atol=1e-5)
        if before[1] is self.expected:
            assert triple is before[0]


ACTIONS = ['step'] * 4 + ['val_loss', 'predict', 'skip', 'ahead', 'late', 'twice', 'fail_in_backbone', 'fail_in_loss']
ACTIONS += ['new_epoch']
SEQUENCES = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS),
        st.sampled_from(['rm', 'rm', 'rm', 'cutmix', 'off']),
        st.integers(1, 5),
        st.sampled_from([8, 12, 20]),
    ),
    min_size=1,
    max_size=12,
)


ANY_SEQUENCE = given(sequence=SEQUENCES, alpha=st.sampled_from([0.1, 0.5, 1.0]), seed=st.integers(0, 2**31))


def follow(sequence, alpha, seed):
    torch.manual_seed(seed)
    training = Training(alpha)
    training.history.seed = seed
    for name, *arguments in sequence:
        before = training.history.batch, training.expected
        getattr(training, name)(*arguments)
        training.check_history(before)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@ANY_SEQUENCE
def test_the_triple_always_stems_from_one_batch(sequence, alpha, seed):
    follow(sequence, alpha, seed)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@ANY_SEQUENCE
def test_of_many_more_sequences(sequence, alpha, seed):
    follow(sequence, alpha, seed)
