# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""A run: its command, its state on disk, its result."""

import argparse
import hashlib
import itertools
import json
import math
import re
import shlex
import sys
from functools import lru_cache
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import pandas as pd
from mmengine.config import Config

from mmrmix.contrib.checkpoints.files import last_checkpoint, write_atomically
from mmrmix.contrib.cli.cfg_options import CfgOptions, read_config
from mmrmix.contrib.logs import read_log

from .experiments import IMAGENET, INSTANCES, SEGMENTATION, Experiment, Recipe

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'
METRICS = {key.split('/')[-1] for metrics in (IMAGENET, INSTANCES, SEGMENTATION) for key in metrics}


class Run(NamedTuple):
    """A recipe with a seed.

    Attributes:
        recipe (Recipe): Config, options and initial backbone.
        seed (int): Seed of the random numbers.
        out (Path): Folder of all runs.
        gpus_per_run (int, optional): Number of processes; the number of
            images in a step stays the same. Defaults to None: the number in
            the config's name.
        extra (tuple[str, ...]): ``--cfg-options`` of all runs.
    """

    recipe: Recipe
    seed: int
    out: Path
    gpus_per_run: Optional[int] = None
    extra: Tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """str: Config and options, short and unique."""
        return recipe_name(self.recipe)

    @property
    def processes(self) -> int:
        """int: Number of processes, each with a device of its own."""
        return self.gpus_per_run or batch_of(self.recipe.config)[0]

    @property
    def images_per_step(self) -> int:
        """int: Batch size summed over the processes."""
        return math.prod(batch_of(self.recipe.config))

    @property
    def work_dir(self) -> Path:
        """Path: Logs, checkpoints, output.txt and, once the run is complete, result.json."""
        return self.out / self.name / f'seed{self.seed}'

    @property
    def start(self) -> Optional['Run']:
        """Run, optional: The run whose backbone it starts from."""
        return self.recipe.start and self._replace(recipe=self.recipe.start)

    @property
    def config(self) -> Config:
        """Config: With the options that all seeds share."""
        return load(self.recipe.config, self.recipe.options + self.extra)

    def cfg_options(self) -> List[str]:
        """Settings that differ from the config file."""
        options = [*self.recipe.options, *self.extra, f'randomness.seed={self.seed}']
        if 'fashion-scenes' in self.recipe.config and self.start is None:
            options.append('model.backbone.init_cfg=None')
        if self.start:
            keeps_best = self.start.config.default_hooks.checkpoint.get('save_best')
            work_dir = self.start.work_dir
            checkpoint = work_dir / 'best_*.pth' if keeps_best else last_checkpoint(str(work_dir))
            options.append(f'model.backbone.init_cfg.checkpoint={checkpoint}')
        if self.gpus_per_run:
            options.append(f'train_dataloader.batch_size={self.images_per_step // self.processes}')
        return options

    def command(self) -> List[str]:
        """Command line that starts or resumes the run."""
        config = CONFIGS / self.recipe.config
        if self.processes == 1:
            launcher = [sys.executable, ROOT / 'tools/train.py', config]
        else:
            launcher = ['bash', ROOT / 'tools/dist_train.sh', config, self.processes]
        options = ['--resume', '--work-dir', self.work_dir, *['--amp'] * self.recipe.amp]
        options += ['--cfg-options', *self.cfg_options()]
        return [str(part) for part in [*launcher, *options]]

    def fingerprint(self) -> str:
        """Hash of the config, its options, and those of the run that it starts from."""
        start = self.start.fingerprint() if self.start else ''
        settings = settings_of(self.recipe.config, self.recipe.options + self.extra)
        amp = ' amp' * self.recipe.amp
        return hashlib.sha256(f'{settings} {self.processes} {start}{amp}'.encode()).hexdigest()[:16]

    def mismatch(self) -> str:
        """Sentences about the options by which the run on disk differs from this one."""
        command = self.read('run.json').get('command', [])
        recorded = command[command.index('--cfg-options') + 1 :] if '--cfg-options' in command else []
        # From the seed on, options depend on it and on the machine.
        recorded = list(itertools.takewhile(lambda option: not option.startswith('randomness.seed='), recorded))
        given = [*self.recipe.options, *self.extra]
        missing = [option for option in recorded if option not in given]
        new = [option for option in given if option not in recorded]
        parts = []
        if missing:
            parts.append(f'They had --cfg-options {shlex.join(missing)}: give these again.')
        if new:
            parts.append(f'They had no --cfg-options {shlex.join(new)}: leave these out.')
        return ' '.join(parts) or 'Their config, precision or number of processes has changed since.'

    def state(self) -> str:
        """``'new'``, ``'started'``, ``'done'``, or ``'changed'``: made with settings that differ from today's."""
        if not (self.work_dir / 'run.json').is_file():
            return 'new'
        if self.read('run.json').get('fingerprint') != self.fingerprint():
            return 'changed'
        return 'done' if (self.work_dir / 'result.json').is_file() else 'started'

    def read(self, name: str) -> dict:
        """Content of run.json or result.json; empty if the file is missing."""
        path = self.work_dir / name
        try:
            return json.loads(path.read_text()) if path.is_file() else {}
        except json.JSONDecodeError as error:
            raise ValueError(f'{path} is damaged ({error}). Remove it, and the run resumes from its log.') from error

    def write(self, name: str, content: dict) -> None:
        """Write run.json or result.json, completely or not at all."""
        write_atomically(self.work_dir / name, json.dumps(content, indent=1).encode())

    def progress(self) -> float:
        """Share of the run that is logged, in [0, 1]."""
        try:
            entry = read_log(self.work_dir)[-1]
        except (FileNotFoundError, IndexError):
            return 0.0
        loop = self.config.train_cfg
        if 'max_iters' in loop:
            return min(entry['step'] / loop.max_iters, 1.0)
        # The step of an evaluation is its epoch; other entries name theirs.
        return min(entry.get('epoch', entry['step']) / loop.max_epochs, 1.0)

    def collect(self) -> dict:
        """Result of a complete run from its log: ``seconds``, and the ``last`` and ``best`` metrics.

        Raises:
            ValueError: If the log has no evaluation.
        """
        entries = read_log(self.work_dir)
        evaluations = [entry for entry in entries if 'iter' not in entry]
        if not evaluations:
            raise ValueError(f'The log in {self.work_dir} has no evaluation: set val_interval in {self.recipe.config}.')
        metrics = pd.DataFrame(evaluations)[[key for key in evaluations[-1] if key.split('/')[-1] in METRICS]]
        steps = pd.DataFrame([entry for entry in entries if 'iter' in entry], columns=['step', 'time'])
        # ``time`` is the mean over the steps since the previous entry.
        num_steps = steps['step'].diff().fillna(steps['step'])
        return dict(
            seconds=float((steps['time'] * num_steps).sum()),
            last=metrics.iloc[-1].to_dict(),
            best=metrics.max().to_dict(),
        )


