# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Whole batches: the same images, labels and random crops as mmpretrain's pipeline gives one at a time."""

from copy import deepcopy

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, RepeatDataset, default_collate, pseudo_collate
from mmengine.runner import Runner
from mmpretrain.models import ClsDataPreprocessor, LinearClsHead
from mmpretrain.registry import TRANSFORMS
from mmpretrain.structures import DataSample
from scipy.stats import chi2_contingency

from mmrmix import RMHistory
from mmrmix.contrib import CIFAR10, CIFAR100, BatchDataPreprocessor, FashionMNIST, LabelBatch, collate_whole_batch
from mmrmix.contrib.batch_data_preprocessor import crop_flip, random_crop_flip
from mmrmix.models import RecursiveMix, RMHead
from mmrmix.models.heads.labels import batch_labels
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


def labelled(num_samples, num_classes=10):
    return [DataSample().set_gt_label(int(label)) for label in torch.randint(num_classes, (num_samples,))]


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


class TestCropFlip:
    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_against_slices(self, data):
        shape = [data.draw(st.integers(1, limit)) for limit in (5, 3, 9, 9)]
        padding = data.draw(st.integers(0, 4))
        generator = np.random.default_rng(data.draw(st.integers(0, 99)))
        dtype = data.draw(st.sampled_from([np.uint8, np.float32]))
        images = generator.integers(1, 255, shape).astype(dtype)
        rows, columns = generator.integers(0, 2 * padding + 1, (2, shape[0]))
        flips = generator.random(shape[0]) < 0.5
        padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        expected = [
            padded[n, :, rows[n] : rows[n] + shape[2], columns[n] : columns[n] + shape[3]][
                ..., :: -1 if flips[n] else 1
            ]
            for n in range(shape[0])
        ]
        corners = torch.from_numpy(rows), torch.from_numpy(columns)
        before = images.copy()
        cropped = crop_flip(torch.from_numpy(images), padding, corners, torch.from_numpy(flips))
        assert cropped.dtype == torch.from_numpy(images).dtype
        assert np.array_equal(cropped.numpy(), np.stack(expected))
        assert np.array_equal(images, before)

    def test_same_distribution_as_the_transforms(self):
        """Corner (25 places) × flip, counted 6,000 times each, χ² at 0.1 %."""
        image = np.arange(1, 64 + 1, dtype=np.uint8).reshape(8, 8)
        transforms = [
            TRANSFORMS.build(dict(type='RandomCrop', crop_size=8, padding=2)),
            TRANSFORMS.build(dict(type='RandomFlip', prob=0.5, direction='horizontal')),
        ]
        np.random.seed(0)
        slow = []
        for _ in range(6000):
            results = dict(img=image.copy(), img_shape=(8, 8))
            for transform in transforms:
                results = transform(results)
            slow.append(results['img'].tobytes())
        images = torch.from_numpy(image)[None, None].repeat(6000, 1, 1, 1)
        fast = [crop.numpy().tobytes() for crop in random_crop_flip(images, padding=2, flip_prob=0.5)]
        outcomes = sorted({*slow, *fast})
        assert len(outcomes) == 50
        counts = [[crops.count(outcome) for outcome in outcomes] for crops in (slow, fast)]
        assert chi2_contingency(counts).pvalue > 0.001
        # The test would see a flip of 40 instead of 50 %.
        biased = [crop.numpy().tobytes() for crop in random_crop_flip(images, padding=2, flip_prob=0.4)]
        counts[1] = [biased.count(outcome) for outcome in outcomes]
        assert chi2_contingency(counts).pvalue < 0.001

    @pytest.mark.parametrize('flip_prob', [0, 1])
    def test_always_and_never(self, flip_prob):
        images = torch.rand(20, 3, 5, 4)
        assert torch.equal(random_crop_flip(images, 0, flip_prob), images.flip(-1) if flip_prob else images)


