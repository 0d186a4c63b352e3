# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Batches as loaders yield them, and as they come out of pinned memory where there is a GPU."""

import pytest
import torch
from mmengine.runner import Runner
from mmpretrain.models import ClsDataPreprocessor
from torch.utils.data._utils.pin_memory import pin_memory

from mmrmix.contrib import BatchDataPreprocessor, LabelBatch
from mmrmix.models.heads.labels import batch_labels

PACK = [dict(type='PackInputs')]
RESIZED = [dict(type='Resize', scale=(20, 20)), *PACK]
STATISTICS = dict(mean=[70.0], std=[90.0], num_classes=10, to_onehot=True)


@pytest.fixture
def _pinned(monkeypatch):
    """Pinning without a GPU: everything but the copy of the tensors."""
    monkeypatch.setattr(torch.Tensor, 'pin_memory', lambda tensor, *_: tensor)


def loaded(data, collate, pipeline=PACK):
    dataset = dict(type='mmrmix.FashionMNIST', data_root=str(data), indices=12, pipeline=pipeline)
    loader = dict(batch_size=6, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    return Runner.build_dataloader(dict(**loader, collate_fn=dict(type=collate), dataset=dataset))


@pytest.mark.parametrize('preprocessor', [ClsDataPreprocessor, BatchDataPreprocessor])
@pytest.mark.parametrize('collate', ['mmrmix.collate_whole_batch', 'default_collate', 'pseudo_collate'])
@pytest.mark.usefixtures('_pinned')
def test_pinned_batches_are_the_loaded_ones(data, collate, preprocessor):
    """Torch rebuilds sequences item by item, which turned labels into a list of samples."""
    for batch in loaded(data, collate):
        pinned = pin_memory(batch)
        assert type(pinned['data_samples']) is type(batch['data_samples'])
        results = [preprocessor(**STATISTICS)(data, True) for data in (batch, pinned)]
        assert torch.equal(results[0]['inputs'], results[1]['inputs'])
        for sample, other in zip(*(result['data_samples'] for result in results)):
            assert torch.equal(sample.gt_label, other.gt_label) and torch.equal(sample.gt_score, other.gt_score)
            assert sample.sample_idx == other.sample_idx


@pytest.mark.usefixtures('_pinned')
def test_pinned_labels():
    batch = LabelBatch(torch.tensor([3, 1]), torch.rand(2, 4), sample_idx=[7, 9])
    pinned = pin_memory(batch)
    assert isinstance(pinned, LabelBatch)
    assert all(torch.equal(tensor, other) for tensor, other in zip(pinned.packed, batch.packed))
    assert pinned.sample_idx == [7, 9]


def test_labels_have_one_truth():
    batch = LabelBatch(torch.tensor([3, 1]))
    assert batch.packed.gt_label.tolist() == [3, 1] and batch.packed.gt_score is None
    score = torch.tensor([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
    for sample, row in zip(batch, score):
        sample.set_gt_score(row)
    # The samples are the labels from now on.
    assert batch.packed is None and len(batch) == 2
    batch[1].set_gt_label(2)
    label, found = batch_labels(batch)
    assert torch.equal(found, score) and label.tolist() == [3, 2]
    with pytest.raises(RuntimeError, match='These labels are unpacked'):
        batch.to('cpu')
    # Preprocessors see them, too.
    data = dict(inputs=torch.zeros(2, 1, 4, 4, dtype=torch.uint8), data_samples=batch)
    result = BatchDataPreprocessor(num_classes=3, to_onehot=True)(data, True)
    assert torch.equal(batch_labels(result['data_samples'])[1], score)


def test_a_switched_pipeline_counts(data):
    """Progressive resizing, or random augmentation that ends: what SwitchRecipeHook does in the middle of a run."""
    loader = loaded(data, 'mmrmix.collate_whole_batch')
    dataset, shapes = loader.dataset, []
    small = dataset.pipeline
    for pipeline in (small, type(small)(RESIZED), small, type(small)([dict(type='PackInputs', meta_keys=())]), small):
        dataset.pipeline = pipeline
        batch = next(iter(loader))
        shapes.append((batch['inputs'].shape[-1], isinstance(batch['data_samples'], LabelBatch)))
    assert shapes == [(28, True), (20, False), (28, True), (28, False), (28, True)]
    # Also where the run starts with the other one.
    loader = loaded(data, 'mmrmix.collate_whole_batch', RESIZED)
    assert next(iter(loader))['inputs'].shape[-1] == 20
    loader.dataset.pipeline = small
    assert torch.equal(next(iter(loader))['inputs'], batch['inputs'])
