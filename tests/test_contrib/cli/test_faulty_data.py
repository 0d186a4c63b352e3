# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Data that are missing, or that cannot be read: one sentence, which names the file and says what to do."""

import traceback

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpretrain.registry import DATASETS
from PIL import Image

from mmrmix.contrib import CIFAR10, CIFAR100, FashionMNIST
from tests.helpers.paths import CONFIGS, FLAGSHIP

IMAGENET = Config.fromfile(CONFIGS / FLAGSHIP)
PACKAGE = ' Install the Debian package (apt-get install dataset-fashion-mnist). Or get'
FASHION = ', '.join(
    f'{split}-{what}-ubyte.gz' for split in ('train', 't10k') for what in ('images-idx3', 'labels-idx1')
)


@pytest.mark.parametrize(
    ('dataset', 'module', 'name', 'ways'),
    [
        (CIFAR10, 'cifar', 'CIFAR-10', ' Get cifar-10-python.tar.gz elsewhere and put it into'),
        (CIFAR100, 'cifar', 'CIFAR-100', ' Get cifar-100-python.tar.gz elsewhere and put it into'),
        (FashionMNIST, 'mnist', 'Fashion-MNIST', f'{PACKAGE} {FASHION} elsewhere and put them into'),
    ],
)
def test_without_internet(dataset, module, name, ways, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError('no route to host')

    monkeypatch.setattr(f'mmpretrain.datasets.{module}.download_and_extract_archive', refuse)
    more = dict(package_folder=str(tmp_path / 'none')) if dataset is FashionMNIST else {}
    with pytest.raises(RuntimeError) as error:
        dataset(str(tmp_path), **more)
    sentence = f'{name} is not in {tmp_path}, and downloading it failed (no route to host).{ways} {tmp_path}.'
    assert str(error.value) == sentence
    # What led to it is in the sentence, and not printed once more.
    assert 'During handling' not in ''.join(traceback.format_exception(error.value))
    # Where nobody asked for a download, mmpretrain says so.
    if dataset is not FashionMNIST:
        with pytest.raises(RuntimeError, match='you can specify `download=True`'):
            dataset(str(tmp_path), download=False)


@pytest.fixture
def flagship(tmp_path):
    """Builds the flagship's data set of one image."""

    def build(split, image):
        (tmp_path / 'a').mkdir()
        (tmp_path / 'a' / image.name).write_bytes(image.read_bytes())
        config = IMAGENET[f'{split}_dataloader'].dataset.to_dict()
        return DATASETS.build(
            {
                **config,
                'data_root': '',
                'data_prefix': str(tmp_path),
                'split': '',
                'ann_file': '',
                'metainfo': dict(classes=['a']),
            }
        )

    return build


def picture(mode):
    """A picture of noise that Pillow can save in a mode."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    if mode == 'I;16':
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 200)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize(
    ('name', 'content', 'reason'),
    [
        ('empty.jpg', b'', '!buf.empty()'),
        ('garbage.jpg', b'<html>404</html>', 'failed to load image'),
        ('cut.jpg', None, 'failed to load image'),
    ],
)
def test_a_file_that_cannot_be_read_is_named(split, name, content, reason, flagship, tmp_path):
    source = tmp_path / name
    if content is None:
        picture('RGB').save(source)
        content = source.read_bytes()[:200]
    source.write_bytes(content)
    with pytest.raises(RuntimeError) as error:
        flagship(split, source)[0]
    assert str(error.value).startswith(f'{tmp_path}/a/{name} cannot be loaded: ') and reason in str(error.value)
    assert str(error.value).endswith('. Replace it or remove it from the data set.')


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize(
    ('mode', 'suffix'), [('CMYK', 'jpg'), ('L', 'jpg'), ('1', 'png'), ('I;16', 'png'), ('P', 'png'), ('RGBA', 'png')]
)
def test_odd_files_are_read(split, mode, suffix, flagship, tmp_path):
    """Three channels of eight bits come out, whatever went in."""
    source = tmp_path / f'odd.{suffix}'
    picture(mode).save(source)
    inputs = flagship(split, source)[0]['inputs']
    assert (tuple(inputs.shape), inputs.numpy().dtype) == ((3, 224, 224), np.uint8)
    expected = cv2.imread(str(source)).mean()
    if split == 'val':
        assert abs(inputs.float().mean() - expected) < 8
