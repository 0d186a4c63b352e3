# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
r"""Draw class activation maps of several checkpoints side by side.

Rows are images: files, or images mixed as in training. Columns are the models,
each with the largest labels of a mixed image, or with the classes of a file to
which the models give the highest mean probability. Titles name the class and
the probability that the model gives it. Every map is scaled to its own maximum,
so it shows where a class is seen, and the title how much.

    python tools/visualization/vis_cam.py --mixed 4 --out cam.png \
        --model baseline configs/demo/resnet10_1xb64-baseline_fashion-mnist.py work_dirs/baseline \
        --model RecursiveMix configs/demo/resnet10_1xb64_fashion-mnist.py work_dirs/demo
    python tools/visualization/vis_cam.py --model RM CONFIG CHECKPOINT --images dog.jpg cat.jpg --method HiResCAM

Needs the library pytorch-grad-cam: pip install grad-cam
"""

import argparse
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import List, NamedTuple, Optional

import numpy as np
import torch
from cam import cam_class, class_activation_maps, load_classifier, read_images
from drawing import as_loaded, as_pictures, caption, class_names, show
from matplotlib.figure import Figure
from mmengine.config import Config
from torch import Tensor, nn

from mmrmix.contrib.cli.cfg_options import read_classifier_config
from mmrmix.contrib.cli.launch import missing_data_explained
from mmrmix.contrib.cli.screen import errors_as_sentences
from mmrmix.visualization import MixedBatches

# In the first iterations there is little history to see.
ITERATION = 3


class Model(NamedTuple):
    """A classifier with its weights and title."""

    title: str
    cfg: Config
    network: nn.Module


class Rows(NamedTuple):
    """Images to draw: pixels for the preprocessor of each model, pictures, and labels and boxes if they are mixed."""

    pixels: List[Tensor]
    picture: np.ndarray
    scores: Optional[Tensor] = None
    boxes: Optional[Tensor] = None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--model',
        nargs=3,
        action='append',
        required=True,
        metavar=('TITLE', 'CONFIG', 'CHECKPOINT'),
        help='a model; may be repeated. CHECKPOINT may be a work dir, for its last checkpoint',
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--images', nargs='+', metavar='FILE', help="files, read through each config's test pipeline")
    source.add_argument('--mixed', type=int, metavar='N', help='N training images, mixed as in training')
    parser.add_argument('--mix-config', help='config that mixes (default: that of the first --model with RecursiveMix)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the mixed images (default: 0)')
    parser.add_argument('--classes', nargs='+', metavar='NAME', help='draw these classes, by name or number')
    parser.add_argument('--num-classes', type=int, default=2, help='number of classes per image (default: 2)')
    parser.add_argument('--method', default='GradCAM', help='class of pytorch-grad-cam (default: GradCAM)')
    parser.add_argument(
        '--target-layer', metavar='NAME', help="layer that yields the map (default: the backbone's last map)"
    )
    parser.add_argument('--device', default='cpu', help='(default: cpu)')
    parser.add_argument('--out', type=Path, default=Path('cam.png'), help='picture to write (%(default)s)')
    args = parser.parse_args()
    for name, number in (('mixed', args.mixed), ('num-classes', args.num_classes)):
        if number is not None and number < 1:
            parser.error(f'--{name} {number} must be at least 1')
    return args


def mixed_rows(models: List[Model], args: argparse.Namespace) -> Rows:
    """Choose the images of a mixed batch that have the most of several classes.

    Raises:
        ValueError: If no config says how to mix.
    """
    if args.mix_config:
        cfg = read_classifier_config(args.mix_config)
    else:
        cfg = next((model.cfg for model in models if 'RecursiveMix' in str(model.cfg.model.get('train_cfg'))), None)
        if cfg is None:
            raise ValueError('--mixed: none of the configs has RecursiveMix. Name one that mixes by --mix-config.')
    with missing_data_explained(cfg):
        batches = MixedBatches(cfg, args.seed)
        batch = next(islice(batches, ITERATION - 1, None))
    if not batches.augments:
        raise ValueError(
            f'--mix-config {args.mix_config} has no batch augments. Name one with model.train_cfg.augments.'
        )
    # The share of the last class to be drawn says how much is mixed.
    shares = batch.scores.topk(min(args.num_classes, batch.scores.shape[1])).values[:, -1]
    chosen = shares.argsort(descending=True, stable=True)[: args.mixed].sort().values
    preprocessor = batches.model.data_preprocessor
    return Rows(
        [as_loaded(batch.images[chosen], preprocessor)] * len(models),
        as_pictures(batch.images[chosen], preprocessor, cfg),
        batch.scores[chosen],
        None if batch.boxes is None else batch.boxes[chosen],
    )


def file_rows(models: List[Model], paths: List[str]) -> Rows:
    """Read image files for every model."""
    pixels = [read_images(paths, model.cfg, model.network) for model in models]
    inputs = models[0].network.data_preprocessor(dict(inputs=pixels[0]))['inputs']
    return Rows(pixels, as_pictures(inputs, models[0].network.data_preprocessor, models[0].cfg))


