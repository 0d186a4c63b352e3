# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Build a small detection and segmentation data set: clothes on photographs.

python tools/dataset_tools/make_fashion_scenes.py

Objects of Fashion-MNIST are cut out along their pixels and put on photographs
at random scales and places, where they partly cover each other. Training scenes
show objects of the training split, validation scenes objects of the test split,
on different parts of the photographs. Scene i depends only on the seed and i,
not on the number of scenes. The script writes:

    images/{training,validation}/000000.jpg       the scenes
    annotations/{training,validation}/000000.png  label maps: 0 background, k category k
    instances_{training,validation}.json          COCO: visible masks (RLE), boxes, categories 1 to 10
"""

import argparse
import json
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np
from mmengine.registry import init_default_scope
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from rich.progress import track

from mmrmix.contrib import FashionMNIST
from mmrmix.contrib.cli.screen import errors_as_sentences

# From scikit-image; without people, whose clothes have no labels.
PHOTOGRAPHS = [
    'brick',
    'chelsea',
    'coffee',
    'coins',
    'grass',
    'gravel',
    'hubble_deep_field',
    'immunohistochemistry',
    'moon',
    'retina',
    'rocket',
]
# Training scenes lie on the left part of the photographs, validation scenes on the right.
TRAINING_PART = 0.6
SPLITS = {'training': 'train', 'validation': 'test'}
# An object keeps at least this part of its pixels when others cover it.
MIN_VISIBLE = 0.4
# Pixels below this grey value belong to Fashion-MNIST's black background.
THRESHOLD = 10


class Cutout(NamedTuple):
    """An object: grey values and opacity, both (H, W) in [0, 1], float32."""

    grey: np.ndarray
    opacity: np.ndarray


class Scene(NamedTuple):
    """A picture (S, S, 3), uint8 BGR, and its objects' visible masks (S, S), bool, with category ids."""

    image: np.ndarray
    objects: List[Tuple[int, np.ndarray]]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path, nargs='?', default=Path('data/fashion_scenes'), help='(%(default)s)')
    parser.add_argument('--fashion-mnist', default='data/fashion_mnist', help='folder of Fashion-MNIST '
                        '(%(default)s); see prepare_fashion_mnist.py')  # fmt: skip
    parser.add_argument(
        '--backgrounds',
        type=Path,
        help='folder of your own photographs (default: those of scikit-image)',
    )
    parser.add_argument('--num-train', type=int, default=1000, help='training scenes (%(default)s)')
    parser.add_argument('--num-val', type=int, default=200, help='validation scenes (%(default)s)')
    parser.add_argument('--size', type=int, default=160, help='side of a scene in pixels (%(default)s)')
    parser.add_argument('--objects', type=int, nargs=2, default=(1, 5), metavar=('MIN', 'MAX'), help='per scene (1 5)')
    parser.add_argument(
        '--object-size',
        type=int,
        nargs=2,
        default=(32, 96),
        metavar=('MIN', 'MAX'),
        help='longer side of an object in pixels (32 96)',
    )
    parser.add_argument('--seed', type=int, default=0, help='(%(default)s)')
    args = parser.parse_args()
    for name, low, high, rule in (
        ('--num-train, --num-val', 1, min(args.num_train, args.num_val), 'must be at least 1'),
        ('--objects', 1, min(args.objects), 'must be at least 1'),
        ('--objects', args.objects[0], args.objects[1], 'MIN must not exceed MAX'),
        ('--object-size', 8, args.object_size[0], 'MIN must be at least 8 pixels'),
        ('--object-size', args.object_size[0], args.object_size[1], 'MIN must not exceed MAX'),
        ('--object-size', args.object_size[1], args.size, 'MAX must not exceed --size'),
    ):
        if high < low:
            parser.error(f'{name}: {rule}')
    return args


