# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Evaluate a checkpoint with a config of mmpretrain, mmdet or mmseg.

python tools/test.py CONFIG work_dirs/demo/epoch_4.pth --out work_dirs/demo/metrics.json
"""

import argparse
from pathlib import Path

import mmengine
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import DumpResults

from mmrmix.contrib.cli.launch import (
    add_common_arguments,
    build_runner,
    innermost_dataset,
    load_config,
    missing_data_explained,
)
from mmrmix.contrib.cli.screen import errors_as_sentences
from mmrmix.placement import check_placement


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    add_common_arguments(parser)
    parser.add_argument('--out', help='write the metrics to a .json or .yml file, or all predictions to a .pkl file')
    parser.add_argument('--show-dir', help='draw the predictions into this folder')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--interval', type=int, default=1, help='draw every n-th sample (default: 1)')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds that a window stays open (default: 2)')
    parser.add_argument(
        '--tta', action='store_true', help="use test-time augmentation, from the config's tta_model and tta_pipeline"
    )
    args = parser.parse_args()
    if args.out and Path(args.out).suffix not in ('.json', '.yml', '.yaml', '.pkl'):
        parser.error(f'--out "{args.out}" must end in .json or .yml (metrics) or .pkl (predictions)')
    return args


def apply_options(cfg: Config, args: argparse.Namespace) -> None:
    """Write the test options into the config."""
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        draw_predictions(cfg, args)
    if args.tta:
        missing = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
        if missing:
            raise ValueError(f'--tta needs {" and ".join(missing)} in the config.')
        innermost_dataset(cfg.test_dataloader).pipeline = cfg.tta_pipeline
        cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)


def draw_predictions(cfg: Config, args: argparse.Namespace) -> None:
    """Enable the visualization hook, whose arguments have other names in each of the three libraries."""
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError('--show and --show-dir need default_hooks.visualization in the config.')
    if cfg.default_scope == 'mmpretrain':
        hook.update(enable=True, out_dir=args.show_dir)
    else:
        hook.update(draw=True)
        if args.show_dir and cfg.default_scope == 'mmdet':
            hook.test_out_dir = args.show_dir
        elif args.show_dir:
            cfg.visualizer.save_dir = args.show_dir
    hook.update(show=args.show, interval=args.interval, wait_time=args.wait_time)


def predictions_dump(cfg: Config, path: str) -> DumpResults:
    """Metric that writes all predictions; mmdet's encodes the masks."""
    if cfg.default_scope == 'mmdet':
        from mmdet.evaluation import DumpDetResults

        return DumpDetResults(out_file_path=path)
    return DumpResults(out_file_path=path)


def main() -> None:
    args = parse_args()
    with errors_as_sentences(args.verbose):
        cfg = load_config(args)
        apply_options(cfg, args)
        check_placement(cfg)
        writes_predictions = args.out is not None and args.out.endswith('.pkl')
        with missing_data_explained(cfg):
            runner = build_runner(cfg, args.verbose)
            if writes_predictions:
                runner.test_evaluator.metrics.append(predictions_dump(cfg, args.out))
            metrics = runner.test()
        if args.out and not writes_predictions and runner.rank == 0:
            mmengine.dump(metrics, args.out)


if __name__ == '__main__':
    main()
