# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""GAP and 1×1 RoIAlign in one product, against mmcv's operator and RoIAlign's definition."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mmrmix.models.batch_augments.boxes import sample_box
from mmrmix.models.heads.roi_pooling import gap_and_roi_pool, roi_align_weights
from tests.helpers.roi_align import roi_align_by_definition
from tests.helpers.utils import HALF_DTYPES, needs_float16

CLOSE = dict(atol=1e-5, rtol=1e-5)


def sample_boxes(generator, num_boxes, image_size, alpha):
    return np.array([sample_box(generator, image_size, alpha) for _ in range(num_boxes)])


def mmcv_roi_align(feature_map, boxes, scale_x, scale_y):
    """The operator of mmcv on boxes in feature cells, sample i with box i."""
    ops = pytest.importorskip('mmcv.ops')
    cells = boxes * torch.tensor([scale_x, scale_y, scale_x, scale_y])
    rois = torch.cat([torch.arange(float(len(boxes)))[:, None], cells], 1)
    return ops.roi_align(feature_map.contiguous(), rois, 1, 1.0, 0, 'avg', True).flatten(1)


def random_boxes(generator, num_boxes, image_size):
    """Half as RecursiveMix draws them, half any; the first ones degenerate."""
    height, width = image_size
    drawn = sample_boxes(generator, num_boxes // 2, image_size, 1.0)
    x = np.sort(generator.integers(0, width + 1, (num_boxes - len(drawn), 2)), 1)
    y = np.sort(generator.integers(0, height + 1, (num_boxes - len(drawn), 2)), 1)
    boxes = np.concatenate([np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1), drawn])
    boxes[:3] = [[0, 0, 0, 0], [width // 2, 0, width // 2, height], [width, height, width, height]]
    # As good as the whole image; the whole of it has a test of its own.
    boxes[3] = [0, 0, width - 1, height - 1]
    return torch.from_numpy(boxes).float()


def random_cases(num_cases, num_boxes):
    """Maps and images of any shape, the image at least as large as the map."""
    generator = np.random.default_rng(0)
    for _ in range(num_cases):
        map_size = generator.integers(1, 15, 2).tolist()
        image_size = [side * int(generator.integers(2, 20)) + int(generator.integers(0, 5)) for side in map_size]
        yield torch.randn(num_boxes, 3, *map_size), random_boxes(generator, num_boxes, image_size), tuple(image_size)


def test_roi_align_by_hand():
    """A 4-column map of a 8-column image, two pixels a cell; rows are constant."""
    feature_map = torch.tensor([0.0, 10, 20, 30]).repeat(5, 1, 2, 1)
    boxes = torch.tensor([[2.0, 0, 4, 4], [1, 0, 3, 4], [0, 0, 4, 2], [3, 1, 4, 2], [0, 0, 8, 4]])
    gap, roi = gap_and_roi_pool(feature_map, boxes, (4, 8))
    # [2, 4) px is cell 1. [1, 3) px: one point at 0.5 between cells 0 and 1.
    # [0, 4) px: points at cells 0 and 1. [3, 4) px: one point at 1.25 of 0..3.
    # The whole image: the mean of all.
    assert roi.tolist() == [[10.0], [5.0], [5.0], [12.5], [15.0]]
    assert gap.tolist() == [[15.0]] * 5


def test_equals_mmcv():
    num_boxes = num_empty = 0
    for feature_map, boxes, image_size in random_cases(120, 20):
        scale_y, scale_x = feature_map.shape[2] / image_size[0], feature_map.shape[3] / image_size[1]
        gap, roi = gap_and_roi_pool(feature_map, boxes, image_size)
        assert_close(roi, mmcv_roi_align(feature_map, boxes, scale_x, scale_y), **CLOSE)
        assert_close(gap, feature_map.mean((2, 3)), **CLOSE)
        empty = (boxes[:, 0] == boxes[:, 2]) | (boxes[:, 1] == boxes[:, 3])
        assert (roi[empty] == 0).all()
        num_boxes += len(boxes)
        num_empty += int(empty.sum())
    assert num_boxes == 2400 and num_empty > 300


@pytest.mark.parametrize(('cells', 'pixels'), [(7, 224), (14, 224), (4, 32), (8, 32), (10, 299), (2, 33), (12, 384)])
def test_equals_the_authors_call(cells, pixels):
    """Square maps of square images: spatial_scale = feature width / image width."""
    ops = pytest.importorskip('mmcv.ops')
    boxes = torch.from_numpy(sample_boxes(np.random.default_rng(cells), 200, (pixels, pixels), 0.5)).float()
    feature_map = torch.randn(200, 4, cells, cells)
    rois = torch.cat([torch.arange(200.0)[:, None], boxes], 1)
    expected = ops.roi_align(feature_map, rois, 1, cells / pixels, 0, 'avg', True).flatten(1)
    assert_close(gap_and_roi_pool(feature_map, boxes, (pixels, pixels))[1], expected, **CLOSE)


def test_gradients_equal_mmcv():
    for feature_map, boxes, image_size in random_cases(30, 8):
        ours, theirs = (feature_map.clone().requires_grad_() for _ in range(2))
        direction = torch.randn(len(boxes), 3)
        gap, roi = gap_and_roi_pool(ours, boxes, image_size)
        (gradient,) = torch.autograd.grad((roi * direction).sum(), ours, retain_graph=True)
        scale_y, scale_x = feature_map.shape[2] / image_size[0], feature_map.shape[3] / image_size[1]
        expected = (mmcv_roi_align(theirs, boxes, scale_x, scale_y) * direction).sum()
        assert_close(gradient, torch.autograd.grad(expected, theirs)[0], **CLOSE)
        (gradient,) = torch.autograd.grad((gap * direction).sum(), ours)
        num_cells = feature_map.shape[2] * feature_map.shape[3]
        assert_close(gradient, (direction / num_cells)[:, :, None, None].expand_as(gradient), **CLOSE)


def test_equals_the_definition():
    """Where rounding decides on the number of points, float64 cannot tell."""
    num_checked = 0
    for feature_map, boxes, image_size in random_cases(12, 8):
        _, roi = gap_and_roi_pool(feature_map, boxes, image_size)
        for n, box in enumerate(boxes.tolist()):
            scales = feature_map.shape[3] / image_size[1], feature_map.shape[2] / image_size[0]
            extents = (box[2] - box[0]) * scales[0], (box[3] - box[1]) * scales[1]
            if any(abs(extent - round(extent)) < 1e-4 and round(extent) for extent in extents):
                continue
            expected = roi_align_by_definition(feature_map[n], box, image_size)
            np.testing.assert_allclose(roi[n].numpy(), expected, atol=1e-5, rtol=1e-5)
            num_checked += 1
    assert num_checked > 60


@pytest.mark.parametrize('image_size', [(224, 224), (32, 64), (96, 160)])
@pytest.mark.parametrize('stride', [4, 8, 32])
def test_whole_image_is_the_mean(image_size, stride):
    height, width = image_size
    feature_map = torch.randn(2, 5, height // stride, width // stride)
    gap, roi = gap_and_roi_pool(feature_map, torch.tensor([[0.0, 0, width, height]] * 2), image_size)
    assert_close(roi, feature_map.mean((2, 3)), **CLOSE)
    assert_close(gap, feature_map.mean((2, 3)), **CLOSE)


def test_whole_image_where_the_scale_is_inexact():
    """3 / 84 · 84 is 3 + 2e-7 in float32, so RoIAlign takes 4 points on 3 cells."""
    boxes = torch.tensor([[0.0, 0, 84, 84]])
    feature_map = torch.randn(1, 2, 3, 3)
    expected = mmcv_roi_align(feature_map, boxes, 3 / 84, 3 / 84)
    assert_close(gap_and_roi_pool(feature_map, boxes, (84, 84))[1], expected, **CLOSE)


def test_weights_of_an_axis():
    starts, stops = torch.tensor([-0.5, 0.5, 0.75, 1.0, -0.5, 2.5]), torch.tensor([3.5, 2.0, 1.25, 1.0, -0.5, 3.5])
    expected = [
        [0.25, 0.25, 0.25, 0.25],
        # Two points 0.75 apart, at 0.875 and 1.625.
        [0.0625, 0.625, 0.3125, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        # One point at 3.
        [0, 0, 0, 1],
    ]
    assert roi_align_weights(starts, stops, 4).tolist() == expected


def test_weights_sum_to_one_or_zero():
    generator = np.random.default_rng(1)
    for size in range(1, 60):
        pixels = size * int(generator.integers(1, 33)) + int(generator.integers(0, 7))
        boxes = torch.from_numpy(sample_boxes(generator, 50, (pixels, pixels), 1.0)).float()
        weights = roi_align_weights(boxes[:, 0] * (size / pixels) - 0.5, boxes[:, 2] * (size / pixels) - 0.5, size)
        assert weights.shape == (50, size) and (weights >= 0).all()
        assert_close(weights.sum(1), (boxes[:, 2] > boxes[:, 0]).float(), **CLOSE)


def test_channels_last():
    for feature_map, boxes, image_size in random_cases(10, 8):
        expected = gap_and_roi_pool(feature_map, boxes, image_size)
        result = gap_and_roi_pool(feature_map.to(memory_format=torch.channels_last), boxes, image_size)
        assert_close(result, expected, **CLOSE)


@pytest.mark.parametrize('dtype', HALF_DTYPES)
@pytest.mark.parametrize('size', [(7, 7), (14, 14), (56, 56), (5, 13), (1, 1)])
def test_half_precision(dtype, size):
    """GAP is off by one unit at most; the box average also rounds its weights."""
    feature_map = (torch.randn(6, 32, *size) + 1).to(dtype)
    generator = np.random.default_rng(0)
    image_size = (size[0] * 16, size[1] * 16)
    boxes = torch.from_numpy(sample_boxes(generator, 6, image_size, 1.0)).float()
    gap, roi = gap_and_roi_pool(feature_map, boxes, image_size)
    assert gap.dtype is dtype and roi.dtype is dtype
    unit = torch.finfo(dtype).eps
    assert_close(gap.float(), feature_map.float().mean((2, 3)), atol=1e-6, rtol=unit)
    exact = mmcv_roi_align(feature_map.float(), boxes, size[1] / image_size[1], size[0] / image_size[0])
    assert_close(roi.float(), exact, atol=4 * unit, rtol=unit)


@needs_float16
def test_float16_does_not_overflow():
    """The sum of 56·56 cells of 20 is 62,720, and 65,504 is the largest number."""
    feature_map = torch.full((2, 3, 56, 56), 20.0, dtype=torch.float16)
    feature_map[1] = 1000
    gap, roi = gap_and_roi_pool(feature_map, torch.tensor([[0.0, 0, 224, 224]] * 2), (224, 224))
    assert gap.tolist() == [[20.0] * 3, [1000.0] * 3]
    assert_close(roi.float(), torch.tensor([[20.0] * 3, [1000.0] * 3]), atol=0, rtol=2**-10)


def test_autocast():
    feature_map = torch.randn(4, 8, 7, 7)
    boxes = torch.tensor([[0.0, 0, 32, 32], [16, 40, 100, 200], [0, 0, 0, 0], [0, 0, 224, 224]])
    with torch.autocast('cpu', dtype=torch.bfloat16):
        gap, roi = gap_and_roi_pool(feature_map, boxes, (224, 224))
    assert gap.dtype is roi.dtype is torch.bfloat16
    unit = torch.finfo(torch.bfloat16).eps
    assert_close(gap.float(), feature_map.mean((2, 3)), atol=4 * unit, rtol=unit)
    assert_close(roi.float(), mmcv_roi_align(feature_map, boxes, 1 / 32, 1 / 32), atol=4 * unit, rtol=unit)
