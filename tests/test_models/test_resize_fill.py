# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""ResizeFill of Eq. 1, by hand and against a second implementation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrmix.models.batch_augments.resize_fill import fill_box, resize
from tests.helpers.utils import HALF_DTYPES

DTYPES = [torch.float32, *HALF_DTYPES]
SIDES = st.integers(1, 12)


def image(rows):
    """One image of one channel, ``(1, 1, H, W)``."""
    return torch.tensor(rows, dtype=torch.float32)[None, None]


def positions(size, source_size, interpolation):
    """Where each of ``size`` pixels lies in the source, as F.interpolate rounds."""
    index = np.arange(size, dtype=np.float32)
    if interpolation == 'nearest':
        return np.minimum(np.floor(index * (np.float32(source_size) / np.float32(max(size, 1)))), source_size - 1)
    return index * np.float32((source_size - 1) / (size - 1) if size > 1 else 0)


def numpy_fill(images, source, box, interpolation, order):
    """One box of the whole batch, pixel by pixel in float64."""
    result = images.double().numpy().copy()
    source = source.double().numpy()
    x1, y1, x2, y2 = box
    rows = positions(y2 - y1, source.shape[-2], interpolation)
    columns = positions(x2 - x1, source.shape[-1], interpolation)
    for n, y, x in np.ndindex(len(images), y2 - y1, x2 - x1):
        row, column = float(rows[y]), float(columns[x])
        value = 0
        for i, weight_y in ((int(row), 1 - row % 1), (int(row) + 1, row % 1)):
            for j, weight_x in ((int(column), 1 - column % 1), (int(column) + 1, column % 1)):
                if weight_y * weight_x:
                    j = min(j, source.shape[-1] - 1)
                    value = value + weight_y * weight_x * source[order[n], :, min(i, source.shape[-2] - 1), j]
        result[n, :, y1 + y, x1 + x] = value
    return result


def test_nearest_enlarges():
    images = torch.zeros(1, 1, 6, 5)
    fill_box(images, image([[1, 2], [3, 4]]), (1, 2, 5, 6))
    expected = [
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 1, 1, 2, 2],
        [0, 1, 1, 2, 2],
        [0, 3, 3, 4, 4],
        [0, 3, 3, 4, 4],
    ]
    assert images[0, 0].tolist() == expected


def test_nearest_shrinks_and_truncates():
    images = torch.full((1, 1, 2, 4), -1.0)
    # 2 rows of 4 are rows 0 and 2; 3 columns of 5 are floor(0, 1.67, 3.33).
    fill_box(images, image([[10 * row + column for column in range(5)] for row in range(4)]), (1, 0, 4, 2))
    assert images[0, 0].tolist() == [[-1, 0, 1, 3], [-1, 20, 21, 23]]


def test_bilinear_enlarges_with_aligned_corners():
    images = torch.zeros(1, 1, 4, 3)
    fill_box(images, image([[1, 2], [3, 4]]), (0, 1, 3, 4), 'bilinear')
    assert images[0, 0].tolist() == [[0, 0, 0], [1, 1.5, 2], [2, 2.5, 3], [3, 3.5, 4]]


