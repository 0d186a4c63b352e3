# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Colour jitter and lighting: values as the authors' sequence of operations gives them, factors as they draw them."""

from copy import deepcopy
from itertools import permutations

import numpy as np
import pytest
import torch
from comparisons.steps import peak_bytes
from scipy.stats import kstest

from mmrmix.contrib.color import ColorJitter, Lighting, adjust_color, lighting_steps

EIGVAL = [0.2175, 0.0188, 0.0045]
EIGVEC = [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]


def grey(image):
    return 0.2989 * image[0] + 0.587 * image[1] + 0.114 * image[2]


# As the authors have them: image + α · (other - image), α = 1 - factor, on one RGB image.
OPERATIONS = dict(
    brightness=lambda image, alpha: image + alpha * (0 - image),
    contrast=lambda image, alpha: image + alpha * (grey(image).mean() - image),
    saturation=lambda image, alpha: image + alpha * (grey(image) - image),
)


def in_sequence(images, factors, order):
    """float64, image by image; ``images`` as an array ``(N, 3, H, W)``, ``factors`` ``(N, 3)``."""
    results = []
    for image, own in zip(np.asarray(images, np.float64), np.asarray(factors, np.float64)):
        alphas = dict(zip(OPERATIONS, 1 - own))
        for name in order:
            image = OPERATIONS[name](image, alphas[name])
        results.append(image)
    return np.stack(results)


def photographs():
    data = pytest.importorskip('skimage.data')
    crops = [image[60:260, 100:300] for image in (data.astronaut(), data.chelsea(), data.coffee(), data.rocket())]
    return torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2).copy())


def draw_factors(num_samples, largest=0.4):
    return 1 + largest * (2 * torch.rand(num_samples, 3) - 1)


@pytest.mark.parametrize('order', [*permutations(OPERATIONS)], ids=' '.join)
class TestAgainstTheAuthorsSequence:
    """One formula gives what each of the six orders gives."""

    def test_photographs(self, order):
        images = photographs().float()
        factors = torch.tensor([[0.6, 1.4, 1.4], [1.4, 0.6, 0.6], [1.4, 1.4, 1.4], [0.83, 1.21, 0.64]])
        expected = in_sequence(images / 255, factors, order)
        result = adjust_color(images, *factors.T)
        assert result is images
        assert np.abs(result.numpy() / 255 - expected).max() < 1e-6
        assert expected.min() < -0.1 and expected.max() > 1.4  # Nothing is clipped.

    @pytest.mark.parametrize('shape', [(1, 3, 1, 1), (2, 3, 1, 7), (5, 3, 13, 8)], ids=str)
    @pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
    @pytest.mark.parametrize('is_bgr', [False, True])
    def test_shapes_layouts_and_channels(self, order, shape, memory_format, is_bgr):
        torch.manual_seed(0)
        images = torch.rand(shape)
        factors = draw_factors(len(images), largest=1.0)
        expected = in_sequence(images, factors, order)
        given = (images.flip(1) if is_bgr else images).contiguous(memory_format=memory_format)
        result = adjust_color(given.clone(), *factors.T, is_bgr=is_bgr)
        assert result.is_contiguous(memory_format=memory_format)
        assert np.abs((result.flip(1) if is_bgr else result).numpy() - expected).max() < 2e-6


def test_other_weights_of_grey_would_be_noticed():
    """OpenCV's sum to 1, the authors' to 0.9999: 1e-4, ten times the tolerance of float32 code."""
    for contrast, saturation, expected in ((1, 0, 0.9999), (0, 1, 0.9999), (0, 0, 0.9999**2)):
        factors = (torch.full((1,), float(factor)) for factor in (1, contrast, saturation))
        assert adjust_color(torch.ones(1, 3, 2, 2), *factors).numpy() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize('augment', [ColorJitter(0.4, 0.4, 0.4), Lighting(0.1, EIGVAL, EIGVEC)], ids=repr)
class TestBoth:
    def draw(self, augment, images, seed=0):
        torch.manual_seed(seed)
        return augment(images.clone())

    def test_autocast_changes_nothing(self, augment):
        images = 255 * torch.rand(4, 3, 9, 7)
        expected = self.draw(augment, images)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            assert torch.equal(self.draw(augment, images), expected)

    def test_seed_decides(self, augment):
        images = torch.full((4, 3, 9, 7), 100.0)
        first, other, again = (self.draw(augment, images, seed) for seed in (1, 2, 1))
        assert torch.equal(first, again) and not torch.equal(first, other)
        assert len(first[:, 0, 0, 0].unique()) == 4  # Each image has its own.

    def test_channels_last_and_bgr_change_no_bit(self, augment):
        images = 255 * torch.rand(4, 3, 9, 7)
        expected = self.draw(augment, images)
        assert torch.equal(self.draw(augment, images.contiguous(memory_format=torch.channels_last)), expected)
        torch.manual_seed(0)
        assert torch.equal(augment(images.flip(1), is_bgr=True).flip(1), expected)

    def test_nothing_waits_for_the_device(self, augment):
        """As in test_no_synchronisation.py: tensors of the meta device have no values."""
        images = torch.empty(4, 3, 8, 8, device='meta')
        assert deepcopy(augment).to('meta')(images, is_bgr=True) is images

    def test_memory(self, augment):
        """In place; grey images take two thirds of a batch."""
        images = torch.rand(8, 3, 64, 64)
        peak = peak_bytes(lambda: augment(images), torch.device('cpu'), number=2)
        assert peak / images.untyped_storage().nbytes() < (0.7 if isinstance(augment, ColorJitter) else 0.1)

    def test_grey_images(self, augment):
        with pytest.raises(ValueError, match=r'shape \(2, 1, 4, 4\): remove data_preprocessor[.](color_j|light)'):
            augment(torch.zeros(2, 1, 4, 4))


