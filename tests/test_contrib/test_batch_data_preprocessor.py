# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""BatchDataPreprocessor: crops, flips and values as mmpretrain's pipeline and preprocessor give them."""

from copy import deepcopy

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import TRANSFORMS
from scipy.stats import chi2_contingency

from mmrmix import RMHistory
from mmrmix.contrib import BatchDataPreprocessor, LabelBatch
from mmrmix.contrib.batch_data_preprocessor import crop_flip, random_crop_flip
from mmrmix.models import RecursiveMix
from mmrmix.models.heads.labels import batch_labels
from tests.helpers.utils import labelled

STATISTICS = dict(mean=[70.0], std=[90.0])


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
