# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""RandomErasing: boxes as timm's loop over attempts draws them, filled with normally distributed noise."""

import math
import random

import numpy as np
import pytest
import torch
from comparisons.steps import peak_bytes
from scipy.stats import binomtest, chi2_contingency, kstest

from mmrmix.contrib.erasing import RandomErasing, fill_boxes, sample_boxes

MEAN, STD = torch.tensor([100.0, 110.0, 120.0])[:, None, None], torch.tensor([50.0, 60.0, 70.0])[:, None, None]
CPU = torch.device('cpu')


def box_of_a_loop(height, width, area_ratios, min_aspect_ratio, attempts=10):
    for _ in range(attempts):
        area = random.uniform(*area_ratios) * height * width
        aspect = math.exp(random.uniform(math.log(min_aspect_ratio), -math.log(min_aspect_ratio)))
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if w < width and h < height:
            top, left = random.randint(0, height - h), random.randint(0, width - w)
            return left, top, left + w, top + h
    return 0, 0, 0, 0


class TestBoxes:
    @pytest.mark.parametrize(
        'size, area_ratios, min_aspect_ratio',
        [((4, 6), (0.02, 1 / 3), 0.3), ((5, 4), (0.5, 1.0), 0.3), ((6, 6), (0.6, 1.0), 0.5)],
    )
    def test_same_distribution_as_a_loop(self, size, area_ratios, min_aspect_ratio):
        """Whole boxes are counted, χ² at 0.1 %; few attempts fit in the last cases, and sometimes none."""
        number = 10_000
        random.seed(0)
        torch.manual_seed(0)
        fast = [*map(tuple, sample_boxes(number, size, area_ratios, min_aspect_ratio, CPU).tolist())]
        loop = [box_of_a_loop(*size, area_ratios, min_aspect_ratio) for _ in range(number)]
        outcomes = sorted({*fast, *loop})

        def p_value(boxes):
            counts = np.array([[drawn.count(outcome) for outcome in outcomes] for drawn in (fast, boxes)])
            rare = counts.sum(0) < 20
            counts = np.hstack([counts[:, ~rare], counts[:, rare].sum(1, keepdims=True)])
            return chi2_contingency(counts[:, counts.sum(0) > 0]).pvalue

        assert p_value(loop) > 0.001
        if area_ratios[1] == 1.0:
            # The test would see a single attempt.
            assert p_value([box_of_a_loop(*size, area_ratios, min_aspect_ratio, attempts=1) for _ in loop]) < 0.001

    def test_large_images(self):
        """Sides, area and place of 10,000 boxes of the paper's images."""
        torch.manual_seed(0)
        x1, y1, x2, y2 = sample_boxes(10_000, (224, 200), (0.02, 1 / 3), 0.3, CPU).double().numpy().T
        widths, heights = x2 - x1, y2 - y1
        for first, last, size in ((x1, x2, 200), (y1, y2, 224)):
            assert first.min() >= 0 and last.max() <= size
            assert (last - first).min() > 0 and (last - first).max() < size
        # Large areas with an extreme aspect do not fit: below, all do.
        small = widths * heights / (224 * 200) < 0.2
        ratios = (widths * heights)[small] / (224 * 200)
        assert kstest(ratios, 'uniform', args=(0.02, 0.18)).pvalue > 0.001
        aspects = np.log(heights / widths)[small]
        assert kstest(aspects, 'uniform', args=(math.log(0.3), -2 * math.log(0.3))).pvalue > 0.001
        # Whole pixels, made continuous.
        noise = np.random.default_rng(0).random((2, 10_000))
        for first, length, size, jitter in ((x1, widths, 200, noise[0]), (y1, heights, 224, noise[1])):
            assert kstest((first + jitter) / (size - length + 1), 'uniform').pvalue > 0.001

    def test_no_box_fits_into_a_pixel(self):
        x1, y1, x2, y2 = sample_boxes(50, (1, 1), (0.02, 1.0), 0.3, CPU).T
        assert ((x2 - x1) * (y2 - y1)).max() == 0


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_fill_against_slices(memory_format):
    images = torch.rand(4, 2, 6, 5).contiguous(memory_format=memory_format)
    filling = torch.rand(4, 2, 6, 5)
    boxes = torch.tensor([[0, 0, 5, 6], [1, 2, 4, 3], [3, 0, 3, 6], [4, 5, 5, 6]])
    expected, before = images.clone(), images.clone()
    for n, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        expected[n, :, y1:y2, x1:x2] = filling[n, :, y1:y2, x1:x2]
    result = fill_boxes(images, boxes, filling)
    assert torch.equal(result, expected) and torch.equal(images, before)
    assert result.is_contiguous(memory_format=memory_format)


