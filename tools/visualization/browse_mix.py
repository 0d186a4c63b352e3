# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Draw what the network sees: a batch after its batch augments.

Shows the mixed images of one iteration with their largest labels and the
pasted box. Works for every mmpretrain config with batch augments.

    python tools/visualization/browse_mix.py configs/demo/resnet10_1xb64_fashion-mnist.py --out mixed_batch.png
"""

import argparse
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmrmix import link_history
from mmrmix.link import history_users

COLUMNS = 8


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--out', type=Path, default=Path('mixed_batch.png'), help='picture to write (%(default)s)')
    parser.add_argument('--iterations', type=int, default=3, help='draw this iteration (default: %(default)s)')
    parser.add_argument('--num-images', type=int, default=24, help='number of images (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of data order, crops and boxes (default: 0)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override the config')
    return parser.parse_args()


def mixed_batch(
    model: nn.Module, loader: object, iterations: int, seed: int
) -> Tuple[Tensor, Tensor, Optional[Tensor]]:
    """Preprocess batches as in training and return the last one.

    The network itself never runs: the history is committed without
    predictions.

    Args:
        model (nn.Module): A classifier with ``data_preprocessor``.
        loader (DataLoader): Yields training batches.
        iterations (int): Number of batches, at least 1.
        seed (int): Seed of the boxes.

    Returns:
        tuple[Tensor, Tensor, Tensor or None]: Images ``(N, C, H, W)``, labels
        ``(N, K)`` and, with RecursiveMix, boxes ``(N, 4)`` in pixels.
    """
    history = link_history(model, seed) if any(history_users(model)) else None
    batches = iter(loader)
    for _ in range(iterations):
        try:
            data = next(batches)
        except StopIteration:
            batches = iter(loader)
            data = next(batches)
        data = model.data_preprocessor(data, training=True)
        batch = history.take() if history else None
        if batch:
            history.commit(batch, torch.zeros_like(batch.scores))
    scores = torch.stack([sample.gt_score for sample in data['data_samples']]).float()
    return data['inputs'], scores, batch.boxes if batch else None


def as_pictures(images: Tensor, preprocessor: nn.Module) -> np.ndarray:
    """Undo the normalisation: ``(N, H, W, C)`` in [0, 1], RGB or grey."""
    if getattr(preprocessor, '_enable_normalize', False):
        images = images * preprocessor.std + preprocessor.mean
    if images.shape[1] == 3 and not preprocessor.to_rgb:
        images = images.flip(1)
    return (images / 255).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()


def caption(scores: Tensor, classes: Optional[List[str]]) -> str:
    """The three largest labels of at least 1 %, a line each."""
    shares, labels = scores.topk(min(3, len(scores)))
    names = [classes[label] if classes else f'class {label}' for label in labels.tolist()]
    return '\n'.join(f'{name} {share:.0%}' for name, share in zip(names, shares.tolist()) if share >= 0.01)


def draw(pictures: np.ndarray, captions: List[str], boxes: Optional[Tensor], title: str, path: Path) -> None:
    """Write the grid of images."""
    rows = -(-len(pictures) // COLUMNS)
    figure = Figure(figsize=(1.9 * COLUMNS, 2.35 * rows + 0.6), layout='tight')
    axes = figure.subplots(rows, COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.axis('off')
    for i, (axis, picture) in enumerate(zip(axes.flat, pictures)):
        axis.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap='gray', vmin=0, vmax=1)
        axis.set_title(captions[i], fontsize=9, loc='left')
        if boxes is not None:
            x1, y1, x2, y2 = boxes[i].tolist()
            # Pixel centres are at whole numbers.
            frame = Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor='tab:orange', linewidth=1.5)
            axis.add_patch(frame)
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.default_scope)
    set_random_seed(args.seed)
    # Worker processes are not worth their start for a few batches.
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=args.seed)
    cfg.model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    model = MODELS.build(cfg.model)

    images, scores, boxes = mixed_batch(model, loader, args.iterations, args.seed)
    images, scores = images[: args.num_images], scores[: args.num_images]
    classes = getattr(loader.dataset, 'metainfo', {}).get('classes')
    names = ', '.join(type(augment).__name__ for augment in model.data_preprocessor.batch_augments.augments if augment)
    draw(
        as_pictures(images, model.data_preprocessor),
        [caption(row, classes) for row in scores],
        boxes,
        f'{names}: the batch of iteration {args.iterations}, labels with their shares'
        + (' (orange: the last batch, resized)' if boxes is not None else ''),
        args.out,
    )
    print(f'{len(images)} images written to {args.out}')


if __name__ == '__main__':
    main()
