# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Print parameters and FLOPs of classifiers as a Markdown table.

python tools/analysis_tools/get_flops.py configs/rm/*.py

mmpretrain's tool of this name takes one config with images of three channels,
leaves out the head, and does not know that fc_roi is used in training only.
"""

import argparse
from pathlib import Path
from typing import Optional, Tuple

import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpretrain import get_model

from mmrmix.contrib.cli.screen import errors_as_sentences
from mmrmix.models.heads.deployed import without_fc_roi

IMAGE_SIZES = {'mmrmix.CIFAR10': 32, 'mmrmix.CIFAR100': 32, 'mmrmix.FashionMNIST': 28}
HEADER = '| network | image | parameters in training | deployed | FLOPs |\n|---|---|---|---|---|'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', type=Path, help='configs of classifiers')
    parser.add_argument(
        '--shape', type=int, nargs=2, metavar=('H', 'W'), help="image size (default: the config's crop)"
    )
    return parser.parse_args()


def evaluated_size(cfg: Config) -> Tuple[int, int]:
    """Height and width of the images that a config evaluates on.

    Raises:
        ValueError: If neither a transform nor the data set tells.
    """
    dataset = cfg.test_dataloader.dataset
    sizes = [step.crop_size for step in dataset.pipeline if 'crop_size' in step]
    size = sizes[-1] if sizes else IMAGE_SIZES.get(dataset.type)
    if size is None:
        raise ValueError(f'Unknown image size of {dataset.type}: give --shape.')
    return size, size


def measure(path: Path, shape: Optional[Tuple[int, int]] = None) -> str:
    """A line of the table; FLOPs are multiply-adds, as in the mm libraries."""
    cfg = Config.fromfile(path)
    shape = tuple(shape or evaluated_size(cfg))
    model = get_model(cfg)
    images = torch.zeros(1, cfg.model.backbone.get('in_channels', 3), *shape)
    info = get_model_complexity_info(model, inputs=(images,), show_table=False, show_arch=False)
    parameters = dict(model.named_parameters())
    training, deployed = (
        f'{sum(map(torch.numel, weights.values())) / 1e6:.2f} M' for weights in (parameters, without_fc_roi(parameters))
    )
    return f'| {path.stem} | {shape[0]}×{shape[1]} | {training} | {deployed} | {info["flops"] / 1e9:.2f} G |'


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    # The counter warns about every operator that costs next to nothing.
    MMLogger.get_instance('get_flops', logger_name='mmengine', log_level='ERROR')
    print(HEADER)
    for path in args.configs:
        print(measure(path, args.shape), flush=True)


if __name__ == '__main__':
    main()
