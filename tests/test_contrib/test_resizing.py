# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Crops and resizing by torch: the crops of torchvision, the pixels of Pillow, the files of OpenCV."""

import io

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from torchvision.io import decode_jpeg
from torchvision.transforms import RandomResizedCrop

from mmrmix.contrib.resizing import antialiased_resize

PHOTOGRAPHS = ('coffee', 'chelsea', 'rocket', 'astronaut')
INTERPOLATIONS = {'bilinear': Image.Resampling.BILINEAR, 'bicubic': Image.Resampling.BICUBIC}
SHAPES = [(375, 500), (500, 375), (40, 400), (400, 40), (60, 61)]


@pytest.fixture(scope='module')
def photographs():
    return [getattr(skimage.data, name)() for name in PHOTOGRAPHS]


def transform(name, **kwargs):
    return TRANSFORMS.build(dict(type=name, **kwargs))


def jpeg(image, **kwargs):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, 'JPEG', **kwargs)
    return buffer.getvalue()


@pytest.mark.parametrize('subsampling', ['4:4:4', '4:2:2', '4:2:0'])
@pytest.mark.parametrize('quality', [30, 75, 96])
def test_the_decoder_is_torchvisions(photographs, tmp_path, quality, subsampling):
    """Mmcv's loader, which is OpenCV, and as fast, decodes the same pixels."""
    content = jpeg(photographs[0][:301, :403], quality=quality, subsampling=subsampling)
    (tmp_path / 'a.jpg').write_bytes(content)
    loaded = transform('LoadImageFromFile')(dict(img_path=str(tmp_path / 'a.jpg')))['img'][..., ::-1]
    expected = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8)).permute(1, 2, 0).numpy()
    assert loaded.shape == expected.shape == (301, 403, 3)
    assert np.abs(loaded.astype(int) - expected).max() <= 1


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_crops_are_torchvisions(shape, monkeypatch):
    """From the same numbers torchvision draws the same crops, the fall-back of elongated images included."""
    crop = transform('mmrmix.TorchRandomResizedCrop', scale=24)
    monkeypatch.setattr('numpy.random.uniform', lambda low, high: torch.empty(1).uniform_(low, high).item())
    monkeypatch.setattr('numpy.random.randint', lambda low, high: torch.randint(low, high, (1,)).item())
    image, drawn, expected = np.zeros((*shape, 3), np.uint8), [], []
    for draws in (drawn, expected):
        torch.manual_seed(0)
        for _ in range(200):
            if draws is drawn:
                draws.append(tuple(crop.rand_crop_params(image)))
            else:
                pixels = torch.empty(3, *shape, device='meta')
                draws.append(tuple(RandomResizedCrop.get_params(pixels, [0.08, 1.0], [3 / 4, 4 / 3])))
    assert drawn == expected and len(set(drawn)) > (1 if max(shape) == 10 * min(shape) else 100)


@pytest.mark.parametrize('interpolation', INTERPOLATIONS)
def test_crops_look_like_pillows(photographs, interpolation):
    """Same crops of the same random numbers, far less than a grey level apart; without antialiasing it is more."""
    settings = dict(scale=64, interpolation=interpolation)
    ours = transform('mmrmix.TorchRandomResizedCrop', **settings)
    pillows, opencvs = (transform('RandomResizedCrop', backend=name, **settings) for name in ('pillow', 'cv2'))
    errors = {'pillow': [], 'cv2': []}
    for seed, image in enumerate(photographs * 4):
        np.random.seed(seed)
        result = ours(dict(img=image))
        after = np.random.rand()
        assert result['img'].dtype == np.uint8 and result['img_shape'] == (64, 64)
        for name, other in dict(pillow=pillows, cv2=opencvs).items():
            np.random.seed(seed)
            expected = other(dict(img=image))['img']
            assert np.random.rand() == after
            errors[name].append(np.abs(result['img'].astype(int) - expected))
    assert np.mean(errors['pillow']) < 0.1 and np.max(errors['pillow']) <= 2
    assert np.mean(errors['cv2']) > 1


