# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Loops beyond the textbook one: results equal those of the textbook loop, or there is an error."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from mmpretrain.models import ClsDataPreprocessor, LinearClsHead
from mmpretrain.structures import DataSample
from torch.utils.checkpoint import checkpoint

from mmrmix import RMHistory, link_history
from mmrmix.contrib import BatchDataPreprocessor, LabelBatch
from mmrmix.models import RMHead
from mmrmix.models.heads.labels import batch_labels
from tests.helpers.utils import build_classifier, make_batch, sgd

PREPROCESSORS = ['ClsDataPreprocessor', 'BatchDataPreprocessor']


def build(kind='ClsDataPreprocessor', seed=0, **settings):
    """A classifier whose predictions differ from sample to sample, and its history."""
    torch.manual_seed(0)
    model = build_classifier(omega=2.0, **settings)
    if kind == 'BatchDataPreprocessor':
        augments = model.data_preprocessor.batch_augments
        model.data_preprocessor = BatchDataPreprocessor(num_classes=10, mean=[0.0] * 3, std=[1.0] * 3, to_onehot=True)
        model.data_preprocessor.batch_augments = augments
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter)
    # BatchNorm's statistics would tell one forward from the next.
    return model.eval(), link_history(model, seed=seed)


def batches(number, kind='ClsDataPreprocessor', num_samples=4):
    torch.manual_seed(1)
    found = [make_batch(num_samples) for _ in range(number)]
    if kind == 'BatchDataPreprocessor':
        for data in found:
            data['data_samples'] = LabelBatch(torch.cat([sample.gt_label for sample in data['data_samples']]))
    return found


def prepare(model, data):
    return model.data_preprocessor(copy.deepcopy(data), training=True)


def gradients(model, losses):
    model.zero_grad()
    sum(losses.values()).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7, msg=name)


@pytest.fixture(params=PREPROCESSORS)
def kind(request):
    return request.param


def third_step(kind):
    """A model after two steps of the textbook, its history, and the third batch, prepared."""
    model, history = build(kind)
    first, second, third = batches(3, kind)
    for t, data in enumerate((first, second)):
        history.begin_step(t)
        model(**prepare(model, data), mode='loss')
    history.begin_step(2)
    return model, history, prepare(model, third)


def before_third_step(model):
    """A copy that has not drawn the third box yet."""
    model = copy.deepcopy(model)
    model.head.history.begin_step(2)
    return model


def test_batches_prepared_ahead(kind):
    """Each keeps its own labels, boxes and images; it is mixed with what was committed when it was prepared."""
    model, history = build(kind)
    first, *ahead = batches(4, kind)
    model(**prepare(model, first), mode='loss')
    past = history.batch
    prepared = []
    for t, data in enumerate(ahead, 1):
        history.begin_step(t)
        prepared.append(prepare(model, data))
    ahead = prepared
    found = [(model(**data, mode='loss'), history.batch.inputs.data_ptr()) for data in ahead]
    assert [address for _, address in found] == [data['inputs'].data_ptr() for data in ahead]
    for data, (losses, _), iteration in zip(batches(4, kind)[1:], found, (1, 2, 3)):
        history.batch = past
        history.begin_step(iteration)
        data = prepare(model, data)
        assert_same(losses, model(**data, mode='loss'))
        assert losses['loss_consistency'] > 0


def test_sharpness_aware_minimisation(kind):
    """The second forward of a batch has the consistency loss, at the weights that it runs with."""
    model, history, data = third_step(kind)
    other = before_third_step(model)
    first = gradients(model, model(**data, mode='loss'))
    for module in (model, other):
        for name, parameter in module.named_parameters():
            parameter.data += 0.05 * first[name]
    losses = model(**data, mode='loss')
    # The copy meets the third batch for the first time, at these weights.
    data = prepare(other, batches(3, kind)[2])
    expected = other(**data, mode='loss')
    assert_same(losses, expected)
    assert_same(gradients(model, losses), gradients(other, expected))
    assert model.head.fc_roi.weight.grad.abs().max() > 0
    assert torch.equal(history.batch.logits, other.head.history.batch.logits)


