# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""One training with one seed: its command, its state on disk, its result."""

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

from mmengine.config import Config

from mmrmix.contrib.checkpoints.files import last_checkpoint
from mmrmix.contrib.cli.cfg_options import CfgOptions, read_config
from mmrmix.contrib.logs import read_log

from .experiments import IMAGENET, INSTANCES, SEGMENTATION, Experiment, Training

TOOLS = Path(__file__).parents[2] / 'tools'
CONFIGS = TOOLS.parent / 'configs'
METRICS = {key.split('/')[-1] for metrics in (IMAGENET, INSTANCES, SEGMENTATION) for key in metrics}


class Run(NamedTuple):
    """A training with a seed.

    Attributes:
        training (Training): What is trained.
        seed (int): Its random numbers.
        out (Path): Folder of all runs.
        instead (int, optional): Number of processes instead of the one that
            the config's name tells, with the same number of images a step.
        extra (tuple[str, ...]): Options of all runs.
    """

    training: Training
    seed: int
    out: Path
    instead: Optional[int] = None
    extra: Tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """str: Config and options, short and unique."""
        return training_name(self.training)

    @property
    def processes(self) -> int:
        """int: How many train together, each with a device of its own."""
        return self.instead or batch_of(self.training.config)[0]

    @property
    def images_per_step(self) -> int:
        """int: Of all processes together."""
        return math.prod(batch_of(self.training.config))

    @property
    def work_dir(self) -> Path:
        """Path: Its logs, checkpoints, output.txt and, when it is complete, result.json."""
        return self.out / self.name / f'seed{self.seed}'

    @property
    def start(self) -> Optional['Run']:
        """Run, optional: The one whose backbone it starts from."""
        return self.training.start and self._replace(training=self.training.start)

    @property
    def config(self) -> Config:
        """Config: With the options of all its seeds."""
        return load(self.training.config, self.training.options + self.extra)

    def cfg_options(self) -> List[str]:
        """What the config does not say."""
        options = [*self.training.options, *self.extra, f'randomness.seed={self.seed}']
        if 'fashion-scenes' in self.training.config and self.start is None:
            options.append('model.backbone.init_cfg=None')
        if self.start:
            checkpoint = last_checkpoint(str(self.start.work_dir))
            options.append(f'model.backbone.init_cfg.checkpoint={checkpoint}')
        if self.instead:
            options.append(f'train_dataloader.batch_size={self.images_per_step // self.processes}')
        return options

    def command(self) -> List[str]:
        """Trains, or goes on with training."""
        config = CONFIGS / self.training.config
        if self.processes == 1:
            launcher = [sys.executable, TOOLS / 'train.py', config]
        else:
            launcher = ['bash', TOOLS / 'dist_train.sh', config, self.processes]
        options = ['--resume', '--work-dir', self.work_dir, '--cfg-options', *self.cfg_options()]
        return [str(part) for part in [*launcher, *options]]

    def fingerprint(self) -> str:
        """Changes with the config, its options and those of the run that it starts from."""
        start = self.start.fingerprint() if self.start else ''
        settings = settings_of(self.training.config, self.training.options + self.extra)
        return hashlib.sha256(f'{settings} {self.processes} {start}'.encode()).hexdigest()[:16]

    def difference(self) -> str:
        """Which options the settings differ by that it was made with, where it was."""
        command = self.note('run.json').get('command', [])
        then = command[command.index('--cfg-options') + 1 :] if '--cfg-options' in command else []
        # From the seed on, options depend on it and on the machine.
        then = list(itertools.takewhile(lambda option: not option.startswith('randomness.seed='), then))
        given = [*self.training.options, *self.extra]
        lost = [option for option in then if option not in given]
        new = [option for option in given if option not in then]
        parts = []
        if lost:
            parts.append(f'They had --cfg-options {shlex.join(lost)}: give these again.')
        if new:
            parts.append(f'They had no --cfg-options {shlex.join(new)}: leave these out.')
        return ' '.join(parts) or 'Their config, or the number of processes, has changed since.'

    def state(self) -> str:
        """``'new'``, ``'started'``, ``'done'``, or ``'changed'``: made with other settings than today's."""
        if not (self.work_dir / 'run.json').is_file():
            return 'new'
        if self.note('run.json').get('fingerprint') != self.fingerprint():
            return 'changed'
        return 'done' if (self.work_dir / 'result.json').is_file() else 'started'

    def note(self, name: str) -> dict:
        """Content of one of our files in the work dir; empty if there is none."""
        path = self.work_dir / name
        try:
            return json.loads(path.read_text()) if path.is_file() else {}
        except json.JSONDecodeError as error:
            raise ValueError(f'{path} is damaged ({error}). Remove it, and the run goes on from its log.') from error

    def write(self, name: str, content: dict) -> None:
        """Write such a file, all of it or nothing."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        partial = self.work_dir / f'{name}.part'
        partial.write_text(json.dumps(content, indent=1))
        partial.replace(self.work_dir / name)

    def progress(self) -> float:
        """Share of the training that its log tells of, in [0, 1]."""
        try:
            step = read_log(self.work_dir)[-1]
        except (FileNotFoundError, IndexError):
            return 0.0
        loop = self.config.train_cfg
        if 'max_iters' in loop:
            return min(step['step'] / loop.max_iters, 1.0)
        # Evaluations count in epochs, other entries name theirs.
        return min(step.get('epoch', step['step']) / loop.max_epochs, 1.0)

    def collect(self) -> dict:
        """What the log of a complete training says: ``seconds``, and the ``last`` and ``best`` metrics.

        Raises:
            ValueError: If the log has no evaluation.
        """
        entries = read_log(self.work_dir)
        evaluations = [entry for entry in entries if 'iter' not in entry]
        if not evaluations:
            raise ValueError(
                f'The log in {self.work_dir} has no evaluation: set val_interval in {self.training.config}.'
            )
        last = {key: value for key, value in evaluations[-1].items() if key.split('/')[-1] in METRICS}
        best = {key: max(entry[key] for entry in evaluations if key in entry) for key in last}
        seconds, step = 0.0, 0
        for entry in (entry for entry in entries if 'iter' in entry):
            seconds += entry['time'] * (entry['step'] - step)
            step = entry['step']
        return dict(seconds=seconds, last=last, best=best)


def training_name(training: Training) -> str:
    """Config, options and start of a training as a file name: ``model.head.omega=0.5`` → ``omega=0.5``."""
    options = (option.partition('=') for option in training.options)
    name = ','.join([Path(training.config).stem, *(f'{key.split(".")[-1]}={value}' for key, _, value in options)])
    return f'{name},from={training_name(training.start)}' if training.start else name


def last_lines(path: Path) -> str:
    """How the output of a process that failed ends, for a message."""
    return f'{path} ends with\n' + ''.join(path.read_text().splitlines(keepends=True)[-5:])


def batch_of(config: str) -> List[int]:
    """Processes and batch size that the name of a config tells, ``…_8xb64…``."""
    return [int(number) for number in re.search(r'_(\d+)xb(\d+)', config).groups()]


_parser = argparse.ArgumentParser()
_parser.add_argument('--cfg-options', nargs='+', action=CfgOptions)


@lru_cache(maxsize=None)
def load(config: str, options: Tuple[str, ...]) -> Config:
    """A config with options of the command line."""
    given = ['--cfg-options', *options] if options else []
    return read_config(CONFIGS / config, _parser.parse_args(given).cfg_options)


@lru_cache(maxsize=None)
def settings_of(config: str, options: Tuple[str, ...]) -> str:
    """Everything that :func:`load` returns."""
    return json.dumps(load(config, options).to_dict(), sort_keys=True, default=str)


def runs_of(
    experiments: Dict[str, Experiment],
    seeds: Sequence[int],
    out: Path,
    instead: Optional[int] = None,
    extra: Tuple[str, ...] = (),
) -> List[Run]:
    """All runs of some experiments, each once, and before it the one that it starts from.

    Args:
        experiments (dict[str, Experiment]): What is asked for.
        seeds (Sequence[int]): Of every training.
        out (Path): Folder of the runs.
        instead (int, optional): See :class:`Run`.
        extra (tuple[str, ...]): See :class:`Run`.
    """
    runs: Dict[Run, None] = {}
    for seed in seeds:
        for experiment in experiments.values():
            for row in (row for group in experiment.groups for row in group.rows):
                for training in (row.training.start, row.training):
                    if training:
                        runs[Run(training, seed, out, instead, extra)] = None
    return list(runs)
