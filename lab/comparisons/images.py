# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Data loading at ImageNet size: images per second that one core decodes and augments."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Callable, Dict, Iterable, List, Optional

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmpretrain.datasets.transforms import Lighting
from mmpretrain.registry import TRANSFORMS
from torch.utils.data import DataLoader
from torchvision.io import decode_jpeg, read_file

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


class ClippedLighting(BaseTransform):
    """PCA noise on uint8 images by one saturated addition, which took a quarter of the time of mmpretrain's."""

    def transform(self, results: dict) -> dict:
        # The noise is one number per channel: the result for a black pixel.
        shift = LIGHTING(dict(img=np.zeros((1, 1, 3), np.float32)))['img'].ravel()
        results['img'] = cv2.add(results['img'], (*shift.tolist(), 0))
        return results


LIGHTING = Lighting(
    eigval=[55.4625, 4.7940, 1.1475],
    eigvec=[[-0.5836, -0.6948, 0.4203], [-0.5808, -0.0045, -0.8140], [-0.5675, 0.7192, 0.4009]],
)
LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackInputs')
PILLOW_CROP = dict(type='RandomResizedCrop', scale=224, backend='pillow')
FLIP = dict(type='RandomFlip', prob=0.5, direction='horizontal')
JITTER = dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4)
CENTRE = dict(type='CenterCrop', crop_size=224)
# The flagship's pipelines before resizing by torch and colours on the device.
OLD = [LOAD, PILLOW_CROP, FLIP, JITTER, dict(type=ClippedLighting), PACK]
OLD_VALIDATION = [LOAD, dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'), CENTRE, PACK]


def decoded_by_torchvision(path: Path) -> torch.Tensor:
    """What torchvision makes of a JPEG file."""
    return decode_jpeg(read_file(str(path)))


def images(settings: Settings) -> List[Table]:
    """Loading for ImageNet, images a second of one core."""
    flagship = Config.fromfile(FLAGSHIP)
    steps, test_steps = ([step.to_dict() for step in flagship[f'{name}_pipeline']] for name in ('train', 'test'))
    backends = ['cv2', 'pillow', *(['turbojpeg'] if has_turbojpeg() else [])]
    decoding = {backend: pipeline([dict(LOAD, imdecode_backend=backend)]) for backend in backends}
    decoding['torchvision.io'] = decoded_by_torchvision
    old, new = 'old: Pillow, colours in the worker', "the flagship's"
    training = {
        old: pipeline(OLD),
        new: pipeline(steps),
        'with RandomFlip': pipeline([*steps[:-1], FLIP, PACK]),
        'crop by Pillow': pipeline([LOAD, PILLOW_CROP, PACK]),
        'crop by cv2, not antialiased': pipeline([LOAD, dict(PILLOW_CROP, backend='cv2'), PACK]),
    }
    validation = {'old: Pillow': pipeline(OLD_VALIDATION), new: pipeline(test_steps)}
    num_threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(0)  # As in loader workers.
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        paths = write_photographs(Path(folder))
        size = sum(path.stat().st_size for path in paths) / len(paths) / 1024
        what = f'JPEG files of {WIDTH}×{HEIGHT} pixels, {size:.0f} KiB'
        tables = [
            _rates(f'Decoding, {what}', decoding, paths, settings),
            _rates(f'Training pipeline of ImageNet, {what}', training, paths, settings, {new: 3.0}),
            _rates(
                'Training pipeline of ImageNet against decoding',
                {'decoding alone': decoding['cv2'], new: training[new]},
                paths,
                settings,
                {new: 0.55},
            ),
            _rates(f'Validation pipeline of ImageNet, {what}', validation, paths, settings, {new: 2.0}),
            _loaders('Data loader of ImageNet', training[old], training[new], paths, settings),
        ]
    cv2.setNumThreads(num_threads[0])
    torch.set_num_threads(num_threads[1])
    tables[0].note = '' if 'turbojpeg' in backends else 'turbojpeg: not measured, PyTurboJPEG is not installed.'
    tables[1].note = (
        "A GPU that trains n images a second needs n divided by the flagship's rate loader workers, each with a core "
        'of its own.'
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


def _loaders(title: str, old: Callable, new: Callable, paths: List[Path], settings: Settings) -> Table:
    """Images per second of data loaders with persistent workers, in turns."""
    batch_size, length = (2, 4) if settings.is_quick else (64, 512)
    options = {
        f'{name}, {number} worker{"s" * (number > 1)}, prefetch_factor {prefetch}': (
            Photographs(paths, function, length),
            dict(num_workers=number, prefetch_factor=prefetch),
        )
        for name, function, number, prefetch in (
            ('old', old, 2, 2),
            ("the flagship's", new, 1, 2),
            ("the flagship's", new, 2, 2),
            ("the flagship's", new, 2, 4),
        )
    }
    loaders = {
        name: DataLoader(dataset, batch_size, collate_fn=default_collate, persistent_workers=True, **option)
        for name, (dataset, option) in options.items()
    }
    contenders = {name: lambda loader=loader: rate(loader, length) for name, loader in loaders.items()}
    rates = in_turns(title, contenders, turns=1 if settings.is_quick else 3)
    base, _, same_workers, _ = options
    return Table(title, 'images/s', base, rates, {same_workers: 2.8}, more_is_better=True)


def _rates(
    title: str, functions: Dict[str, Callable], paths: List[Path], settings: Settings, limits: Optional[dict] = None
) -> Table:
    """Images per second of functions of a file, in turns."""
    paths = paths * (1 if settings.is_quick else 10)
    contenders = {
        name: lambda function=function: rate(map(function, paths), len(paths)) for name, function in functions.items()
    }
    rates = in_turns(title.split(',')[0], contenders, settings.turns)
    return Table(title, 'images/s', next(iter(functions)), rates, limits or {}, more_is_better=True)


def rate(batches: Iterable, number: int) -> float:
    """Images per second of an iterable that yields ``number`` images in all."""
    begin = time.perf_counter()
    for _ in batches:
        pass
    return number / (time.perf_counter() - begin)
