# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
r"""Draw fashion scenes with their annotations and the predictions of models.

python tools/visualization/browse_scenes.py --out scenes.png
python tools/visualization/browse_scenes.py --out predictions.png --num-scenes 4 \
    --model "ATSS" configs/demo/atss_resnet18-slim_1xb8_fashion-scenes.py work_dirs/atss/epoch_5.pth

Detections are drawn as boxes (and masks), segmentations as areas.
"""

import argparse
from contextlib import redirect_stdout
from pathlib import Path
from typing import List, NamedTuple, Optional

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from mmengine.config import Config
from mmengine.visualization import Visualizer
from pycocotools.coco import COCO

from mmrmix.contrib import FashionMNIST
from mmrmix.contrib.checkpoints.files import last_checkpoint
from mmrmix.contrib.cli.screen import errors_as_sentences

CLASSES = FashionMNIST.METAINFO['classes']
COLORS = [tuple(round(255 * channel) for channel in colormaps['tab10'](i)[:3]) for i in range(len(CLASSES))]


class Object(NamedTuple):
    """An object to draw: category (0 to 9), box (x1, y1, x2, y2) in pixels, mask (S, S), score."""

    category: int
    box: Optional[np.ndarray]
    mask: Optional[np.ndarray]
    score: Optional[float] = None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', type=Path, nargs='?', default=Path('data/fashion_scenes'), help='(%(default)s)')
    parser.add_argument('--out', type=Path, default=Path('scenes.png'), help='picture to write (%(default)s)')
    parser.add_argument('--split', choices=['training', 'validation'], default='validation', help='(%(default)s)')
    parser.add_argument('--num-scenes', type=int, default=9, help='number of scenes, from the first (%(default)s)')
    parser.add_argument(
        '--model',
        nargs=3,
        action='append',
        default=[],
        metavar=('TITLE', 'CONFIG', 'CHECKPOINT'),
        help='also draw the predictions of this model; may be repeated. CHECKPOINT may be a work dir, for its last '
        'checkpoint',
    )
    parser.add_argument('--score-thr', type=float, default=0.3, help='minimum score of boxes (%(default)s)')
    return parser.parse_args()


def annotated(root: Path, split: str, num_scenes: int) -> List[tuple]:
    """Read paths of pictures and their objects."""
    with redirect_stdout(None):
        coco = COCO(str(root / f'instances_{split}.json'))
    scenes = []
    for image in list(coco.imgs.values())[:num_scenes]:
        objects = []
        for item in coco.imgToAnns[image['id']]:
            x, y, w, h = item['bbox']
            box = np.array([x, y, x + w, y + h])
            objects.append(Object(item['category_id'] - 1, box, coco.annToMask(item).astype(bool)))
        scenes.append((root / 'images' / split / image['file_name'], objects))
    return scenes


def predicted(config: str, checkpoint: str, paths: List[Path], score_thr: float) -> List[List[Object]]:
    """Let a detector or segmentor find objects in pictures."""
    cfg = Config.fromfile(config)
    cfg.model.backbone.init_cfg = None  # The checkpoint has all weights.
    checkpoint = last_checkpoint(checkpoint) if Path(checkpoint).is_dir() else checkpoint
    if cfg.default_scope == 'mmseg':
        from mmseg.apis import inference_model, init_model

        model = init_model(cfg, checkpoint, device='cpu')
        maps = [inference_model(model, str(path)).pred_sem_seg.data[0].numpy() for path in paths]
        return [[Object(k - 1, None, labels == k) for k in np.unique(labels) if k > 0] for labels in maps]
    from mmdet.apis import inference_detector, init_detector

    model = init_detector(cfg, checkpoint, device='cpu')
    results = []
    for path in paths:
        instances = inference_detector(model, str(path)).pred_instances.numpy()
        instances = instances[instances.scores >= score_thr]
        masks = instances.masks if 'masks' in instances else [None] * len(instances)
        results.append([Object(*found) for found in zip(instances.labels, instances.bboxes, masks, instances.scores)])
    return results


def draw(path: Path, objects: List[Object], size: int = 480) -> np.ndarray:
    """Draw objects on an enlarged picture: (size, size, 3), uint8 RGB."""
    image = cv2.imread(str(path))[..., ::-1]
    zoom = size / image.shape[0]
    visualizer = Visualizer.get_instance('browse_scenes')
    visualizer.set_image(cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC))
    for category, box, mask, score in objects:
        color = COLORS[category]
        if mask is not None:
            mask = cv2.resize(mask.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST).astype(bool)
            visualizer.draw_binary_masks(mask, colors=color, alphas=0.3 if box is not None else 0.5)
        if box is None:
            continue
        visualizer.draw_bboxes(zoom * box, edge_colors=color, line_widths=2)
        visualizer.draw_texts(
            CLASSES[category] + (f' {score:.2f}' if score is not None else ''),
            zoom * box[:2] + 3,
            font_sizes=11,
            colors='w',
            bboxes=dict(facecolor=tuple(channel / 255 for channel in color), alpha=0.8, pad=1, edgecolor='none'),
        )
    return visualizer.get_image()


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    scenes = annotated(args.root, args.split, args.num_scenes)
    paths = [path for path, _ in scenes]
    columns = [('annotation', [objects for _, objects in scenes])]
    columns += [(title, predicted(config, file, paths, args.score_thr)) for title, config, file in args.model]
    if len(columns) > 1:
        tiles = [(title, path, objects[i]) for i, path in enumerate(paths) for title, objects in columns]
        width = len(columns)
    else:
        tiles = [('', *scene) for scene in scenes]
        width = 3
    height = -(-len(tiles) // width)
    figure = Figure(figsize=(2.6 * width, 2.6 * height + (0.6 if len(columns) > 1 else 0)), layout='constrained')
    for i, (axes, (title, path, objects)) in enumerate(zip(figure.subplots(height, width, squeeze=False).flat, tiles)):
        axes.imshow(draw(path, objects))
        if i < width:
            axes.set_title(title)
    for axes in figure.axes:
        axes.axis('off')
    if len(columns) > 1:  # Areas bear no names.
        patches = [Patch(color=np.divide(color, 255), label=name) for color, name in zip(COLORS, CLASSES)]
        figure.legend(handles=patches, loc='outside lower center', ncols=5 * (width // 2), frameon=False)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=130)
    print(f'{len(scenes)} scenes drawn in {args.out}.')


if __name__ == '__main__':
    main()
