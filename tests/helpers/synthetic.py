# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Small data sets on disk, in the layouts that the configs read."""

import gzip
import json
import pickle
from pathlib import Path
from typing import Sequence

import cv2
import numpy as np

from tests.helpers.processes import tool

FASHION_MNIST_FILES = {'train': 'train', 'test': 't10k'}


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write an array of bytes as MNIST's files are (plain or .gz)."""
    header = np.array([0x0800 + array.ndim, *array.shape], dtype='>i4').tobytes()
    opener = gzip.open if path.suffix == '.gz' else open
    with opener(path, 'wb') as file:
        file.write(header + array.tobytes())


def fashion_mnist(root: Path, num_train: int = 200, num_test: int = 60, suffix: str = '') -> Path:
    """Separable 28×28 images: class k is a bright bar in row 2k, plus noise."""
    root.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for split, number in (('train', num_train), ('test', num_test)):
        labels = np.arange(number, dtype=np.uint8) % 10
        images = generator.integers(0, 60, size=(number, 28, 28), dtype=np.uint8)
        images[np.arange(number), 2 * labels + 4] = 250
        name = FASHION_MNIST_FILES[split]
        write_idx(root / f'{name}-images-idx3-ubyte{suffix}', images)
        write_idx(root / f'{name}-labels-idx1-ubyte{suffix}', labels)
    return root


def cifar(root: Path, num_classes: int, num_images: int = 10) -> Path:
    """CIFAR's pickled batches; their MD5 sums are not those of the real ones."""
    generator = np.random.default_rng(0)
    folder = root / ('cifar-10-batches-py' if num_classes == 10 else 'cifar-100-python')
    folder.mkdir(parents=True, exist_ok=True)
    names = [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch'] if num_classes == 10 else ['train', 'test']
    for name in names:
        data = generator.integers(0, 255, size=(num_images, 3 * 32 * 32), dtype=np.uint8)
        labels = generator.integers(0, num_classes, size=num_images).tolist()
        content = {'data': data, 'labels' if num_classes == 10 else 'fine_labels': labels}
        (folder / name).write_bytes(pickle.dumps(content))
    return root


def photograph(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A smooth random image, uint8."""
    coarse = generator.integers(0, 255, size=(5, 5, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def imagenet(root: Path, num_images: int = 4) -> Path:
    """ImageNet's folders with a few images of changing sizes."""
    generator = np.random.default_rng(0)
    (root / 'meta').mkdir(parents=True)
    for split in ('train', 'val'):
        lines = []
        for i in range(num_images):
            path = Path(split) / f'n{i:08d}' / f'{i}.JPEG'
            (root / path).parent.mkdir(parents=True)
            cv2.imwrite(str(root / path), photograph(generator, 120 + 40 * i, 200))
            lines.append(f'{path.relative_to(split)} {i * 300}')
        (root / 'meta' / f'{split}.txt').write_text('\n'.join(lines))
    return root


def coco_2017(root: Path, classes: Sequence[str], num_images: int = 4) -> Path:
    """COCO's folders with one rectangle on each image, as box, polygon and map of COCO-stuff."""
    generator = np.random.default_rng(0)
    (root / 'annotations').mkdir(parents=True)
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(classes)]
    for split in ('train2017', 'val2017'):
        images, annotations = [], []
        for folder in (split, f'stuffthingmaps/{split}'):
            (root / folder).mkdir(parents=True)
        for i in range(num_images):
            height, width = 60 + 8 * i, 70
            picture = photograph(generator, height, width)
            cv2.rectangle(picture, (10, 12), (49, 51), (0, 0, 255), -1)
            cv2.imwrite(str(root / split / f'{i:012d}.jpg'), picture)
            stuff = np.full((height, width), 100 + i, np.uint8)
            stuff[12:52, 10:50] = i
            cv2.imwrite(str(root / 'stuffthingmaps' / split / f'{i:012d}.png'), stuff)
            images.append(dict(id=i, file_name=f'{i:012d}.jpg', height=height, width=width))
            polygon = [10, 12, 50, 12, 50, 52, 10, 52]
            annotations.append(
                dict(id=i + 1, image_id=i, category_id=i + 1, bbox=[10, 12, 40, 40], area=1600, iscrowd=0,
                     segmentation=[polygon])
            )  # fmt: skip
        content = dict(images=images, annotations=annotations, categories=categories)
        (root / f'annotations/instances_{split}.json').write_text(json.dumps(content))
    return root


def ade20k(root: Path, num_images: int = 4) -> Path:
    """ADE20K's folders; label maps of 0 (nothing) to 150."""
    generator = np.random.default_rng(0)
    for split in ('training', 'validation'):
        for folder in ('images', 'annotations'):
            (root / folder / split).mkdir(parents=True)
        for i in range(num_images):
            labels = np.zeros((90, 100), np.uint8)
            labels[10:60, 20:80], labels[60:, :] = i + 1, 150
            cv2.imwrite(str(root / 'images' / split / f'{i:08d}.jpg'), photograph(generator, 90, 100))
            cv2.imwrite(str(root / 'annotations' / split / f'{i:08d}.png'), labels)
    return root


def fashion_scenes(root: Path, *options: str) -> Path:
    """What make_fashion_scenes.py makes of small data and synthetic photographs."""
    source = root.with_name('sources')
    if not source.is_dir():
        fashion_mnist(source / 'fashion_mnist')
        (source / 'photographs').mkdir()
        for i in range(2):
            cv2.imwrite(str(source / f'photographs/{i}.png'), photograph(np.random.default_rng(i), 200, 400))
    folders = ['--fashion-mnist', source / 'fashion_mnist', '--backgrounds', source / 'photographs']
    numbers = ['--num-train', 4, '--num-val', 4]
    tool('dataset_tools/make_fashion_scenes.py', root, *folders, *numbers, *options)
    return root
