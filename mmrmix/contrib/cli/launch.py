# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Building a runner from the command line, for tools/train.py and tools/test.py."""

import argparse
import datetime
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import distributed

from mmrmix.contrib.backbones.initialized_backbone import ensure_initialization
from mmrmix.contrib.checkpoints.work_dir import check_writable

from .cfg_options import CfgOptions, read_config
from .screen import HeaderHook, quiet

DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing share.

    Args:
        parser (argparse.ArgumentParser): The tool's parser.
    """
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: ./work_dirs/<config name>)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        metavar='KEY=VALUE',
        help='override settings of the config: model.head.omega=0.5 optim_wrapper.optimizer.lr=0.1; '
        'write lists as key="[a,b]" or key=a,b',
    )
    parser.add_argument(
        '--verbose', action='store_true', help='show the whole log on the screen, and the traceback of every error'
    )
    parser.add_argument('--no-pin-memory', action='store_true', help='do not copy batches to pinned memory')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes were started; set by dist_train.sh and dist_test.sh',
    )
    # torch.distributed.launch passes it; torchrun sets an environment variable instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the shared options.

    Args:
        args (argparse.Namespace): ``config``, and the options of
            :func:`add_common_arguments`.

    Returns:
        Config: Config that the tool may change further.

    Raises:
        ValueError: See :func:`read_config`.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config, {'launcher': args.launcher, **(args.cfg_options or {})})
    if cfg.get('default_scope') == 'mmpretrain':
        _set_mmpretrain_loader_defaults(cfg)
    if args.no_pin_memory:
        for name in DATALOADERS:
            if cfg.get(name):
                cfg[name].pin_memory = False
    # As in all mm tools: command line > config > name of the config.
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    return cfg


def build_runner(cfg: Config, verbose: bool = False) -> Runner:
    """Build the runner, also for several processes on a machine without a GPU.

    mmengine's launchers select a CUDA device before they look at the backend.
    Without a GPU, the process group (gloo) is therefore initialised here and
    DDP gets no device; SyncBN, which needs GPUs, is replaced by BN.

    Args:
        cfg (Config): Config from :func:`load_config`.
        verbose (bool): Show the whole log on the screen. Defaults to False,
            see :func:`mmrmix.contrib.cli.screen.is_news`.

    Returns:
        Runner: Runner whose process group is initialised if there is a launcher.

    Raises:
        OSError: If the work dir cannot be written to.
        ValueError: Without a GPU, if the launcher is not ``'pytorch'``.
    """
    check_writable(cfg.work_dir)
    num_replaced = 0
    if cfg.launcher != 'none' and not torch.cuda.is_available():
        num_replaced = _prepare_for_cpus(cfg)
    ensure_initialization(cfg.get('model'))
    kind = RUNNERS.get(cfg.runner_type) if 'runner_type' in cfg else Runner
    runner = (kind if verbose else quiet(kind)).from_cfg(cfg)
    runner.register_hook(HeaderHook())
    if num_replaced:
        runner.logger.info(
            'SyncBN needs GPUs: on CPUs it is replaced by BN, with separate statistics in each process '
            f'({num_replaced} places in the config).'
        )
    return runner


def innermost_dataset(dataloader: ConfigDict) -> ConfigDict:
    """Find the data set inside all wrappers (RepeatDataset, …).

    Args:
        dataloader (ConfigDict): Config of a data loader.

    Returns:
        ConfigDict: Config of the data set, not a copy.
    """
    dataset = dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


@contextmanager
def missing_data_explained(cfg: Config) -> Iterator[None]:
    """Say which data set is missing and where it belongs, instead of a bare file name.

    Args:
        cfg (Config): Config of the data sets.

    Returns:
        ContextManager: Context in which the data is read.

    Raises:
        FileNotFoundError: If a file below the ``data_root`` of a data set is
            missing.
    """
    try:
        yield
    except FileNotFoundError as error:
        for name in DATALOADERS:
            if not cfg.get(name):
                continue
            dataset = innermost_dataset(cfg[name])
            root = dataset.get('data_root')
            if root and error.filename and Path(root).absolute() in Path(error.filename).absolute().parents:
                raise FileNotFoundError(
                    f'{error.filename} is missing: {name} expects {dataset["type"]} in "{root}". The README beside '
                    'the config shows the folders and how to get them. If they lie elsewhere, make a link, or set '
                    f'--cfg-options {name}.dataset.data_root=FOLDER, the same for the other loaders, and ann_file of '
                    'the evaluators.'
                ) from error
        raise


def _prepare_for_cpus(cfg: Config) -> int:
    """Initialise the process group (gloo) and set up DDP for CPUs; returns how often SyncBN was replaced."""
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f'launcher="{cfg.launcher}" needs GPUs and there is none here: use tools/dist_train.sh, which '
            'trains several processes on CPUs.'
        )
    if not distributed.is_initialized():
        options = dict(cfg.get('env_cfg', {}).get('dist_cfg', {}))
        timeout = {'timeout': datetime.timedelta(seconds=options['timeout'])} if 'timeout' in options else {}
        distributed.init_process_group(backend='gloo', **timeout)
    # FlexibleRunner takes both from its strategy, Runner from the config itself.
    is_flexible = 'strategy' in cfg
    settings, wrapper_name = (cfg.strategy, 'model_wrapper') if is_flexible else (cfg, 'model_wrapper_cfg')
    wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False)
    if not is_flexible:
        wrapper['find_unused_parameters'] = cfg.get('find_unused_parameters', False)
    settings[wrapper_name] = {**wrapper, **(settings.get(wrapper_name) or {}), 'device_ids': None}
    is_converted = settings.pop('sync_bn', None) is not None
    return _replace_sync_batchnorm(cfg.get('model')) + is_converted


def _replace_sync_batchnorm(part: Any) -> int:
    """Replace SyncBN, which DDP refuses on CPUs, by BN in a part of a config; returns how often."""
    if isinstance(part, (list, tuple)):
        return sum(map(_replace_sync_batchnorm, part))
    if not isinstance(part, dict):
        return 0
    is_sync = part.get('type') in ('SyncBN', 'MMSyncBN')
    if is_sync:
        part['type'] = 'BN'
    return is_sync + sum(map(_replace_sync_batchnorm, part.values()))


def _set_mmpretrain_loader_defaults(cfg: Config) -> None:
    """Add the data loader settings that mmpretrain's tools add."""
    for name in DATALOADERS:
        if cfg.get(name):
            defaults = ConfigDict(
                pin_memory=torch.cuda.is_available(),
                persistent_workers=cfg[name].get('num_workers', 0) > 0,
                collate_fn=dict(type='default_collate'),
            )
            cfg[name] = ConfigDict({**defaults, **cfg[name]})