class TestDistribution:
    """10,000 draws."""

    RANGES = (0.4, 0.3, 0.2)

    def factors(self):
        """What the factors were, from two pixels of each image."""
        image = torch.tensor([[30.0, 90.0], [60.0, 200.0], [150.0, 10.0]])[:, None]
        torch.manual_seed(0)
        result = ColorJitter(*self.RANGES)(image.expand(10_000, 3, 1, 2).clone()).double().numpy()[:, :, 0]
        image = image.double().numpy()[:, 0]
        all_three = (result[:, 0, 0] - result[:, 1, 0]) / (image[0, 0] - image[1, 0])
        change = result[:, 0, 1] - result[:, 0, 0] - all_three * (image[0, 1] - image[0, 0])
        without_saturation = change / (grey(image)[1] - grey(image)[0]) + all_three
        saturation = all_three / without_saturation
        greys = grey(result.transpose(1, 0, 2)).mean(1) / grey(image).mean()
        kept = saturation + (1 - saturation) * 0.9999
        # greys = kept · b (c + 0.9999 (1 - c)), and bc is known.
        brightness = (greys / kept - without_saturation) / 0.9999 + without_saturation
        return dict(brightness=brightness, contrast=without_saturation / brightness, saturation=saturation)

    def test_factors_are_uniform_and_independent(self):
        factors = self.factors()
        for values, largest in zip(factors.values(), self.RANGES):
            assert kstest(values, 'uniform', args=(1 - largest, 2 * largest)).pvalue > 0.001
            # The test would see factors from another range.
            assert kstest(values, 'uniform', args=(1 - 1.1 * largest, 2.2 * largest)).pvalue < 0.001
            variance = largest**2 / 3
            assert values.mean() == pytest.approx(1, abs=4 * (variance / 10_000) ** 0.5)
            assert values.var() == pytest.approx(variance, rel=0.04)
        correlations = np.corrcoef(list(factors.values())) - np.eye(3)
        assert np.abs(correlations).max() < 4 / 10_000**0.5

    def test_lighting(self):
        torch.manual_seed(0)
        images = torch.full((10_000, 3, 1, 1), 255.0)
        steps = (Lighting(0.1, EIGVAL, EIGVEC)(images).double().numpy()[:, :, 0, 0] - 255) / 255
        components = steps @ np.linalg.inv(np.array(EIGVEC)).T / EIGVAL
        for alphas in components.T:
            assert kstest(alphas, 'norm', args=(0, 0.1)).pvalue > 0.001
            assert alphas.mean() == pytest.approx(0, abs=4 * 0.1 / 100)
            assert alphas.std() == pytest.approx(0.1, rel=0.03)
        assert np.abs(np.corrcoef(components.T) - np.eye(3)).max() < 0.04


def test_lighting_by_hand():
    alphas = torch.tensor([[1.0, 0.0, 0.0], [0.5, -1.0, 2.0]])
    steps = lighting_steps(alphas, torch.tensor(EIGVAL), torch.tensor(EIGVEC))
    first = [-0.5675 * 0.2175, -0.5808 * 0.2175, -0.5836 * 0.2175]
    second = [
        0.5 * red + component
        for red, component in zip(
            first,
            [
                -0.7192 * 0.0188 + 2 * 0.4009 * 0.0045,
                0.0045 * 0.0188 - 2 * 0.8140 * 0.0045,
                0.6948 * 0.0188 + 2 * 0.4203 * 0.0045,
            ],
        )
    ]
    assert steps.numpy() == pytest.approx(np.array([first, second]), abs=1e-7)


@pytest.mark.parametrize('value', [0, 0.0])
def test_ranges_of_zero_change_nothing(value):
    images = 255 * torch.rand(4, 3, 9, 7)
    for augment in (ColorJitter(value, value, value), ColorJitter(), Lighting(value, EIGVAL, EIGVEC)):
        assert torch.equal(augment(images.clone()), images)


@pytest.mark.parametrize(
    'build, message',
    [
        (lambda: ColorJitter(brightness=1.5), r'color_jitter.brightness=1.5 must be a number in \[0, 1\]'),
        (lambda: ColorJitter(saturation=(0.6, 1.4)), r'color_jitter.saturation=\(0.6, 1.4\) must be a number'),
        (lambda: Lighting(-1, EIGVAL, EIGVEC), 'lighting.alphastd=-1 must be a number and not negative'),
        (lambda: Lighting(0.1, [55.46, 4.79, 1.15], EIGVEC), 'must be three numbers in .*: divide those of .* by 255'),
        (lambda: Lighting(0.1, [0.2], EIGVEC), r'lighting.eigval=\[0.2\] must be three'),
        (lambda: Lighting(0.1, EIGVAL, EIGVEC[:2]), 'lighting.eigvec=.* must have three rows'),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()