def class_numbers(wanted: List[str], classes: List[str]) -> List[int]:
    """Look up classes by name or number.

    Raises:
        ValueError: If there is no such class.
    """
    numbers = []
    for name in wanted:
        if name in classes:
            numbers.append(classes.index(name))
        elif name.isdigit() and int(name) < len(classes):
            numbers.append(int(name))
        else:
            near = ', '.join(get_close_matches(name, classes, cutoff=0.3)) or f'{classes[0]}, …, {classes[-1]}'
            raise ValueError(f'--classes "{name}" is none of the {len(classes)} classes: {near}.')
    return numbers


def choose(rows: Rows, probabilities: List[Tensor], args: argparse.Namespace, classes: List[str]) -> Tensor:
    """Choose M classes to draw for each image: (N, M), int64; -1 where the image has fewer."""
    num_images = len(rows.picture)
    if args.classes:
        return torch.tensor(class_numbers(args.classes, classes)).expand(num_images, -1)
    number = min(args.num_classes, len(classes))
    if rows.scores is None:
        return torch.stack(probabilities).mean(0).topk(number).indices
    shares, labels = rows.scores.topk(number)
    return labels.masked_fill(shares < 0.01, -1)


def draw(rows: Rows, labels: Tensor, models: List[Model], classes: List[str], results: List[tuple]) -> Figure:
    """Draw images in rows, models × classes in columns.

    Args:
        rows (Rows): N images.
        labels (Tensor): Classes of each image, ``(N, M)``; -1 for none.
        models (list[Model]): The models.
        classes (list[str]): Names of all classes.
        results (list[tuple]): For each model maps ``(N, M, H, W)``,
            probabilities ``(N, K)`` and pictures.
    """
    num_images, num_labels = labels.shape
    # Narrow empty columns separate the models; the first row has their titles.
    widths = [1, *([0.12, *[1] * num_labels] * len(models))]
    size = (1.75 * sum(widths) + 0.1, 2.05 * num_images + 0.5 + (0.15 if rows.scores is not None else 0))
    figure = Figure(figsize=size, layout='constrained')
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03)
    grid = figure.add_gridspec(1 + num_images, len(widths), width_ratios=widths, height_ratios=[0.1] + [1] * num_images)
    for i, model in enumerate(models):
        first = 2 + i * (num_labels + 1)
        header = figure.add_subplot(grid[0, first : first + num_labels])
        header.text(0.5, 0, model.title, fontsize=11, weight='bold', ha='center', transform=header.transAxes)
        header.axis('off')
    for row in range(num_images):
        axis = figure.add_subplot(grid[1 + row, 0])
        box = None if rows.boxes is None else rows.boxes[row]
        show(axis, rows.picture[row], box)
        if rows.scores is not None:
            axis.set_title(caption(rows.scores[row], classes), fontsize=8, loc='left')
        for i, (maps, probabilities, pictures) in enumerate(results):
            for j, label in enumerate(labels[row].tolist()):
                axis = figure.add_subplot(grid[1 + row, 2 + i * (num_labels + 1) + j])
                axis.axis('off')
                if label >= 0:
                    show(axis, pictures[row], box)
                    # Unimportant pixels stay as they are, and the most important ones are not jet's dark red.
                    axis.imshow(maps[row, j], cmap='jet', vmin=0, vmax=1.15, alpha=0.75 * maps[row, j].numpy() ** 0.5)
                    axis.set_title(f'{classes[label]} {probabilities[row, label]:.0%}', fontsize=8)
    return figure


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    cam_class(args.method)  # Fails before anything slow starts.
    models, names = [], []
    for title, path, checkpoint in args.model:
        cfg = read_classifier_config(path)
        network, classes = load_classifier(cfg, checkpoint)
        models.append(Model(title, cfg, network.to(args.device)))
        names.append(classes)
    rows = file_rows(models, args.images) if args.images else mixed_rows(models, args)

    inputs = [
        model.network.data_preprocessor(dict(inputs=pixels), training=False)['inputs']
        for model, pixels in zip(models, rows.pixels)
    ]
    with torch.no_grad():
        probabilities = [model.network(images).softmax(1).cpu() for model, images in zip(models, inputs)]
    counts = {model.title: values.shape[1] for model, values in zip(models, probabilities)}
    if len(set(counts.values())) > 1:
        raise ValueError(f'The models have different numbers of classes: {counts}. Compare models of one data set.')
    classes = class_names(next(filter(None, names), None), probabilities[0].shape[1])
    labels = choose(rows, probabilities, args, classes)
    results = []
    for model, images, values in zip(models, inputs, probabilities):
        print(f'{model.title}: {args.method}, {len(images)} images × {labels.shape[1]} classes …')
        maps = class_activation_maps(model.network, images, labels.clamp(min=0), args.method, args.target_layer)
        results.append((maps, values, as_pictures(images, model.network.data_preprocessor, model.cfg)))
    figure = draw(rows, labels, models, classes, results)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out)
    print(f'Written to {args.out}')


if __name__ == '__main__':
    main()