def photographs(folder: Optional[Path], split: str) -> List[np.ndarray]:
    """Backgrounds of a split, (H, W, 3), uint8 BGR: its part of every photograph."""
    if folder is not None:
        images = [cv2.imread(str(path)) for path in sorted(folder.iterdir())]
        images = [image for image in images if image is not None]
        if not images:
            sys.exit(f'--backgrounds: no picture in {folder}.')
    else:
        try:
            import skimage.data
        except ImportError:
            sys.exit("The photographs are scikit-image's: pip install scikit-image, or use --backgrounds FOLDER.")
        images = [getattr(skimage.data, name)() for name in PHOTOGRAPHS]
        images = [cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image[..., ::-1] for image in images]
    borders = [round(TRAINING_PART * image.shape[1]) for image in images]
    if split == 'training':
        return [image[:, :border] for image, border in zip(images, borders)]
    return [image[:, border:] for image, border in zip(images, borders)]


def cut_out(image: np.ndarray) -> Cutout:
    """Cut the object out of a Fashion-MNIST image (28, 28), uint8.

    Its mask is the largest connected region of pixels that are not black, with
    holes filled: a dark buckle is part of the bag.
    """
    contours, _ = cv2.findContours((image > THRESHOLD).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=cv2.contourArea)
    opacity = cv2.drawContours(np.zeros(image.shape, np.float32), [contour], -1, 1.0, cv2.FILLED)
    x, y, w, h = cv2.boundingRect(contour)
    return Cutout(image[y : y + h, x : x + w] / np.float32(255), opacity[y : y + h, x : x + w])


