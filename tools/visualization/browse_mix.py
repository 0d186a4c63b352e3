# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Draw batches as the network sees them, after their batch augments.

One iteration is drawn as a grid of its mixed images with their largest labels.
Several iterations are drawn as rows. A column is a place in the batch: the
original image, the mixed image and its labels. Dashed lines lead from an image
to the box that the next iteration pastes it into.

Works for every mmpretrain config with batch augments. Orange frames show what
was pasted.

    python tools/visualization/browse_mix.py configs/demo/resnet10_1xb64_fashion-mnist.py --out mixed_batch.png
    python tools/visualization/browse_mix.py configs/demo/resnet10_1xb64_fashion-mnist.py --iterations 1 2 3 4
"""

import argparse
from itertools import islice
from pathlib import Path
from typing import List, Sequence

from drawing import BOX_COLOR, as_pictures, caption, class_names, show
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from mmengine.config import Config
from torch import nn

from mmrmix.contrib.cli.cfg_options import CfgOptions, read_classifier_config
from mmrmix.contrib.cli.launch import missing_data_explained
from mmrmix.contrib.cli.screen import errors_as_sentences
from mmrmix.visualization import MixedBatches, SeenBatch

GRID_COLUMNS = 8


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--out', type=Path, default=Path('mixed_batch.png'), help='picture to write (%(default)s)')
    parser.add_argument(
        '--iterations',
        type=int,
        nargs='+',
        default=[],
        metavar='N',
        help='iterations to draw, from 1 (default: 3, or the last one of a shorter epoch)',
    )
    parser.add_argument('--num-images', type=int, help='number of images (default: 24, or 4 with several iterations)')
    parser.add_argument('--seed', type=int, default=0, help='seed of data order, crops and boxes (default: 0)')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, metavar='KEY=VALUE', help='override the config')
    args = parser.parse_args()
    args.iterations = sorted(set(args.iterations))
    if args.num_images is None:
        args.num_images = 24 if len(args.iterations) < 2 else 4
    for name, number in (('iterations', min(args.iterations, default=1)), ('num-images', args.num_images)):
        if number < 1:
            parser.error(f'--{name} {number} must be at least 1')
    return args


def first_images(batch: SeenBatch, num_images: int) -> SeenBatch:
    """Copy the first images of a batch, so that the rest can be freed and later batches can mix in place."""
    return SeenBatch(*(field[:num_images].clone() if hasattr(field, 'clone') else field for field in batch))


def is_boxed(batch: SeenBatch) -> bool:
    """Whether something was pasted into a box."""
    return batch.boxes is not None and bool(batch.boxes.any())


def draw_batch(batch: SeenBatch, model: nn.Module, cfg: Config, classes: Sequence[str]) -> Figure:
    """Draw the mixed images of one iteration as a grid."""
    pictures = as_pictures(batch.images, model.data_preprocessor, cfg)
    rows = -(-len(pictures) // GRID_COLUMNS)
    figure = Figure(figsize=(1.9 * GRID_COLUMNS, 2.35 * rows + 0.6), layout='tight')
    axes = figure.subplots(rows, GRID_COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.axis('off')
    for i, (axis, picture) in enumerate(zip(axes.flat, pictures)):
        show(axis, picture, None if batch.boxes is None else batch.boxes[i])
        axis.set_title(caption(batch.scores[i], classes), fontsize=9, loc='left')
    figure.suptitle(
        f'{batch.augment or "No augment was drawn"}: the batch of iteration {batch.iteration}, labels with their shares'
        + (' (orange: what was pasted)' if is_boxed(batch) else '')
    )
    return figure


def draw_sequence(batches: List[SeenBatch], model: nn.Module, cfg: Config, classes: Sequence[str]) -> Figure:
    """Draw several iterations, one in a row."""
    originals = [as_pictures(batch.originals, model.data_preprocessor, cfg) for batch in batches]
    mixed = [as_pictures(batch.images, model.data_preprocessor, cfg) for batch in batches]
    columns = min(map(len, mixed))
    figure = Figure(figsize=(3.3 * columns + 0.3, 1.9 * len(batches) + 0.4), layout='constrained')
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.05)
    axes = figure.subplots(
        len(batches), 3 * columns, squeeze=False, gridspec_kw=dict(width_ratios=[0.75, 1.5, 0.95] * columns)
    )
    for row, batch in enumerate(batches):
        for i in range(columns):
            before, after, text = axes[row, 3 * i : 3 * i + 3]
            show(before, originals[row][i])
            before.set_title(caption(batch.original_scores[i], classes, 1).rsplit(' ', 1)[0], fontsize=8)
            box = None if batch.boxes is None else batch.boxes[i]
            show(after, mixed[row][i], box)
            text.axis('off')
            text.text(0, 0.95, caption(batch.scores[i], classes, 6), fontsize=8, va='top', linespacing=1.4)
            is_next = row and batch.iteration == batches[row - 1].iteration + 1
            if batch.augment == 'RecursiveMix' and is_next and box is not None:
                lead(figure, axes[row - 1, 3 * i + 1], after, mixed[row - 1].shape[1:3], box.tolist())
        name(axes[row, 0], batch)
    figure.suptitle('Image of the data set → what the network sees → shares of its labels', fontsize=11)
    return figure


def lead(figure: Figure, source: Axes, target: Axes, size: Sequence[int], box: Sequence[float]) -> None:
    """Draw dashed lines from an image to the box that it is pasted into."""
    height, width = size
    x1, y1, x2, y2 = box
    if x1 >= x2 or y1 >= y2:
        return
    for start, end in ((0, x1), (width, x2)):
        line = ConnectionPatch(
            (start - 0.5, height - 0.5), (end - 0.5, y1 - 0.5), 'data', 'data', axesA=source, axesB=target,
            color=BOX_COLOR, linestyle='--', linewidth=0.9,
        )  # fmt: skip
        line.set_in_layout(False)
        figure.add_artist(line)


def name(axis: Axes, batch: SeenBatch) -> None:
    """Write number and augment of an iteration beside its row."""
    axis.annotate(
        f'iteration {batch.iteration}\n{batch.augment or "not mixed"}', (0, 0.5), (-6, 0), fontsize=9, rotation=90,
        xycoords='axes fraction', textcoords='offset points', ha='right', va='center',
    )  # fmt: skip


def explain_unmixed(seen: List[SeenBatch], per_epoch: int) -> None:
    """Say why nothing was mixed, if none of the batches of RecursiveMix is."""
    if any(batch.augment != 'RecursiveMix' or is_boxed(batch) for batch in seen):
        return
    numbers = ', '.join(str(batch.iteration) for batch in seen)
    fix = (
        "one batch is a whole epoch here, so nothing is ever mixed: set dict(type='mmrmix.RMHistoryHook', reset=None)"
        if per_epoch == 1
        else f'draw others: --iterations {seen[0].iteration + 1}'
    )
    print(f'Nothing is mixed in iteration {numbers}: there is no history at the start of an epoch; {fix}.')


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    cfg = read_classifier_config(args.config, args.cfg_options)
    with missing_data_explained(cfg):
        batches = MixedBatches(cfg, args.seed)
        if not batches.augments:
            raise ValueError(
                f'{args.config} has no batch augments, so there is nothing mixed to draw: set '
                "model.train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix')) or another one there."
            )
        iterations = args.iterations or [min(3, len(batches.loader))]
        seen = [
            first_images(batch, args.num_images)
            for batch in islice(batches, iterations[-1])
            if batch.iteration in iterations
        ]
    explain_unmixed(seen, len(batches.loader))
    classes = class_names(getattr(batches.loader.dataset, 'metainfo', {}).get('classes'), seen[0].scores.shape[1])
    if len(seen) == 1:
        figure = draw_batch(seen[0], batches.model, cfg, classes)
    else:
        figure = draw_sequence(seen, batches.model, cfg, classes)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out)
    print(f'{sum(len(batch.images) for batch in seen)} images written to {args.out}')


if __name__ == '__main__':
    main()
