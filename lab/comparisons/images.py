# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Data loading at ImageNet size: images per second that one core decodes and augments."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Callable, Dict, Iterable, List

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmpretrain.registry import TRANSFORMS
from torch.utils.data import DataLoader

from .timing import Settings, Table, in_turns

FLAGSHIP = Path(__file__).parents[2] / 'configs/rm/resnet50_8xb64_imagenet.py'
# Colour photographs of scikit-image, at the mean size of ImageNet's images.
PHOTOGRAPHS = ('coffee', 'chelsea', 'rocket', 'astronaut')
WIDTH, HEIGHT, QUALITY = 500, 375, 92


def write_photographs(folder: Path) -> List[Path]:
    """JPEG files of about ImageNet's mean size in pixels and bytes."""
    import skimage.data

    paths = []
    for name in PHOTOGRAPHS:
        image = cv2.resize(getattr(skimage.data, name)()[..., ::-1], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        noise = np.random.default_rng(0).normal(0, 6, image.shape)  # Sensor noise, which downscaling has removed.
        paths.append(folder / f'{name}.jpg')
        noisy = (image + noise).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(paths[-1]), noisy, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return paths


def has_turbojpeg() -> bool:
    """Whether mmcv can load PyTurboJPEG and its library."""
    try:
        # LoadImageFromFile(imdecode_backend='turbojpeg') alone fails: only this loads the library.
        mmcv.use_backend('turbojpeg')
    except (ImportError, RuntimeError, OSError):
        return False
    finally:
        mmcv.use_backend('cv2')
    return True


def pipeline(steps: List[dict]) -> Callable[[Path], dict]:
    """Transforms of mmpretrain as a function of a file."""
    compose = Compose([TRANSFORMS.build(dict(step)) for step in steps])
    return lambda path: compose(dict(img_path=str(path), gt_label=0))


def images(settings: Settings) -> List[Table]:
    """Loading for ImageNet, images a second of one core."""
    steps = [step.to_dict() for step in Config.fromfile(FLAGSHIP).train_pipeline]
    load, crop, others = dict(type='LoadImageFromFile'), steps[1], steps[2:]
    backends = ['cv2', 'pillow', *(['turbojpeg'] if has_turbojpeg() else [])]
    decoding = {backend: pipeline([dict(load, imdecode_backend=backend)]) for backend in backends}
    whole = {
        "the flagship's": pipeline(steps),
        'decoding alone': pipeline([load]),
        'crop by cv2 instead of Pillow': pipeline([load, dict(crop, backend='cv2'), *others]),
        'without ColorJitter': pipeline([s for s in steps if s['type'] != 'ColorJitter']),
        'crop, flip, pack alone': pipeline(
            [load, crop, *(s for s in others if s['type'] in ('RandomFlip', 'PackInputs'))]
        ),
    }
    if 'turbojpeg' in backends:
        whole['decoded by turbojpeg'] = pipeline([dict(load, imdecode_backend='turbojpeg'), *steps[1:]])
    num_threads = cv2.getNumThreads()
    cv2.setNumThreads(0)  # As in loader workers.
    tables = []
    with TemporaryDirectory() as folder:
        paths = write_photographs(Path(folder))
        size = sum(path.stat().st_size for path in paths) / len(paths) / 1024
        what = f'JPEG files of {WIDTH}×{HEIGHT} pixels, {size:.0f} KiB'
        for title, contenders in ((f'Decoding, {what}', decoding), (f'Training pipeline of ImageNet, {what}', whole)):
            tables.append(_rates(title, contenders, paths, settings))
        tables.append(_loaders('Data loader, the flagship pipeline', whole["the flagship's"], paths, settings))
    cv2.setNumThreads(num_threads)
    tables[0].note = '' if 'turbojpeg' in backends else 'turbojpeg: not measured, PyTurboJPEG is not installed.'
    tables[1].note = (
        'A GPU that trains n images a second needs n divided by the first row loader workers, each with a core of '
        'its own.'
    )
    return tables


class Photographs(torch.utils.data.Dataset):
    """The files, repeated, through a pipeline."""

    def __init__(self, paths: List[Path], function: Callable, length: int) -> None:
        self.paths, self.function, self.length = paths, function, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        return self.function(self.paths[index % len(self.paths)])


def _loaders(title: str, function: Callable, paths: List[Path], settings: Settings) -> Table:
    """Images per second of data loaders with persistent workers, in turns."""
    batch_size, length = (2, 4) if settings.is_quick else (64, 512)
    options = {'no worker': dict(num_workers=0)}
    for number, prefetch in ((1, 2), (2, 2), (2, 4)):
        name = f'{number} worker{"s" * (number > 1)}, prefetch_factor {prefetch}'
        options[name] = dict(num_workers=number, prefetch_factor=prefetch, persistent_workers=True)
    dataset = Photographs(paths, function, length)
    loaders = {
        name: DataLoader(dataset, batch_size, collate_fn=default_collate, **option) for name, option in options.items()
    }
    contenders = {name: lambda loader=loader: rate(loader, length) for name, loader in loaders.items()}
    rates = in_turns(title.split(',')[0], contenders, turns=1 if settings.is_quick else 2)
    return Table(title, 'images/s', 'no worker', rates, more_is_better=True)


def _rates(title: str, functions: Dict[str, Callable], paths: List[Path], settings: Settings) -> Table:
    """Images per second of functions of a file, in turns."""
    paths = paths * (1 if settings.is_quick else 10)
    contenders = {
        name: lambda function=function: rate(map(function, paths), len(paths)) for name, function in functions.items()
    }
    rates = in_turns(title.split(',')[0], contenders, settings.turns)
    return Table(title, 'images/s', next(iter(functions)), rates, more_is_better=True)


def rate(batches: Iterable, number: int) -> float:
    """Images per second of an iterable that yields ``number`` images in all."""
    begin = time.perf_counter()
    for _ in batches:
        pass
    return number / (time.perf_counter() - begin)
