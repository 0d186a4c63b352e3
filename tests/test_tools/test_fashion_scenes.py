# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The data set that make_fashion_scenes.py builds, read independently of it."""

import hashlib
import json
import sys

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.helpers import synthetic
from tests.helpers.processes import load_script, tool

TOOL = 'dataset_tools/make_fashion_scenes.py'


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    return synthetic.fashion_scenes(tmp_path_factory.mktemp('scenes') / 'scenes')


@pytest.fixture(scope='module')
def module():
    return load_script(f'tools/{TOOL}')


def contents(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def test_layout(scenes):
    splits = ('training', 'validation')
    expected = {f'instances_{split}.json' for split in splits}
    expected |= {f'images/{split}/{i:06d}.jpg' for split in splits for i in range(4)}
    expected |= {f'annotations/{split}/{i:06d}.png' for split in splits for i in range(4)}
    assert set(contents(scenes)) == expected
    assert cv2.imread(str(scenes / 'images/training/000000.jpg')).shape == (160, 160, 3)


@pytest.mark.parametrize('split', ['training', 'validation'])
def test_boxes_masks_and_label_maps_agree(scenes, split):
    content = json.loads((scenes / f'instances_{split}.json').read_text())
    assert [category['id'] for category in content['categories']] == list(range(1, 11))
    assert content['categories'][9]['name'] == 'Ankle boot'
    assert len({item['id'] for item in content['annotations']}) == len(content['annotations'])
    for image in content['images']:
        labels = cv2.imread(str(scenes / 'annotations' / split / image['file_name'].replace('jpg', 'png')), -1)
        assert (labels.shape, labels.dtype) == ((image['height'], image['width']), np.uint8)
        union = np.zeros_like(labels)
        objects = [item for item in content['annotations'] if item['image_id'] == image['id']]
        assert 1 <= len(objects) <= 6
        for item in objects:
            mask = coco_mask.decode(item['segmentation']).astype(bool)
            rows, columns = np.where(mask)
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert item['bbox'] == box
            assert (item['area'], item['iscrowd']) == (mask.sum(), 0)
            assert (labels[mask] == item['category_id']).all()
            assert not union[mask].any()  # Visible parts do not overlap.
            union[mask] = item['category_id']
        assert (labels == union).all()


def test_scenes_depend_on_seed_and_number_alone(scenes):
    again = contents(synthetic.fashion_scenes(scenes.with_name('again'), '--num-train', '2'))
    first = contents(scenes)
    assert again.pop('instances_training.json') != first['instances_training.json']
    assert again.items() <= first.items()
    other = contents(synthetic.fashion_scenes(scenes.with_name('other'), '--seed', '1'))
    assert not set(other.values()) & set(first.values())


def test_options(scenes):
    root = synthetic.fashion_scenes(
        scenes.with_name('large'), '--size', '200', '--objects', '3', '3', '--object-size', '20', '20'
    )
    content = json.loads((root / 'instances_training.json').read_text())
    assert cv2.imread(str(root / 'images/training/000001.jpg')).shape == (200, 200, 3)
    assert len(content['annotations']) == 4 * 3
    assert max(side for item in content['annotations'] for side in item['bbox'][2:]) <= 20


def test_nothing_is_overwritten(scenes, module, monkeypatch):
    before = contents(scenes)
    monkeypatch.setattr('sys.argv', [TOOL, str(scenes)])
    with pytest.raises(SystemExit, match='is not empty, and nothing is overwritten'):
        module.main()
    assert contents(scenes) == before


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--objects', '4', '2'], '--objects: MIN must not exceed MAX'),
        (['--objects', '0', '2'], '--objects: must be at least 1'),
        (['--object-size', '20', '300'], '--object-size: MAX must not exceed --size'),
        (['--object-size', '4', '20'], '--object-size: MIN must be at least 8 pixels'),
        (['--num-val', '0'], '--num-train, --num-val: must be at least 1'),
    ],
)
def test_wrong_options_are_explained(options, message, tmp_path, module, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', [TOOL, str(tmp_path / 'scenes'), *options])
    with pytest.raises(SystemExit):
        module.main()
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'scenes').exists()


def test_missing_photographs_are_explained(tmp_path, module, monkeypatch):
    with pytest.raises(SystemExit, match='no picture in'):
        module.photographs(tmp_path, 'training')
    monkeypatch.setitem(sys.modules, 'skimage', None)
    with pytest.raises(SystemExit, match='pip install scikit-image, or use --backgrounds FOLDER'):
        module.photographs(None, 'training')


def test_splits_share_no_pixel_of_a_photograph(tmp_path, module):
    """Every column of a picture whose columns are numbered is in one part."""
    picture = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None], (50, 200, 3))
    cv2.imwrite(str(tmp_path / 'columns.png'), picture)
    (tmp_path / 'notes.txt').write_text('no picture')
    parts = {split: module.photographs(tmp_path, split) for split in ('training', 'validation')}
    assert [[int(image[0, i, 0]) for i in (0, -1)] for image in parts['training']] == [[0, 119]]
    assert [[int(image[0, i, 0]) for i in (0, -1)] for image in parts['validation']] == [[120, 199]]


def test_photographs_of_scikit_image(module):
    """All of them come with the package, in colour, and large enough for a scene."""
    parts = [module.photographs(None, split) for split in ('training', 'validation')]
    assert [len(part) for part in parts] == [11, 11]
    for image in (*parts[0], *parts[1]):
        assert (image.shape[2], image.dtype) == (3, np.uint8) and min(image.shape[:2]) >= 150


def test_object_keeps_its_own_pixels(module):
    """A ring and a speck: the ring with its hole is the object, the speck is not."""
    image = np.zeros((28, 28), np.uint8)
    image[5:15, 8:20] = 200
    image[8:10, 10:12] = 0
    image[20, 2] = 255
    image[2, 9] = module.THRESHOLD
    grey, opacity = module.cut_out(image)
    assert opacity.tolist() == np.ones((10, 12)).tolist()
    assert (255 * grey).round().astype(int).tolist() == image[5:15, 8:20].tolist()


def test_covered_objects_stay_visible(module):
    """Twenty squares of 40 pixels on 100: each keeps 40 %, what finds no place is left out."""
    cutout = module.Cutout(np.ones((20, 20), np.float32), np.ones((20, 20), np.float32))
    generator = np.random.default_rng(0)
    scene = module.compose(generator, np.zeros((100, 100, 3), np.uint8), [(k, cutout) for k in range(1, 21)], (40, 40))
    visible = [mask.sum() for _, mask in scene.objects]
    assert 3 <= len(visible) < 20
    assert min(visible) >= 0.4 * 1600
    assert visible[-1] == 1600  # The uppermost.
    everything = np.any([mask for _, mask in scene.objects], axis=0)
    assert (scene.image[everything] == 255).all() and (scene.image[~everything] == 0).all()


def test_browse_scenes(scenes, tmp_path):
    """Nine places, of which four are taken; the file is a picture."""
    output = tool('visualization/browse_scenes.py', scenes, '--out', tmp_path / 'scenes.png')
    assert '4 scenes drawn' in output
    picture = cv2.imread(str(tmp_path / 'scenes.png'))
    assert picture.shape == (round(2 * 2.6 * 130), round(3 * 2.6 * 130), 3)
    assert (picture[-200:, -200:] == 255).all() and not (picture[:200, :200] == 255).all()
