# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The pictures of RMVisualizationHook, pixel by pixel, and TensorBoard's file."""

import cv2
import numpy as np
import pytest
import torch

from mmrmix.contrib.logs import read_log
from mmrmix.visualization import draw_grid
from tests.helpers.runner import CUTMIX, RM, VALIDATION
from tests.helpers.utils import TINY_BACKBONE
from tests.helpers.visualization_hook import CURVES, pictures, run

ORANGE = [255, 127, 14]
# Images that are not normalised would blow the weights up.
TINY_STEPS = dict(type='SGD', lr=1e-9)


def read(path):
    """A picture (height, width, 3), RGB."""
    return cv2.imread(str(path))[..., ::-1]


def tiles(picture, number, columns, size=16):
    """The images of a grid, without the 2 pixels around each."""
    starts = [divmod(i, columns) for i in range(number)]
    return [picture[2 + (size + 2) * r :, 2 + (size + 2) * c :][:size, :size] for r, c in starts]


def framed(image, box):
    """An image (H, W, 3) with the outermost pixels of a box in orange."""
    image = image.copy()
    x1, y1, x2, y2 = map(int, box)
    for y in range(y1, y2):
        for x in range(x1, x2):
            if y in (y1, y2 - 1) or x in (x1, x2 - 1):
                image[y, x] = ORANGE
    return image


def test_steps_and_pixels(tmp_path):
    _, records = run(tmp_path, interval=2, num_images=3, epochs=4)
    found = pictures(tmp_path)
    assert set(found) == {2, 4, 6, 8, 10, 12}
    for step, path in found.items():
        picture = read(path)
        record = records[step - 1]
        images = (record['inputs'] * 64 + 128).permute(0, 2, 3, 1).numpy().round().astype(np.uint8)
        number = min(3, len(images))
        assert picture.shape == ((38, 38, 3) if number == 3 else (20, 38, 3))
        for tile, image, box in zip(tiles(picture, number, 2), images, record['boxes']):
            np.testing.assert_array_equal(tile, framed(image, box))
        assert (picture[:2] == 255).all() and (picture[18:20, :20] == 255).all()


@pytest.mark.parametrize('to_rgb', [False, True])
@pytest.mark.parametrize('normalise', [dict(), dict(mean=[120.0, 110, 100], std=[60.0, 50, 40])], ids=len)
def test_an_unmixed_batch_is_the_data_sets(tmp_path, to_rgb, normalise):
    preprocessor = dict(num_classes=10, to_onehot=True, to_rgb=to_rgb, **normalise)
    model = dict(
        type='ImageClassifier',
        backbone=TINY_BACKBONE,
        head=dict(type='mmrmix.RMHead', num_classes=10, in_channels=8),
        train_cfg=dict(augments=RM),
        data_preprocessor=preprocessor,
    )
    _, records = run(tmp_path, interval=1, epochs=1, model=model, optim_wrapper=dict(optimizer=TINY_STEPS))
    images = records[0]['raw'].permute(0, 2, 3, 1).numpy()
    for tile, image in zip(tiles(read(pictures(tmp_path)[1]), 4, 2), images):
        np.testing.assert_array_equal(tile, image[..., ::-1] if to_rgb else image)


def test_waits_for_a_mixed_batch(tmp_path):
    _, records = run(tmp_path, interval=3, augments=[RM, CUTMIX], probs=[0.5, 0.5], epochs=8)
    mixed = [i + 1 for i, record in enumerate(records) if 'boxes' in record]
    expected = {next((step for step in mixed if step >= due), None) for due in range(3, 25, 3)} - {None}
    assert set(pictures(tmp_path)) == expected
    assert not expected <= set(range(3, 25, 3))


def test_validation_has_no_curves_and_changes_none(tmp_path):
    entries, _ = run(tmp_path / 'plain', witness=False, epochs=2)
    with_validation, _ = run(tmp_path / 'val', witness=False, epochs=2, **VALIDATION)
    for entry, other in zip(entries, with_validation):
        assert {key: entry.get(key) for key in CURVES} == {key: other.get(key) for key in CURVES}
    others = [entry for entry in read_log(tmp_path / 'val') if 'iter' not in entry]
    assert len(others) == 2 and not any(CURVES & set(entry) for entry in others)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('num_channels', [1, 2, 3, 4])
def test_grid(num_channels, dtype):
    """Values beyond bytes are cut off, whatever memory format; the images stay as they are."""
    images = torch.full((2, num_channels, 4, 6), 100.0)
    images[0, :, 0, 0], images[1, 0, 3, 5], images[:, 0, 1] = -9, 999, 40
    images = images.to(dtype).to(memory_format=torch.channels_last)
    before = images.clone()
    boxes = torch.tensor([[2, 1, 5, 4], [3, 0, 3, 4]], dtype=torch.float32)
    grid = draw_grid(images, boxes)
    assert grid.shape == (8, 18, 3) and grid.dtype == np.uint8 and torch.equal(images, before)
    expected = np.full((2, 4, 6, 3), 100, np.uint8)
    red = np.s_[..., 0] if num_channels == 3 else np.s_[..., :]
    expected[:, 1][red], expected[0, 0, 0], expected[1, 3, 5][red] = 40, 0, 255
    np.testing.assert_array_equal(grid[2:6, 2:8], framed(expected[0], boxes[0]))
    np.testing.assert_array_equal(grid[2:6, 10:16], expected[1])


def test_tensorboard(tmp_path):
    """What the event file says is what the log and the pictures say."""
    events = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    visualizer = dict(type='UniversalVisualizer', vis_backends=backends)
    entries, _ = run(tmp_path, interval=3, witness=False, visualizer=visualizer)
    (path,) = tmp_path.glob('*/vis_data/events.out.*')
    written = events.EventAccumulator(str(path)).Reload()
    assert {*CURVES, 'loss_consistency'} <= set(written.Tags()['scalars'])
    for name in CURVES:
        found = {event.step: event.value for event in written.Scalars(name)}
        assert found == pytest.approx({entry['iter']: entry[name] for entry in entries if name in entry}, rel=1e-6)
    images = written.Images('mixed_batch')
    assert [image.step for image in images] == [3, 6]
    for image in images:
        picture = cv2.imdecode(np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_array_equal(picture, read(pictures(tmp_path)[image.step]))