def recipe_name(recipe: Recipe) -> str:
    """Config, options and start of a recipe as a file name: ``model.head.omega=0.5`` → ``omega=0.5``."""
    # Of ``torchvision://resnet50`` and paths, the last part.
    options = (option.partition('=') for option in recipe.options)
    name = ','.join(
        [Path(recipe.config).stem, *(f'{key.split(".")[-1]}={value.split("/")[-1]}' for key, _, value in options)]
    )
    return f'{name},from={recipe_name(recipe.start)}' if recipe.start else name


def last_lines(path: Path) -> str:
    """End of the output of a failed process, for a message."""
    return f'{path} ends with\n' + ''.join(path.read_text().splitlines(keepends=True)[-5:])


def batch_of(config: str) -> List[int]:
    """Number of processes and batch size in the name of a config, ``…_8xb64…``."""
    return [int(number) for number in re.search(r'_(\d+)xb(\d+)', config).groups()]


_parser = argparse.ArgumentParser()
_parser.add_argument('--cfg-options', nargs='+', action=CfgOptions)


@lru_cache(maxsize=None)
def load(config: str, options: Tuple[str, ...]) -> Config:
    """A config below configs/ with ``--cfg-options``."""
    given = ['--cfg-options', *options] if options else []
    return read_config(CONFIGS / config, _parser.parse_args(given).cfg_options)


@lru_cache(maxsize=None)
def settings_of(config: str, options: Tuple[str, ...]) -> str:
    """All settings that :func:`load` returns, as one string."""
    return json.dumps(load(config, options).to_dict(), sort_keys=True, default=str)


def runs_of(
    experiments: Dict[str, Experiment],
    seeds: Sequence[int],
    out: Path,
    gpus_per_run: Optional[int] = None,
    extra: Tuple[str, ...] = (),
) -> List[Run]:
    """All runs of some experiments, each once, after the run that it starts from.

    Args:
        experiments (dict[str, Experiment]): Experiments by name.
        seeds (Sequence[int]): Seeds of every recipe.
        out (Path): Folder of the runs.
        gpus_per_run (int, optional): See :class:`Run`.
        extra (tuple[str, ...]): See :class:`Run`.
    """
    runs: Dict[Run, None] = {}
    for seed in seeds:
        for experiment in experiments.values():
            for row in (row for group in experiment.groups for row in group.rows):
                for recipe in filter(None, (row.recipe.start, row.recipe)):
                    runs[Run(recipe, seed, out, gpus_per_run, extra)] = None
    return list(runs)
