# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Executing many runs side by side."""

import fcntl
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

import torch
from rich.progress import Progress, SpinnerColumn, TaskID, TimeElapsedColumn

from .experiments import Recipe
from .runs import ROOT, Run, last_lines

POLL_SECONDS = 1.0


class Active(NamedTuple):
    """A run in progress.

    Attributes:
        process (Popen): Its process.
        devices (list[int]): Numbers of the devices that it occupies.
        bar (TaskID): Its progress bar.
        begin (float): Time of its start, in seconds.
        progress (float): Its progress at that time, in [0, 1].
        result (Future, optional): What :func:`finish` returns.
    """

    process: subprocess.Popen
    devices: List[int]
    bar: TaskID
    begin: float
    progress: float
    result: Optional[Future] = None

    def minutes(self, progress: float) -> Optional[float]:
        """Duration of the whole run at its pace so far; None at the start."""
        gained = progress - self.progress
        return (time.monotonic() - self.begin) / 60 / gained if gained > 0 else None


@contextmanager
def folder_lock(out: Path) -> Iterator[int]:
    """Wait until no other process trains in ``out``; yields the lock's file descriptor.

    Runs inherit it, so those that a killed process left behind hold the lock
    as well. (filelock unlocks explicitly, also for the processes that
    inherited the lock, hence flock itself.)
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / '.lock').open('a') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f'Another reproduce.py, or a run that a killed one left behind, is still training in {out}. '
                'Waiting for it to end …',
                flush=True,
            )
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def estimates(runs: List[Run], pace: Optional[Dict[Recipe, float]] = None) -> Dict[Recipe, Optional[float]]:
    """Minutes that each recipe takes; None if unknown.

    The mean of the seeds that are done, else the current pace, else the
    declared minutes times the mean ratio of measured to declared ones.

    Args:
        runs (list[Run]): Runs of the recipes.
        pace (dict[Recipe, float], optional): Minutes of those in progress.
    """
    measured: Dict[Recipe, List[float]] = {}
    for run in runs:
        result = run.read('result.json')
        if result:
            measured.setdefault(run.recipe, []).append(result['seconds'] / 60)
    known = {**(pace or {}), **{recipe: statistics.mean(values) for recipe, values in measured.items()}}
    factors = [minutes / recipe.minutes for recipe, minutes in known.items() if recipe.minutes]
    factor = statistics.mean(factors) if factors else 1.0
    return {run.recipe: known.get(run.recipe, run.recipe.minutes and run.recipe.minutes * factor) for run in runs}


def minutes_left(runs: List[Run], jobs: int, minutes: Dict[Recipe, Optional[float]]) -> Optional[float]:
    """Minutes until all runs are done, with ``jobs`` processes at once; None if unknown."""
    left = [(minutes[run.recipe], run.processes * (1 - run.progress())) for run in runs if run.state() != 'done']
    if any(each is None for each, _ in left):
        return None
    return sum(each * share for each, share in left) / jobs


def duration(minutes: Optional[float]) -> str:
    """Minutes or hours as text."""
    if minutes is None:
        return 'unknown'
    return f'{minutes:.0f} min' if minutes < 120 else f'{minutes / 60:.1f} h'


def finish(run: Run, process: subprocess.Popen) -> dict:
    """Wait for the process of a run and write result.json.

    Returns:
        dict: Content of result.json.

    Raises:
        RuntimeError: If the run failed or logged no result.
    """
    code = process.wait()
    if code:
        raise RuntimeError(f'{run.work_dir} failed (exit code {code}); {last_lines(run.work_dir / "output.txt")}')
    try:
        result = run.collect()
    except (ValueError, KeyError, FileNotFoundError) as error:
        raise RuntimeError(f'{run.work_dir} ended without a result: {error}') from error
    run.write('result.json', result)
    return result


class Schedule:
    """Runs everything that is missing, in order, as many at once as there are devices.

    A run starts when the run that it starts from is done and enough devices
    are free. Failures are reported at the end; runs that need them are
    skipped.

    Args:
        runs (list[Run]): Most important first.
        jobs (int): Processes at once.
    """

    def __init__(self, runs: List[Run], jobs: int) -> None:
        self.runs = runs
        self.jobs = jobs
        self.gpus = torch.cuda.device_count()
        self.free = list(range(jobs))
        self.active: Dict[Run, Active] = {}
        self.errors: Dict[Run, str] = {}
        self.waiting = [run for run in runs if run.state() != 'done']

    def execute(self, lock: int) -> Dict[Run, str]:
        """Run everything.

        Args:
            lock (int): File descriptor that the processes inherit.

        Returns:
            dict[Run, str]: Failed run → reason.
        """
        description, bar, percentage, _ = Progress.get_default_columns()
        columns = (SpinnerColumn(), description, bar, percentage, TimeElapsedColumn())
        with Progress(*columns) as self.bars, ThreadPoolExecutor(self.jobs) as self.pool:
            total = self.bars.add_task('all runs', total=len(self.runs))
            try:
                while self.waiting or self.active:
                    self._start_next(lock)
                    wait([active.result for active in self.active.values()], POLL_SECONDS, FIRST_COMPLETED)
                    for run in [run for run, active in self.active.items() if active.result.done()]:
                        self._end(run)
                    self._show_progress(total)
            finally:
                for active in self.active.values():
                    active.process.terminate()
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
                # Later runs do not overtake, or a large one would wait forever.
                return
            else:
                self.waiting.remove(run)
                self._start(run, lock)

    def _start(self, run: Run, lock: int) -> None:
        devices, self.free = self.free[: run.processes], self.free[run.processes :]
        environment = {**os.environ, 'PYTHON': sys.executable, 'PYTHONPATH': str(ROOT)}
        if self.gpus:
            environment['CUDA_VISIBLE_DEVICES'] = ','.join(str(device % self.gpus) for device in devices)
            environment['PORT'] = str(29500 + devices[0])
        else:
            environment['OMP_NUM_THREADS'] = '1'
        command, progress = run.command(), run.progress()
        run.write('run.json', dict(fingerprint=run.fingerprint(), command=command))
        with (run.work_dir / 'output.txt').open('a') as output:
            process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, pass_fds=(lock,)
            )
        bar = self.bars.add_task(f'{run.name}, seed {run.seed}', total=1.0)
        result = self.pool.submit(finish, run, process)
        self.active[run] = Active(process, devices, bar, time.monotonic(), progress, result)

    def _end(self, run: Run) -> None:
        active = self.active.pop(run)
        self.free = sorted([*self.free, *active.devices])
        self.bars.remove_task(active.bar)
        error = active.result.exception()
        if error:
            self.errors[run] = str(error)
            text = 'FAILED'
        else:
            text = ', '.join(f'{key} {value:.4g}' for key, value in active.result.result()['last'].items())
        counts = f'{self._num_done()} of {len(self.runs)}, {self._left()} left'
        self.bars.console.print(f'{counts}: {run.name}, seed {run.seed}: {text}', soft_wrap=True)

    def _show_progress(self, total: TaskID) -> None:
        progress = {run: run.progress() for run in self.active}
        text = f'{len(self.runs)} runs, {self._left()} left'
        self.bars.update(total, completed=self._num_done() + sum(progress.values()), description=text)
        for run, active in self.active.items():
            state = '' if progress[run] > active.progress else ': starting …'
            self.bars.update(active.bar, completed=progress[run], description=f'{run.name}, seed {run.seed}{state}')

    def _num_done(self) -> int:
        return len(self.runs) - len(self.waiting) - len(self.active) - len(self.errors)

    def _left(self) -> str:
        pace = {run.recipe: active.minutes(run.progress()) for run, active in self.active.items()}
        minutes = estimates(self.runs, {recipe: value for recipe, value in pace.items() if value})
        return duration(minutes_left([*self.waiting, *self.active], self.jobs, minutes))
