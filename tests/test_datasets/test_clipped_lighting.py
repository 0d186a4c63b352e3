# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""ClippedLighting: mmcv's lighting, rounded, without wrapping around."""

import mmcv
import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS

PCA = dict(
    eigval=[55.4625, 4.7940, 1.1475],
    eigvec=[[-0.5836, -0.6948, 0.4203], [-0.5808, -0.0045, -0.8140], [-0.5675, 0.7192, 0.4009]],
)
SEEDS = range(30)


def lighting(image, seed, alphastd=0.1, name='mmrmix.ClippedLighting', **kwargs):
    transform = TRANSFORMS.build(dict(type=name, alphastd=alphastd, **PCA, **kwargs))
    np.random.seed(seed)
    return transform(dict(img=image))['img']


def shift(seed, alphastd=0.1):
    """What is added to each channel: eigvec · (α ∘ eigval)."""
    alpha = np.random.RandomState(seed).normal(0, alphastd, 3)
    return np.array(PCA['eigvec']) @ (alpha * np.array(PCA['eigval']))


def noise_image():
    return np.random.RandomState(0).randint(0, 256, (24, 32, 3)).astype(np.uint8)


@pytest.mark.parametrize('value', [0, 255])
def test_black_and_white_never_wrap(value):
    image = np.full((4, 6, 3), value, dtype=np.uint8)
    largest = 0
    for seed in SEEDS:
        result = lighting(image, seed, alphastd=0.5)
        largest = max(largest, np.abs(shift(seed, 0.5)).max())
        assert result.dtype == np.uint8
        expected = np.clip(np.round(value + shift(seed, 0.5)), 0, 255)
        assert np.array_equal(result, np.broadcast_to(expected, image.shape))
    # The noise was large enough to wrap, and mmpretrain's own class does.
    assert largest > 20
    wrapped = [lighting(image, seed, alphastd=0.5, name='Lighting') for seed in SEEDS]
    assert any(np.abs(result.astype(int) - value).max() > 200 for result in wrapped)


@pytest.mark.parametrize('to_rgb', [False, True])
def test_it_is_mmcvs_lighting_rounded(to_rgb):
    image = noise_image()
    for seed in SEEDS:
        np.random.seed(seed)
        expected = mmcv.adjust_lighting(
            image.astype(np.float32), np.array(PCA['eigval']), np.array(PCA['eigvec']), alphastd=0.1, to_rgb=to_rgb
        )
        result = lighting(image, seed, to_rgb=to_rgb)
        assert result.dtype == np.uint8
        inside = (expected > 0) & (expected < 255)
        assert np.abs(result - expected)[inside].max() <= 0.5 + 1e-4
        assert (result[expected <= 0] == 0).all()
        assert (result[expected >= 255] == 255).all()


def test_the_mean_effect_is_that_of_the_noise():
    """Rounding, unlike truncation, does not darken images on average."""
    image = np.full((8, 8, 3), 128, dtype=np.uint8)
    errors = [lighting(image, seed).astype(float).mean((0, 1)) - 128 - shift(seed) for seed in range(300)]
    assert np.abs(np.mean(errors)) < 0.05
    truncated = [
        lighting(image, seed, name='Lighting').astype(float).mean() - 128 - shift(seed).mean() for seed in SEEDS
    ]
    assert np.mean(truncated) < -0.3


def test_no_noise_and_the_callers_image():
    image = noise_image()
    before = image.copy()
    assert np.array_equal(lighting(image, seed=0, alphastd=0.0), before)
    lighting(image, seed=0, alphastd=0.5)
    assert np.array_equal(image, before)


def test_other_keys_stay():
    transform = TRANSFORMS.build(dict(type='mmrmix.ClippedLighting', **PCA))
    results = transform(dict(img=noise_image(), gt_label=3, img_shape=(24, 32)))
    assert sorted(results) == ['gt_label', 'img', 'img_shape']
    assert (results['gt_label'], results['img_shape']) == (3, (24, 32))
