# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Eq. 2: the boxes against plain Python, and their distribution."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mmrmix.models.batch_augments.boxes import box_area_ratio, sample_box

SIDES = st.integers(1, 70)
ALPHAS = st.floats(1e-6, 1)


def authors_box(area_ratio, centre_x, centre_y, width, height):
    """The authors' ``rand_bbox``, one number after the other."""
    cut_width = int(width * math.sqrt(area_ratio))
    cut_height = int(height * math.sqrt(area_ratio))
    return [
        max(centre_x - cut_width // 2, 0),
        max(centre_y - cut_height // 2, 0),
        min(centre_x + cut_width // 2, width),
        min(centre_y + cut_height // 2, height),
    ]


def scalar_box(generator, image_size, alpha):
    """``sample_box`` with one draw of the generator at a time."""
    height, width = image_size
    ratio = generator.uniform(0, alpha)
    return authors_box(ratio, int(generator.integers(0, width)), int(generator.integers(0, height)), width, height)


def sample_boxes(seed, num_boxes, image_size, alpha):
    """Many boxes, ``(num_boxes, 4)``."""
    generator = np.random.default_rng(seed)
    return np.array([sample_box(generator, image_size, alpha) for _ in range(num_boxes)])


def area_ratios_of(boxes, image_size):
    return np.array([box_area_ratio(box, image_size) for box in boxes.tolist()])


def centred(area_ratio, centre, image_size):
    """``sample_box`` where the generator draws what the test wants."""

    class Generator:
        def uniform(self, low, high):
            return area_ratio

        def integers(self, low, high):
            return np.array(centre)

    return list(sample_box(Generator(), image_size, 1.0))


def test_boxes_worked_out_by_hand():
    # 10 wide, 6 high, λ = 1/4: sides 5 and 3, half sides 2 and 1.
    assert centred(0.25, (4, 3), (6, 10)) == [2, 2, 6, 4]
    # In the lower left corner the left half and the last row are clipped.
    assert centred(0.25, (0, 5), (6, 10)) == [0, 4, 2, 6]
    # λ = 0.81: sides int(9.0) and int(5.4), half sides 4 and 2; both are
    # odd, so the box is one pixel smaller than the sides.
    assert centred(0.81, (5, 3), (6, 10)) == [1, 1, 9, 5]
    # λ = 0.03: sides int(1.73) = 1 and int(1.04) = 1, half sides 0.
    assert centred(0.03, (5, 3), (6, 10)) == [5, 3, 5, 3]


@pytest.mark.parametrize(
    ('image_size', 'alpha'), [((224, 224), 0.5), ((32, 32), 0.5), ((13, 201), 1.0), ((97, 5), 0.1)]
)
@pytest.mark.parametrize(('seed', 'rank', 'iteration'), [(0, 0, 0), (0, 3, 1), (2**31 + 5, 7, 123456789)])
def test_fixed_streams_from_the_raw_words_of_philox(image_size, alpha, seed, rank, iteration):
    """What the boxes of a run are is pinned down to the bit.

    A double is a word's upper 53 bits; an integer below n is the upper half
    of n times a half word, the lower half word first (Lemire).
    """
    height, width = image_size
    philox = {'key': [seed, rank], 'counter': [0, iteration, 0, 0]}
    ratio_word, centre_word = np.random.Philox(**philox).random_raw(2).tolist()
    area_ratio = alpha * ((ratio_word >> 11) / 2**53)
    centre_x = (centre_word & 0xFFFFFFFF) * width >> 32
    centre_y = (centre_word >> 32) * height >> 32
    expected = authors_box(area_ratio, centre_x, centre_y, width, height)

    assert list(sample_box(np.random.Generator(np.random.Philox(**philox)), image_size, alpha)) == expected


@settings(deadline=None)
@given(st.integers(0, 2**63), st.tuples(SIDES, SIDES), ALPHAS)
def test_equals_scalar_rewrite(seed, image_size, alpha):
    height, width = image_size
    box = sample_box(np.random.Generator(np.random.Philox(seed)), image_size, alpha)
    x1, y1, x2, y2 = scalar_box(np.random.Generator(np.random.Philox(seed)), image_size, alpha)
    assert box == (x1, y1, x2, y2) and all(type(edge) is int for edge in box)
    assert 0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <= height
    ratio = box_area_ratio(box, image_size)
    assert ratio == (x2 - x1) * (y2 - y1) / (height * width)
    # Rounding and clipping only ever make a box smaller.
    assert 0 <= ratio <= alpha * (1 + 1e-12)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.tuples(SIDES, SIDES))
def test_a_box_that_is_no_pixel_thick_has_ratio_zero(seed, image_size):
    """√λ below 2 / side makes a side of int(…) // 2 = 0 pixels."""
    alpha = min(1.0, (1.999 / max(image_size)) ** 2)
    boxes = sample_boxes(seed, 5, image_size, alpha)
    assert (boxes[:, 0] == boxes[:, 2]).all() and (boxes[:, 1] == boxes[:, 3]).all()
    assert area_ratios_of(boxes, image_size).tolist() == [0.0] * 5


def test_empty_boxes_occur_on_small_images():
    """On 8×8 pixels a side of less than 2 pixels has λ < 1/16: 1/8 of U(0, 1/2)."""
    boxes = sample_boxes(0, 20000, (8, 8), 0.5)
    ratios = area_ratios_of(boxes, (8, 8))
    assert np.mean(ratios == 0) == pytest.approx(1 / 8, abs=0.01)
    assert (sample_boxes(0, 50, (1, 1), 1.0)[:, 2:] == [0, 0]).all()


def test_area_ratios_by_hand():
    boxes = np.array([[0, 0, 10, 4], [2, 1, 7, 3], [3, 3, 3, 4], [9, 0, 10, 4]])
    # The image has 4·10 pixels.
    assert area_ratios_of(boxes, (4, 10)).tolist() == [1.0, 0.25, 0.0, 0.1]


@pytest.mark.parametrize('alpha', [0.1, 0.5, 1.0])
def test_area_ratio_before_clipping_is_uniform(alpha):
    """A box with side share s stays unclipped on both axes with (1 - s)².

    So λ = s² of the unclipped boxes has a density ∝ (1 - √λ)² on (0, α).
    """
    side = 100_000
    boxes = sample_boxes(1, 40000, (side, side), alpha)
    unclipped = boxes[(boxes[:, :2] > 0).all(1) & (boxes[:, 2:] < side).all(1)]
    ratios = area_ratios_of(unclipped, (side, side))

    def integral(ratio):
        return ratio - 4 / 3 * ratio**1.5 + ratio**2 / 2

    assert len(ratios) / len(boxes) == pytest.approx(integral(alpha) / alpha, abs=0.01)
    assert stats.kstest(ratios, lambda ratio: integral(ratio) / integral(alpha)).pvalue > 0.01


def test_mean_area_ratio_after_clipping():
    """An axis keeps s - s²/4 of its side s on average, s = √λ.

    E(s - s²/4)² over λ ~ U(0, α) = α/2 - α^1.5/5 + α²/48 = 0.18450 for α = 1/2.
    """
    boxes = sample_boxes(2, 100_000, (9000, 20000), 0.5)
    assert area_ratios_of(boxes, (9000, 20000)).mean() == pytest.approx(0.18450, abs=0.001)


def test_centres_are_uniform_and_independent():
    height, width = 3000, 50_000
    # λ < 1e-10 leaves sides below 0.5 pixels: the corner of an empty box is its centre.
    x1, y1, x2, y2 = sample_boxes(3, 40000, (height, width), 1e-10).T
    assert (x1 == x2).all() and (y1 == y2).all()
    assert stats.kstest((x1 + 0.5) / width, 'uniform').pvalue > 0.01
    assert stats.kstest((y1 + 0.5) / height, 'uniform').pvalue > 0.01
    assert abs(np.corrcoef(x1, y1)[0, 1]) < 0.02
    assert x1.max() < width and y1.max() < height


def test_both_sides_share_one_ratio():
    """Away from the border width / W = height / H up to two pixels."""
    boxes = sample_boxes(4, 5000, (2000, 8000), 0.5)
    inner = boxes[(boxes[:, 0] > 0) & (boxes[:, 1] > 0) & (boxes[:, 2] < 8000) & (boxes[:, 3] < 2000)]
    width, height = (inner[:, 2:] - inner[:, :2]).T
    assert len(inner) > 1000
    assert np.abs(width / 8000 - height / 2000).max() <= 2 / 2000 + 2 / 8000