@pytest.mark.parametrize('interpolation', INTERPOLATIONS)
@pytest.mark.parametrize('size', [(256, 341), (97, 50), (600, 700)])
def test_resize_is_pillows(photographs, size, interpolation):
    for image in photographs:
        result = antialiased_resize(image, size, interpolation)
        expected = np.asarray(Image.fromarray(image).resize(size[::-1], INTERPOLATIONS[interpolation]))
        errors = np.abs(result.astype(int) - expected)
        assert errors.mean() < 0.1 and errors.max() <= 2


@pytest.mark.parametrize('edge', ['short', 'long', 'width', 'height'])
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_edges_are_mmpretrains(shape, edge):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    settings = dict(scale=50, edge=edge)
    result = transform('mmrmix.TorchResizeEdge', **settings)(dict(img=image))
    expected = transform('ResizeEdge', backend='pillow', **settings)(dict(img=image))
    assert np.abs(result.pop('img').astype(int) - expected.pop('img')).max() <= 2
    assert result == expected


def test_a_network_sees_the_same(photographs):
    """Its answers to crops of photographs, which differ among each other, are those to Pillow's images."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 7, 4), torch.nn.ReLU(), torch.nn.Conv2d(32, 64, 5, 4), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.BatchNorm1d(256, affine=False),
        torch.nn.Linear(256, 20),
    ).train()  # fmt: skip
    rest = [dict(type='CenterCrop', crop_size=224), dict(type='PackInputs')]
    views = [image[y : y + 300, x : x + 300] for image in photographs for y in (0, 60, 100) for x in (0, 50, 110)]
    for interpolation in INTERPOLATIONS:
        settings = dict(scale=256, interpolation=interpolation)
        answers = {}
        for name, resize in {
            'new': dict(type='mmrmix.TorchResizeEdge', **settings),
            'old': dict(type='ResizeEdge', backend='pillow', **settings),
            'another size': dict(type='ResizeEdge', backend='pillow', **dict(settings, scale=230)),
        }.items():
            steps = [TRANSFORMS.build(step) for step in (resize, *rest)]
            inputs = []
            for view in views:
                results = dict(img=view)
                for step in steps:
                    results = step(results)
                inputs.append(results['inputs'])
            with torch.no_grad():
                answers[name] = network(torch.stack(inputs).float() / 255).argmax(1)
        assert answers['new'].equal(answers['old'])
        # The answers depend on the images, and on their size.
        assert len(answers['old'].unique()) >= 8 and not answers['another size'].equal(answers['old'])


def test_any_array_is_resized(photographs):
    """Grey images, floats, mirrored views and read-only memory; the caller's image stays."""
    image = photographs[0][:90, :120].copy()
    before, size = image.copy(), (30, 40)
    expected = antialiased_resize(image, size, 'bilinear')
    assert np.array_equal(antialiased_resize(image[..., ::-1], size, 'bilinear')[..., ::-1], expected)
    image.flags.writeable = False
    assert np.array_equal(antialiased_resize(image, size, 'bilinear'), expected)
    assert np.array_equal(antialiased_resize(image[..., 0], size, 'bilinear'), expected[..., :1])
    floats = antialiased_resize(image.astype(np.float32), size, 'bilinear')
    assert floats.dtype == np.float32 and np.abs(floats - expected).max() < 1.5
    assert np.array_equal(image, before)


@pytest.mark.parametrize('name', ['RandomResizedCrop', 'ResizeEdge'])
def test_wrong_arguments(name):
    with pytest.raises(ValueError, match="interpolation='nearest' must be 'bilinear' or 'bicubic': torch antialiases"):
        transform(f'mmrmix.Torch{name}', scale=24, interpolation='nearest')
    with pytest.raises(TypeError, match='backend'):
        transform(f'mmrmix.Torch{name}', scale=24, backend='cv2')


def test_exif_orientation_is_obeyed(tmp_path):
    """As by mmcv's loader, whose transform has stayed."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # Turn by 90° clockwise.
    (tmp_path / 'a.jpg').write_bytes(jpeg(image, exif=exif, quality=95))
    loaded = transform('LoadImageFromFile')(dict(img_path=str(tmp_path / 'a.jpg')))
    result = transform('mmrmix.TorchResizeEdge', scale=20)(loaded)['img']
    assert result.shape == (30, 20, 3) and result[:8].min() > 200 and result[14:].max() < 50
    assert np.array_equal(loaded['img'], result) and cv2.imread(str(tmp_path / 'a.jpg')).shape == (60, 40, 3)