@pytest.mark.parametrize('use_reentrant', [False, True])
@pytest.mark.parametrize('part', ['model', 'head'])
def test_activation_checkpointing(kind, part, use_reentrant):
    """The recomputed graph is the first one's, though the history has moved on."""
    model, history, data = third_step(kind)
    other = before_third_step(model)
    expected = gradients(other, other(**prepare(other, batches(3, kind)[2]), mode='loss'))
    images, samples = data['inputs'].requires_grad_(), data['data_samples']

    def forward(images):
        losses = model(images, samples, mode='loss') if part == 'model' else model.head.loss((images,), samples)
        return losses['loss_cls'] + losses['loss_consistency']

    inputs = images if part == 'model' else model.extract_feat(images)[-1]
    loss = checkpoint(forward, inputs, use_reentrant=use_reentrant)
    model.zero_grad()
    loss.backward()
    assert_same({name: parameter.grad for name, parameter in model.named_parameters()}, expected)
    assert model.head.fc_roi.weight.grad.abs().max() > 0
    assert torch.equal(history.batch.logits, other.head.history.batch.logits)


def test_recomputing_an_older_batch_leaves_the_newer_history(kind):
    """Pipeline parallelism: backward of the first comes after forward of the second."""
    model, history = build(kind)
    first, second = (prepare(model, data) for data in batches(2, kind))
    images = first['inputs'].requires_grad_()
    loss = checkpoint(
        lambda images: model(images, first['data_samples'], mode='loss')['loss_cls'], images, use_reentrant=False
    )
    model(**second, mode='loss')
    triple = history.batch
    loss.backward()
    assert history.batch is triple


def test_line_search(kind):
    """LBFGS calls its closure as often as it likes; every call sees the whole loss."""
    model, _, data = third_step(kind)
    optimizer = torch.optim.LBFGS(model.head.parameters(), max_iter=4, line_search_fn='strong_wolfe')
    losses = []

    def closure():
        optimizer.zero_grad()
        losses.append(model(**data, mode='loss'))
        loss = sum(losses[-1].values())
        loss.backward()
        return loss

    optimizer.step(closure)
    assert len(losses) > 2 and all(loss['loss_consistency'] > 0 for loss in losses)
    assert (
        losses[-1]['loss_cls'] + losses[-1]['loss_consistency'] < losses[0]['loss_cls'] + losses[0]['loss_consistency']
    )


def test_a_batch_split_after_mixing():
    model, _, data = third_step('ClsDataPreprocessor')
    with pytest.raises(ValueError, match='2 samples belong to a batch of 4 that RecursiveMix mixed'):
        model(data['inputs'][:2], data['data_samples'][:2], mode='loss')


@pytest.mark.parametrize('head', ['RMHead', 'LinearClsHead'])
@pytest.mark.parametrize('augment', [dict(type='CutMix', alpha=1.0), dict(type='Mixup', alpha=1.0)], ids=str)
def test_whole_batches_through_mmpretrains_preprocessor(augment, head):
    """It writes into the samples: what every head reads are the mixed labels."""
    settings = dict(num_classes=4, mean=[0.0], std=[1.0], batch_augments=dict(augments=augment))
    images, label = torch.randint(255, (4, 1, 8, 8), dtype=torch.uint8), torch.tensor([0, 1, 2, 3])
    results = []
    for samples in (LabelBatch(label), [DataSample().set_gt_label(value) for value in label]):
        torch.manual_seed(3)
        np.random.seed(3)
        results.append(ClsDataPreprocessor(**settings)(dict(inputs=images.clone(), data_samples=samples), True))
    torch.manual_seed(0)
    if head == 'RMHead':
        head, feats = RMHead(num_classes=4, in_channels=2), (torch.randn(4, 2, 3, 3),)
        head.history = RMHistory()
    else:
        head, feats = LinearClsHead(num_classes=4, in_channels=2), (torch.randn(4, 2),)
    losses = [head.loss(feats, data['data_samples']) for data in results]
    assert_same(*losses)
    scores, expected = (batch_labels(data['data_samples'])[1] for data in results)
    assert (scores.max(1).values < 1).any()
    assert torch.equal(scores, expected)