class TestPreprocessor:
    @pytest.mark.parametrize('training', [False, True])
    @pytest.mark.parametrize('options', [dict(), dict(to_onehot=True), dict(to_rgb=True, pad_size_divisor=8)], ids=str)
    def test_equals_mmpretrains(self, options, training):
        settings = dict(num_classes=10, mean=[70.0] * 3, std=[90.0] * 3, **options)
        data = dict(inputs=torch.randint(255, (5, 3, 9, 6), dtype=torch.uint8), data_samples=labelled(5))
        expected = ClsDataPreprocessor(**settings)(deepcopy(data), training)
        result = BatchDataPreprocessor(**settings)(data, training)
        assert torch.equal(result['inputs'], expected['inputs'])
        for sample, other in zip(result['data_samples'], expected['data_samples']):
            assert torch.equal(sample.gt_label, other.gt_label)
            assert sample.get('gt_score') is other.get('gt_score') is None or (
                sample.gt_score.dtype == other.gt_score.dtype and torch.equal(sample.gt_score, other.gt_score)
            )

    @pytest.mark.parametrize('augment', [dict(type='CutMix', alpha=1.0), dict(type='Mixup', alpha=1.0)], ids=str)
    def test_batch_augments_as_mmpretrains(self, augment):
        settings = dict(num_classes=10, batch_augments=dict(augments=augment), **STATISTICS)
        data = dict(inputs=torch.randint(255, (6, 1, 8, 8), dtype=torch.uint8), data_samples=labelled(6))
        whole = dict(data, data_samples=LabelBatch(batch_labels(data['data_samples'])[0]))
        results = []
        for preprocessor in (BatchDataPreprocessor(**settings), ClsDataPreprocessor(**settings)):
            for batch in (data, whole):
                np.random.seed(3)
                torch.manual_seed(3)
                results.append(preprocessor(deepcopy(batch), True))
        for result in results[:3]:
            assert torch.equal(result['inputs'], results[3]['inputs'])
            assert torch.equal(*(batch_labels(each['data_samples'])[1] for each in (result, results[3])))

    def test_crops_before_it_normalises_and_only_in_training(self):
        preprocessor = BatchDataPreprocessor(crop_padding=3, flip_prob=0.5, **STATISTICS)
        images = torch.full((40, 1, 4, 4), 250, dtype=torch.uint8)
        border = (0 - 70) / 90
        values = preprocessor(dict(inputs=images), True)['inputs'].unique()
        torch.testing.assert_close(values, torch.tensor([border, 2.0]))
        assert (preprocessor(dict(inputs=images), False)['inputs'] == 2).all()

    def test_seed_decides(self):
        preprocessor = BatchDataPreprocessor(crop_padding=3, flip_prob=0.5, **STATISTICS)
        data = dict(inputs=torch.randint(255, (6, 1, 8, 8), dtype=torch.uint8))
        crops = []
        for seed in (1, 2, 1):
            torch.manual_seed(seed)
            crops.append(preprocessor(data, True)['inputs'])
        assert torch.equal(crops[0], crops[2]) and not torch.equal(crops[0], crops[1])

    def test_lists_of_images(self):
        preprocessor = BatchDataPreprocessor(**STATISTICS)
        images = torch.randint(255, (3, 1, 8, 8), dtype=torch.uint8)
        assert torch.equal(preprocessor(dict(inputs=[*images]))['inputs'], preprocessor(dict(inputs=images))['inputs'])
        with pytest.raises(ValueError, match=r'\(1, 8, 8\), \(1, 8, 9\).*Resize or CenterCrop'):
            preprocessor(dict(inputs=[images[0], torch.zeros(1, 8, 9, dtype=torch.uint8)]))

    def test_errors(self):
        with pytest.raises(ValueError, match='crop_padding=-1'):
            BatchDataPreprocessor(crop_padding=-1)
        with pytest.raises(ValueError, match=r'flip_prob=1.5 must lie in \[0, 1\]'):
            BatchDataPreprocessor(flip_prob=1.5)
        data = dict(inputs=torch.zeros(2, 1, 4, 4, dtype=torch.uint8))
        data['data_samples'] = LabelBatch(torch.tensor([1, 2]))
        with pytest.raises(ValueError, match=r'set data_preprocessor[.]num_classes'):
            BatchDataPreprocessor(to_onehot=True)(data)
        data['data_samples'] = LabelBatch(torch.tensor([1, 2, 3]))
        with pytest.raises(ValueError, match='3 labels came for 2 images'):
            BatchDataPreprocessor()(data)
        data['data_samples'] = labelled(2)
        with pytest.raises(AssertionError, match='not set `num_classes`'):  # mmpretrain's own.
            BatchDataPreprocessor(to_onehot=True)(data)

    def test_nothing_waits_for_the_device(self):
        """As in test_no_synchronisation.py: tensors of the meta device have no values."""
        try:
            torch.nn.functional.one_hot(torch.zeros(1, dtype=torch.long, device='meta'), 2)
        except RuntimeError:
            pytest.skip('one_hot of torch 2.1 does not take tensors of the meta device')
        augment = RecursiveMix()
        augment.history = RMHistory()
        batch_augments = dict(augments=augment)
        preprocessor = BatchDataPreprocessor(
            num_classes=10, crop_padding=2, flip_prob=0.5, batch_augments=batch_augments, **STATISTICS
        ).to('meta')
        data = dict(inputs=torch.zeros(4, 1, 8, 8, dtype=torch.uint8), data_samples=LabelBatch(torch.zeros(4).long()))
        result = preprocessor(data, True)
        assert result['inputs'].is_meta and result['data_samples'].packed.gt_score.is_meta


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