def test_bilinear_shrinks_to_the_corners_and_to_one_pixel():
    source = image([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    images = torch.zeros(1, 1, 2, 2)
    fill_box(images, source, (0, 0, 2, 2), 'bilinear')
    assert images[0, 0].tolist() == [[0, 2], [6, 8]]
    fill_box(images, source + 10, (1, 0, 2, 1), 'bilinear')
    assert images[0, 0].tolist() == [[0, 10], [6, 8]]


def test_in_place():
    images = torch.randn(3, 2, 9, 8)
    before, address = images.clone(), images.data_ptr()
    source = torch.randn(3, 2, 5, 7)
    source_before = source.clone()
    assert fill_box(images, source, (2, 3, 7, 9)) is None
    assert images.data_ptr() == address
    inside = torch.zeros(9, 8, dtype=torch.bool)
    inside[3:9, 2:7] = True
    assert torch.equal(images[:, :, ~inside], before[:, :, ~inside])
    assert (images[:, :, inside] != before[:, :, inside]).all()
    assert torch.equal(source, source_before)


def test_writes_through_a_view():
    """The augment passes the first n images of a larger batch."""
    batch = torch.zeros(3, 1, 2, 2)
    fill_box(batch[:2], torch.ones(2, 1, 2, 2), (0, 0, 2, 1))
    assert batch[:, 0].tolist() == [[[1, 1], [0, 0]], [[1, 1], [0, 0]], [[0, 0], [0, 0]]]


def test_order_of_another_batch():
    images = torch.zeros(3, 1, 2, 2)
    source = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    fill_box(images, source, (1, 0, 2, 2), 'nearest', torch.tensor([2, 0, 1]))
    assert images[:, 0].tolist() == [[[0, 3], [0, 3]], [[0, 1], [0, 1]], [[0, 2], [0, 2]]]


@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear'])
def test_source_is_the_images_themselves(interpolation):
    """Every sample gets what its partner was before the first write."""
    images = torch.arange(4.0).view(4, 1, 1, 1).repeat(1, 1, 3, 3)
    fill_box(images, images, (0, 0, 3, 2), interpolation, torch.tensor([1, 2, 3, 0]))
    assert images[:, 0, :2].flatten(1).tolist() == [[1.0] * 6, [2.0] * 6, [3.0] * 6, [0.0] * 6]
    assert images[:, 0, 2].tolist() == [[0.0] * 3, [1.0] * 3, [2.0] * 3, [3.0] * 3]


@pytest.mark.parametrize('box', [(0, 0, 0, 0), (2, 0, 2, 4), (0, 3, 4, 3), (4, 4, 4, 4)])
@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear'])
def test_empty_box_leaves_all_as_it_is(box, interpolation):
    images = torch.randn(2, 3, 4, 4)
    before = images.clone()
    fill_box(images, torch.full((2, 3, 4, 4), torch.nan), box, interpolation)
    assert torch.equal(images, before)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('size', [(1, 3, 6, 5), (3, 4, 6, 5)])
def test_memory_format_and_dtype_are_kept(dtype, size):
    images = torch.zeros(size, dtype=dtype).to(memory_format=torch.channels_last)
    strides = images.stride()
    # The history may come from another precision and layout.
    fill_box(images, torch.full(size, 3.0), (1, 1, 3, 3))
    assert images.stride() == strides and images.dtype is dtype
    assert images.sum().item() == size[0] * size[1] * 4 * 3


@st.composite
def cases(draw):
    num_samples, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    size, source_size = draw(st.tuples(SIDES, SIDES)), draw(st.tuples(SIDES, SIDES))
    torch.manual_seed(draw(st.integers(0, 2**31)))
    dtype = draw(st.sampled_from(DTYPES))
    layout = draw(st.sampled_from([torch.contiguous_format, torch.channels_last]))
    images = torch.randn(num_samples, channels, *size).to(dtype).to(memory_format=layout)
    source = torch.randn(num_samples, channels, *source_size).to(dtype).to(memory_format=layout)
    if draw(st.booleans()) and draw(st.booleans()):
        source = images
    columns = st.lists(st.integers(0, size[1]), min_size=2, max_size=2).map(sorted)
    rows = st.lists(st.integers(0, size[0]), min_size=2, max_size=2).map(sorted)
    (x1, x2), (y1, y2) = draw(columns), draw(rows)
    order = draw(st.one_of(st.none(), st.permutations(range(num_samples))))
    return images, source, (x1, y1, x2, y2), draw(st.sampled_from(['nearest', 'bilinear'])), order


def tolerance(expected, dtype, interpolation):
    """Nearest copies; bilinear rounds once in half precision."""
    exact = interpolation == 'nearest'
    return (
        dict(atol=0, rtol=0) if exact else dict(atol=4e-6, rtol=0 if dtype == torch.float32 else torch.finfo(dtype).eps)
    )


@settings(max_examples=300, deadline=None)
@given(cases())
def test_fill_box_equals_numpy(case):
    images, source, box, interpolation, order = case
    expected = numpy_fill(images, source, box, interpolation, order or range(len(images)))
    fill_box(images, source, box, interpolation, None if order is None else torch.tensor(order))
    expected = torch.from_numpy(expected).to(images.dtype)
    torch.testing.assert_close(images, expected, **tolerance(expected, images.dtype, interpolation))


@pytest.mark.parametrize('source_size', [*range(1, 50), 160, 224])
def test_nearest_rounds_as_torch_for_every_width(source_size):
    """In a real quotient the pixel i·H'/h may be a whole number, in float32 just less."""
    source = torch.arange(1, source_size + 1, dtype=torch.float32).view(1, 1, 1, -1)
    for width in range(1, (224 if source_size > 100 else 64) + 1):
        assert torch.equal(resize(source, (1, width), 'nearest'), F.interpolate(source, (1, width)))