def test_recursive_mix_through_mmpretrains_preprocessor():
    """Whole batches or lists: the same mixing, and the head finds it."""
    found = []
    for is_whole in (False, True):
        model, history = build()
        for data in batches(3):
            if is_whole:
                data['data_samples'] = LabelBatch(torch.cat([sample.gt_label for sample in data['data_samples']]))
            found.append(model(**prepare(model, data), mode='loss'))
        assert history.num_pasted == 2
    for losses, expected in zip(found[:3], found[3:]):
        assert_same(losses, expected)


def test_mmengine_moves_whole_batches_as_they_are():
    batch = LabelBatch(torch.tensor([1, 2]), sample_idx=[5, 6])
    cast = BaseDataPreprocessor().cast_data(dict(inputs=torch.zeros(2), data_samples=batch))
    assert cast['data_samples'] is batch


class TestTransforms:
    """What reads, copies or transforms a whole model, linked or not."""

    @pytest.fixture(params=[False, True], ids=['not linked', 'linked'])
    def model(self, request):
        model = build_classifier().eval()
        if request.param:
            link_history(model)
            model.train_step(make_batch(), sgd(model))
            model.train_step(make_batch(), sgd(model))
            model.eval()
        return model

    def test_trace(self, model):
        images = torch.rand(2, 3, 16, 16)
        traced = torch.jit.trace(model, images)
        torch.testing.assert_close(traced(images), model(images))

    def test_reading_every_attribute(self, model):
        for module in model.modules():
            assert dict(inspect.getmembers(module))
        assert hasattr(model.head, 'history')

    def test_pickle_and_deepcopy(self, model):
        images = torch.rand(2, 3, 16, 16)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(other(images), model(images))
            history = link_history(other)
            assert history is not model.head.history
            other.train_step(make_batch(), sgd(other))

    def test_onnx(self, model, tmp_path):
        # torch 2.1 has no other exporter.
        options = {'dynamo': False} if 'dynamo' in inspect.signature(torch.onnx.export).parameters else {}
        torch.onnx.export(model, torch.rand(2, 3, 16, 16), str(tmp_path / 'model.onnx'), **options)
        assert (tmp_path / 'model.onnx').stat().st_size > 1000

    def test_functional_call_and_grad(self):
        model, history, data = third_step('ClsDataPreprocessor')
        parameters = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

        def loss(parameters):
            losses = torch.func.functional_call(model, parameters, (data['inputs'], data['data_samples'], 'loss'))
            return losses['loss_cls'] + losses['loss_consistency']

        found = torch.func.grad(loss)(parameters)
        assert_same(found, gradients(model, model(**data, mode='loss')))
        # What became history outlives the transform.
        assert history.batch.logits.abs().sum().item() > 0
        model.train_step(make_batch(), sgd(model))

    def test_vmap_says_why_not(self):
        model, history, data = third_step('ClsDataPreprocessor')
        triple = history.batch
        stacked = {name: torch.stack([value.detach()] * 2) for name, value in model.named_parameters()}

        def loss(parameters):
            losses = torch.func.functional_call(model, parameters, (data['inputs'], data['data_samples'], 'loss'))
            return losses['loss_cls']

        with pytest.raises(RuntimeError, match=r'inside torch.func.vmap: the history holds one prediction a sample'):
            torch.func.vmap(loss)(stacked)
        assert history.batch is triple
        model.train_step(make_batch(), sgd(model))
