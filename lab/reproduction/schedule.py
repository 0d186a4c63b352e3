# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Running many trainings side by side."""

import fcntl
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

import torch
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from .experiments import Training
from .runs import TOOLS, Run, last_lines

POLL_SECONDS = 1.0


class Active(NamedTuple):
    """A training that is going on, since a time and from a progress."""

    process: subprocess.Popen
    devices: List[int]
    bar: TaskID
    begin: float
    progress: float

    def minutes(self, progress: float) -> Optional[float]:
        """What the whole training takes at its pace so far; None at the start."""
        gained = progress - self.progress
        return (time.monotonic() - self.begin) / 60 / gained if gained > 0 else None


@contextmanager
def only_one(out: Path) -> Iterator[int]:
    """Wait until nobody else trains in ``out``; yields the lock's file descriptor.

    Trainings inherit it. So those which a killed process left behind hold the
    lock as well, and never two of them write into one folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / '.lock').open('a') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f'Another reproduce.py, or a training that a killed one left behind, still works in {out}. '
                'Waiting for its end …',
                flush=True,
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def estimates(runs: List[Run], pace: Optional[Dict[Training, float]] = None) -> Dict[Training, Optional[float]]:
    """Minutes that each training takes; None: nobody knows.

    As it took with other seeds, else at the pace that it has now, else as
    declared, times what the measured ones took of what was declared for them.

    Args:
        runs (list[Run]): Of the trainings.
        pace (dict[Training, float], optional): Minutes of trainings that run.
    """
    measured: Dict[Training, List[float]] = {}
    for run in runs:
        result = run.note('result.json')
        if result:
            measured.setdefault(run.training, []).append(result['seconds'] / 60)
    known = {**(pace or {}), **{training: statistics.mean(values) for training, values in measured.items()}}
    factors = [minutes / training.minutes for training, minutes in known.items() if training.minutes]
    factor = statistics.mean(factors) if factors else 1.0
    return {
        run.training: known.get(run.training, run.training.minutes and run.training.minutes * factor) for run in runs
    }


def minutes_left(runs: List[Run], jobs: int, minutes: Dict[Training, Optional[float]]) -> Optional[float]:
    """What the runs that are not done take together, ``jobs`` processes at once."""
    left = [(minutes[run.training], run.processes * (1 - run.progress())) for run in runs if run.state() != 'done']
    if any(each is None for each, _ in left):
        return None
    return sum(each * share for each, share in left) / jobs


def duration(minutes: Optional[float]) -> str:
    """For people."""
    if minutes is None:
        return 'unknown'
    return f'{minutes:.0f} min' if minutes < 120 else f'{minutes / 60:.1f} h'


class Schedule:
    """Runs what is missing, in order, as many at once as there are devices.

    A run starts when the one that it needs is done and enough devices are
    free. What fails is reported at the end; runs that need it are left out.

    Args:
        runs (list[Run]): In the order of their importance.
        jobs (int): Processes at once.
    """

    def __init__(self, runs: List[Run], jobs: int) -> None:
        self.runs = runs
        self.gpus = torch.cuda.device_count()
        self.free = list(range(jobs))
        self.jobs = jobs
        self.active: Dict[Run, Active] = {}
        self.errors: Dict[Run, str] = {}
        self.waiting = [run for run in runs if run.state() != 'done']

    def execute(self, lock: int) -> Dict[Run, str]:
        """Run everything.

        Args:
            lock (int): File descriptor for the processes to inherit.

        Returns:
            dict[Run, str]: What failed, and why.
        """
        columns = (
            SpinnerColumn(),
            TextColumn('{task.description}'),
            BarColumn(),
            TextColumn('{task.percentage:>3.0f}%'),
            TextColumn('elapsed'),
            TimeElapsedColumn(),
        )
        with Progress(*columns) as progress:
            self.bars = progress
            whole = progress.add_task('all runs', total=len(self.runs))
            try:
                while self.waiting or self.active:
                    self._start_next(lock)
                    time.sleep(POLL_SECONDS)
                    self._look_after()
                    running = sum(run.progress() for run in self.active)
                    text = f'{len(self.runs)} runs, {self._left()} left'
                    progress.update(whole, completed=self._num_done() + running, description=text)
                    for run, active in self.active.items():
                        state = '' if run.progress() > active.progress else ': starting …'
                        name = f'{run.name}, seed {run.seed}{state}'
                        progress.update(active.bar, completed=run.progress(), description=name)
            finally:
                for active in self.active.values():
                    active.process.terminate()
                for active in self.active.values():
                    active.process.wait()
        return self.errors

    def _start_next(self, lock: int) -> None:
        for run in list(self.waiting):
            start = run.start
            if start in self.errors:
                self.waiting.remove(run)
                self.errors[run] = f'{run.work_dir} needs {start.work_dir}, which failed.'
            elif start in self.waiting or start in self.active:
                continue
            elif run.processes > len(self.free):
                # Later runs do not overtake, or a large one would wait for ever.
                return
            else:
                self.waiting.remove(run)
                self._start(run, lock)

    def _start(self, run: Run, lock: int) -> None:
        devices, self.free = self.free[: run.processes], self.free[run.processes :]
        environment = {**os.environ, 'PYTHON': sys.executable, 'PYTHONPATH': str(TOOLS.parent)}
        if self.gpus:
            environment['CUDA_VISIBLE_DEVICES'] = ','.join(str(device % self.gpus) for device in devices)
            environment['PORT'] = str(29500 + devices[0])
        else:
            environment.update(OMP_NUM_THREADS='1')
        command = run.command()
        run.write('run.json', dict(fingerprint=run.fingerprint(), command=command))
        with (run.work_dir / 'output.txt').open('a') as output:
            process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, pass_fds=(lock,)
            )
        bar = self.bars.add_task(f'{run.name}, seed {run.seed}', total=1.0)
        self.active[run] = Active(process, devices, bar, time.monotonic(), run.progress())

    def _look_after(self) -> None:
        for run, active in list(self.active.items()):
            code = active.process.poll()
            if code is None:
                continue
            del self.active[run]
            self.free = sorted([*self.free, *active.devices])
            self.bars.remove_task(active.bar)
            error = self._finish(run, code)
            if error:
                self.errors[run] = error
                self.bars.console.print(f'{run.name}, seed {run.seed}: FAILED')

    def _finish(self, run: Run, code: int) -> str:
        """Write the result of a run that has ended; returns what is wrong with it."""
        if code:
            return f'{run.work_dir} failed (exit code {code}); {last_lines(run.work_dir / "output.txt")}'
        try:
            result = run.collect()
        except (ValueError, KeyError, FileNotFoundError) as error:
            return f'{run.work_dir} ended without a result: {error}'
        run.write('result.json', result)
        metrics = ', '.join(f'{key} {value:.4g}' for key, value in result['last'].items())
        counts = f'{self._num_done()} of {len(self.runs)}, {self._left()} left'
        self.bars.console.print(f'{counts}: {run.name}, seed {run.seed}: {metrics}', soft_wrap=True)
        return ''

    def _num_done(self) -> int:
        return len(self.runs) - len(self.waiting) - len(self.active) - len(self.errors)

    def _left(self) -> str:
        pace = {run.training: active.minutes(run.progress()) for run, active in self.active.items()}
        minutes = estimates(self.runs, {training: value for training, value in pace.items() if value})
        return duration(minutes_left([*self.waiting, *self.active], self.jobs, minutes))