def background(generator: np.random.Generator, images: List[np.ndarray], size: int) -> np.ndarray:
    """A random square of a random photograph, mirrored with probability 0.5."""
    image = images[generator.integers(len(images))]
    side = int(generator.uniform(0.4, 1) * min(image.shape[:2]))
    y, x = (int(generator.integers(length - side + 1)) for length in image.shape[:2])
    square = cv2.resize(image[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_AREA)
    return square[:, ::-1] if generator.random() < 0.5 else square


def compose(
    generator: np.random.Generator,
    image: np.ndarray,
    cutouts: List[Tuple[int, Cutout]],
    object_size: Tuple[int, int],
) -> Scene:
    """Put objects on a background, one over the other.

    An object is left out if it would cover too much of the others wherever it
    is put.

    Args:
        generator (np.random.Generator): Source of scale, mirroring and place.
        image (np.ndarray): The background (S, S, 3), uint8.
        cutouts (list): Category ids and objects, the lowest first.
        object_size (tuple[int, int]): Smallest and largest longer side in
            pixels; scales are log-uniform.

    Returns:
        Scene: A scene with at least one object.
    """
    size = len(image)
    canvas = image.astype(np.float32)
    objects, areas = [], []
    for category, cutout in cutouts:
        longer = np.exp(generator.uniform(*np.log(object_size)))
        scale = longer / max(cutout.grey.shape)
        shape = tuple(max(2, round(length * scale)) for length in cutout.grey.shape)
        grey, opacity = (cv2.resize(part, shape[::-1], interpolation=cv2.INTER_LINEAR) for part in cutout)
        if generator.random() < 0.5:
            grey, opacity = grey[:, ::-1], opacity[:, ::-1]
        for _ in range(20):
            y, x = (int(generator.integers(size - length + 1)) for length in shape)
            box = np.s_[y : y + shape[0], x : x + shape[1]]
            mask = np.zeros((size, size), bool)
            mask[box] = opacity > 0.5
            if all((old & ~mask).sum() >= MIN_VISIBLE * area for (_, old), area in zip(objects, areas)):
                break
        else:
            continue
        canvas[box] += opacity[..., None] * (255 * grey[..., None] - canvas[box])
        objects = [(old_category, old & ~mask) for old_category, old in objects] + [(category, mask)]
        areas.append(mask.sum())
    return Scene(canvas.round().astype(np.uint8), objects)


def scenes(args: argparse.Namespace, split: str, num_scenes: int) -> Iterator[Scene]:
    """The scenes of a split, each from a random generator of its own."""
    backgrounds = photographs(args.backgrounds, split)
    dataset = FashionMNIST(args.fashion_mnist, split=SPLITS[split])
    for number in range(num_scenes):
        generator = np.random.default_rng([args.seed, list(SPLITS).index(split), number])
        cutouts = []
        for index in generator.integers(len(dataset), size=generator.integers(args.objects[0], args.objects[1] + 1)):
            sample = dataset.get_data_info(int(index))
            cutouts.append((int(sample['gt_label']) + 1, cut_out(np.asarray(sample['img']).reshape(28, 28))))
        yield compose(generator, background(generator, backgrounds, args.size), cutouts, args.object_size)


def annotation(number: int, image_id: int, category: int, mask: np.ndarray) -> dict:
    """An object in COCO's format, with box (x, y, w, h) and area of its visible pixels."""
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return dict(
        id=number,
        image_id=image_id,
        category_id=category,
        segmentation=dict(size=rle['size'], counts=rle['counts'].decode()),
        bbox=coco_mask.toBbox(rle).tolist(),
        area=int(coco_mask.area(rle)),
        iscrowd=0,
    )


def write_split(args: argparse.Namespace, root: Path, split: str, num_scenes: int) -> None:
    """Write pictures, label maps and annotations of a split."""
    images, annotations = [], []
    for folder in ('images', 'annotations'):
        (root / folder / split).mkdir(parents=True)
    progress = track(scenes(args, split, num_scenes), f'{split} scenes', total=num_scenes)
    for image_id, scene in enumerate(progress):
        name = f'{image_id:06d}'
        labels = np.zeros((args.size, args.size), np.uint8)
        for category, mask in scene.objects:
            labels[mask] = category
            annotations.append(annotation(len(annotations) + 1, image_id, category, mask))
        cv2.imwrite(str(root / 'images' / split / f'{name}.jpg'), scene.image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        cv2.imwrite(str(root / 'annotations' / split / f'{name}.png'), labels)
        images.append(dict(id=image_id, file_name=f'{name}.jpg', height=args.size, width=args.size))
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(FashionMNIST.METAINFO['classes'])]
    content = dict(
        info=dict(description=f'Fashion scenes, {split}, seed {args.seed}'),
        images=images,
        annotations=annotations,
        categories=categories,
    )
    (root / f'instances_{split}.json').write_text(json.dumps(content))


def check_split(root: Path, split: str) -> int:
    """Read a split back with pycocotools; returns the number of objects.

    Raises:
        RuntimeError: If an object and the label map disagree.
    """
    with redirect_stdout(None):  # pycocotools prints a report for every file.
        coco = COCO(str(root / f'instances_{split}.json'))
    for image_id, image in coco.imgs.items():
        labels = cv2.imread(str(root / 'annotations' / split / image['file_name'].replace('.jpg', '.png')), 0)
        for item in coco.imgToAnns[image_id]:
            mask = coco.annToMask(item).astype(bool)
            if mask.sum() != item['area'] or not (labels[mask] == item['category_id']).all():
                raise RuntimeError(f'{split}: object {item["id"]} of {image["file_name"]} is not in the label map.')
            labels[mask] = 0
        if labels.any():
            raise RuntimeError(f'{split}: {image["file_name"]} has labels that belong to no object.')
    return len(coco.anns)


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    if args.out.exists() and any(args.out.iterdir()):
        sys.exit(f'{args.out} is not empty, and nothing is overwritten: remove it, or name another folder.')
    init_default_scope('mmpretrain')
    # Renamed when complete: an interrupted run leaves no incomplete data set.
    partial = args.out.with_name(f'{args.out.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    for split, number in (('training', args.num_train), ('validation', args.num_val)):
        write_split(args, partial, split, number)
        print(f'{split}: {number} scenes with {check_split(partial, split)} objects, validated.')
    if args.out.exists():
        args.out.rmdir()
    partial.rename(args.out)
    print(f'Fashion scenes are in {args.out}.')


if __name__ == '__main__':
    main()
