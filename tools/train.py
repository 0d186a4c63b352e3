# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Train a model from a config of mmpretrain, mmdet or mmseg.

python tools/train.py configs/demo/resnet10_1xb64_fashion-mnist.py
bash tools/dist_train.sh configs/rm/resnet50_8xb64_imagenet.py 8 --amp
"""

import argparse

from mmengine.config import Config

from mmrmix.contrib.cli.launch import (
    DATALOADERS,
    add_common_arguments,
    build_runner,
    load_config,
    missing_data_explained,
)
from mmrmix.contrib.cli.screen import errors_as_sentences
from mmrmix.placement import check_placement


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    add_common_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from this checkpoint; without a path, from the latest one in the work dir',
    )
    parser.add_argument('--amp', action='store_true', help='train with automatic mixed precision (needs a GPU)')
    parser.add_argument(
        '--channels-last', action='store_true', help='use the channels-last memory format for images and weights'
    )
    parser.add_argument('--compile', action='store_true', help='compile forward and backward pass with torch.compile')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate to the total batch size, from the config's auto_scale_lr",
    )
    parser.add_argument('--no-validate', action='store_true', help='do not validate during training')
    parser.add_argument(
        '--no-persistent-workers', action='store_true', help='restart the data loader workers in every epoch'
    )
    return parser.parse_args()


def apply_options(cfg: Config, args: argparse.Namespace) -> None:
    """Write the training options into the config."""
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.no_persistent_workers:
        for name in DATALOADERS:
            if cfg.get(name):
                cfg[name].persistent_workers = False
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    hooks = {'mmrmix.ChannelsLastHook': args.channels_last, 'mmrmix.CompileHook': args.compile}
    wanted = [dict(type=name) for name, is_wanted in hooks.items() if is_wanted]
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *wanted]
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError(
                '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config: the total batch size '
                'that its learning rate belongs to.'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume


def main() -> None:
    args = parse_args()
    with errors_as_sentences(args.verbose):
        cfg = load_config(args)
        apply_options(cfg, args)
        check_placement(cfg)
        with missing_data_explained(cfg):
            build_runner(cfg, args.verbose).train()


if __name__ == '__main__':
    main()
