# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Parameters and FLOPs of the networks of some configs, as a Markdown table.

python tools/analysis_tools/get_flops.py configs/rm/*.py
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

HEADER = '| network | image | parameters in training | deployed | FLOPs |\n|---|---|---|---|---|'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', type=Path, help='configs of classifiers')
    parser.add_argument('--shape', type=int, nargs=2, metavar=('H', 'W'), help="image size (the config's crop)")
    return parser.parse_args()


def image_size(cfg: Config) -> Tuple[int, int]:
    """Size of the images that the config evaluates on.

    Raises:
        ValueError: If no transform and no data set tells it.
    """
    for step in reversed(cfg.test_dataloader.dataset.pipeline):
        if 'crop_size' in step:
            return (step.crop_size,) * 2
    sizes = {'mmrmix.CIFAR10': 32, 'mmrmix.CIFAR100': 32, 'mmrmix.FashionMNIST': 28}
    if cfg.test_dataloader.dataset.type not in sizes:
        raise ValueError(f'Unknown image size of {cfg.test_dataloader.dataset.type}: give --shape.')
    return (sizes[cfg.test_dataloader.dataset.type],) * 2


def measure(path: Path, shape: Optional[Tuple[int, int]] = None) -> str:
    """One line of the table; FLOPs are multiply-adds, as in the mm libraries."""
    cfg = Config.fromfile(path)
    shape = tuple(shape or image_size(cfg))
    model = get_model(cfg).eval()
    channels = cfg.model.backbone.get('in_channels', 3)
    info = get_model_complexity_info(
        model, inputs=(torch.zeros(1, channels, *shape),), show_table=False, show_arch=False
    )
    training = sum(parameter.numel() for parameter in model.parameters())
    branch = sum(parameter.numel() for name, parameter in model.named_parameters() if '.fc_roi.' in name)
    sizes = ' | '.join(f'{number / 1e6:.2f} M' for number in (training, training - branch))
    return f'| {path.stem} | {shape[0]}×{shape[1]} | {sizes} | {info["flops"] / 1e9:.2f} G |'


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    # The counter warns of every operator that costs next to nothing.
    MMLogger.get_instance('get_flops', logger_name='mmengine', log_level='ERROR')
    print(HEADER)
    for path in args.configs:
        print(measure(path, args.shape), flush=True)


if __name__ == '__main__':
    main()
