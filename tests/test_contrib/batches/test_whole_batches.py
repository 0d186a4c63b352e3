# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Whole batches: the same images and labels as mmpretrain's pipeline gives one at a time."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, RepeatDataset, default_collate, pseudo_collate
from mmengine.runner import Runner

from mmrmix.contrib import CIFAR10, CIFAR100, BatchDataPreprocessor, FashionMNIST, LabelBatch, collate_whole_batch
from tests.helpers import synthetic

PACK = [dict(type='PackInputs')]
CROP = [dict(type='RandomCrop', crop_size=28, padding=2), *PACK]
STATISTICS = dict(mean=[70.0], std=[90.0])


@pytest.fixture(params=['Fashion-MNIST', 'CIFAR-10', 'CIFAR-100'])
def dataset(request, data, tmp_path, monkeypatch):
    if request.param == 'Fashion-MNIST':
        return FashionMNIST(str(data), pipeline=PACK)
    monkeypatch.setattr('mmpretrain.datasets.cifar.CIFAR10._check_integrity', lambda self: True)
    cls, num_classes = (CIFAR10, 10) if request.param == 'CIFAR-10' else (CIFAR100, 100)
    return cls(str(synthetic.cifar(tmp_path, num_classes, num_images=20)), pipeline=PACK)


@pytest.fixture
def fashion(data):
    return FashionMNIST(str(data), pipeline=PACK)


def fetch(dataset, indices):
    return collate_whole_batch(dataset.__getitems__(indices))


def assert_same_batch(batch, expected):
    assert batch.keys() == expected.keys()
    assert batch['inputs'].dtype == expected['inputs'].dtype
    assert torch.equal(batch['inputs'], expected['inputs'])
    assert len(batch['data_samples']) == len(expected['data_samples'])
    for sample, other in zip(batch['data_samples'], expected['data_samples']):
        assert torch.equal(sample.gt_label, other.gt_label)
        assert sample.metainfo == other.metainfo


class TestDataset:
    @pytest.mark.parametrize('indices', [[3], [5, 0, 5, 19], list(range(20))], ids=len)
    def test_a_batch_is_its_items(self, dataset, indices):
        batch = fetch(dataset, indices)
        assert isinstance(batch['data_samples'], LabelBatch)
        assert_same_batch(batch, default_collate([dataset[index] for index in indices]))

    @pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
    def test_other_collate_functions_get_the_items(self, dataset, collate):
        batch = collate(dataset.__getitems__([4, 2]))
        expected = collate([dataset[4], dataset[2]])
        assert type(batch['inputs']) is type(expected['inputs'])
        assert all(torch.equal(image, other) for image, other in zip(batch['inputs'], expected['inputs']))

    def test_other_pipelines_run(self, data):
        dataset = FashionMNIST(str(data), pipeline=CROP)
        np.random.seed(1)
        batch = fetch(dataset, [7, 3, 7])
        np.random.seed(1)
        assert_same_batch(batch, default_collate([dataset[index] for index in (7, 3, 7)]))
        assert not torch.equal(batch['inputs'][0], batch['inputs'][2])

    @pytest.mark.parametrize('wrapper', [lambda part: ConcatDataset([part, part]), lambda part: RepeatDataset(part, 2)])
    def test_wrapped(self, fashion, wrapper):
        wrapped = wrapper(fashion)
        batch = collate_whole_batch([wrapped[201], wrapped[7]])
        assert torch.equal(batch['inputs'], fetch(fashion, [1, 7])['inputs'])

    def test_parts(self, data, fashion):
        expected = fetch(fashion, [11, 12])
        limited = FashionMNIST(str(data), pipeline=PACK, indices=13)
        part = fashion.get_subset([12, 11])
        assert len(fashion) == 200 and len(limited) == 13 and len(part) == 2
        assert torch.equal(fetch(limited, [11, 12])['inputs'], expected['inputs'])
        assert torch.equal(fetch(part, [1, 0])['inputs'], expected['inputs'])
        fashion.get_subset_(range(11, 20))
        assert torch.equal(fetch(fashion, [0, 1])['inputs'], expected['inputs'])

    def test_batches_have_memory_of_their_own(self, fashion):
        batch = fetch(fashion, [0, 1])['inputs']
        batch.zero_()
        assert fetch(fashion, [0, 1])['inputs'].any()

    @pytest.mark.parametrize('num_workers', [0, 2])
    def test_in_a_loader(self, data, num_workers):
        loader = Runner.build_dataloader(
            dict(
                batch_size=7,
                num_workers=num_workers,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='mmrmix.collate_whole_batch'),
                dataset=dict(type='mmrmix.FashionMNIST', data_root=str(data), indices=20, pipeline=PACK),
            )
        )
        batches = list(loader)
        assert [len(batch['data_samples']) for batch in batches] == [7, 7, 6]
        assert [sample.sample_idx for batch in batches for sample in batch['data_samples']] == list(range(20))


def test_foreign_transforms_in_an_inherited_config(tmp_path, data):
    """Who replaces the pipeline gets it, and no second crop where it is switched off."""
    config = tmp_path / 'foreign.py'
    config.write_text(
        "_base_ = ['mmrmix::demo/resnet10_1xb64_fashion-mnist.py']\n"
        'data_preprocessor = dict(crop_padding=0, flip_prob=0)\n'
        "train_dataloader = dict(dataset=dict(pipeline=[dict(type='Resize', scale=20), dict(type='PackInputs')]))\n"
    )
    cfg = Config.fromfile(config)
    cfg.train_dataloader.dataset.update(data_root=str(data), indices=70)
    batch = next(iter(Runner.build_dataloader(cfg.train_dataloader)))
    assert batch['inputs'].shape == (64, 1, 20, 20)
    assert len(BatchDataPreprocessor(**STATISTICS)(batch, True)['data_samples']) == 64