class TestErasing:
    def erase(self, images, seed=0, **kwargs):
        torch.manual_seed(seed)
        return RandomErasing(**{**dict(prob=0.25), **kwargs})(images, MEAN, STD)

    def test_a_quarter_becomes_noise_of_the_given_statistics(self):
        images = torch.full((2000, 3, 16, 16), 1000.0)
        result = self.erase(images)
        assert (images == 1000).all()
        is_noise = result != 1000
        assert torch.equal(is_noise.all(1), is_noise.any(1))  # The same pixels in all channels.
        erased = is_noise.flatten(1).any(1)
        assert binomtest(int(erased.sum()), 2000, 0.25).pvalue > 0.001
        normalised = (result - MEAN) / STD
        for channel in range(3):
            values = normalised[:, channel][is_noise[:, channel]]
            assert len(values) > 10_000
            assert kstest(values.numpy(), 'norm').pvalue > 0.001
        # Pixels and channels differ: noise, not a colour.
        image = normalised[erased][0][is_noise[erased][0]]
        assert len(image.unique()) == len(image)

    @pytest.mark.parametrize('prob', [0, 1])
    def test_never_and_always(self, prob):
        images = torch.full((100, 3, 16, 16), 1000.0)
        erased = (self.erase(images, prob=prob) != images).flatten(1).any(1)
        assert torch.equal(erased, torch.full((100,), bool(prob)))

    def test_seed_decides_and_layout_does_not(self):
        images = torch.rand(8, 3, 16, 12)
        first, other, again = (self.erase(images, seed, prob=0.9) for seed in (1, 2, 1))
        assert torch.equal(first, again) and not torch.equal(first, other)
        result = self.erase(images.contiguous(memory_format=torch.channels_last), 1, prob=0.9)
        assert torch.equal(result, first) and result.is_contiguous(memory_format=torch.channels_last)

    def test_autocast_changes_nothing(self):
        images = 255 * torch.rand(8, 3, 16, 12)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            result = self.erase(images, prob=0.9)
        assert result.dtype == torch.float32 and torch.equal(result, self.erase(images, prob=0.9))

    def test_nothing_waits_for_the_device(self):
        images = torch.empty(4, 3, 8, 8, device='meta')
        assert RandomErasing(0.5)(images, MEAN.to('meta'), STD.to('meta')).is_meta

    def test_memory(self):
        """Noise, the mask and the result."""
        images = torch.rand(8, 3, 64, 64)
        peak = peak_bytes(lambda: RandomErasing(0.25)(images, MEAN, STD), CPU, number=2)
        assert 2 <= peak / images.untyped_storage().nbytes() < 2.25


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(prob=1.5), r'erasing.prob=1.5 must lie in \[0, 1\]'),
        (dict(prob=1, min_area_ratio=0.5), 'erasing.min_area_ratio=0.5 and max_area_ratio=0.33'),
        (dict(prob=1, max_area_ratio=2), 'must be shares of the image'),
        (dict(prob=1, min_aspect_ratio=0), r'erasing.min_aspect_ratio=0 must lie in \(0, 1\]'),
    ],
)
def test_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        RandomErasing(**settings)
