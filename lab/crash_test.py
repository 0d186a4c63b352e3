# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Kill a run again and again, resume it, and compare it with an uninterrupted one.

python lab/crash_test.py CONFIG --kills 20
python lab/crash_test.py CONFIG --kills 10 --processes 2 --cfg-options train_cfg.max_epochs=8

Trains CONFIG once without interruption. Then trains it again and kills it
(SIGKILL) at random moments: while it starts, in the middle of a step, while it
writes a checkpoint; either all processes, or one, and the others have to stop
by themselves. After every kill the run is resumed as a user would do it, and
the checkpoint that it resumes from is compared bit by bit with that of the
uninterrupted run. Prints a table; the exit status is 1 if anything differs.
"""

import argparse
import atexit
import os
import random
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, List, NamedTuple, Optional

import psutil
from mmengine.runner import find_latest_checkpoint

from mmrmix.contrib.checkpoints.files import are_equal
from mmrmix.contrib.cli.screen import errors_as_sentences
from mmrmix.contrib.logs import read_log

ROOT = Path(__file__).resolve().parents[1]
# CheckpointHook logs this right before the first step.
STARTED = 'Checkpoints will be saved to'
# Logged values that differ in every run.
TIMES = ('time', 'data_time', 'memory', 'eta')
# Shares of the kills that hit the start and the writing of a checkpoint.
AT_START, AT_SAVE = 0.2, 0.2
COLUMNS = ('kill', 'moment', 'killed', 'resumed from', 'equal', 'time lost')


class Kill(NamedTuple):
    """A kill: when, which processes, and the seconds of training lost."""

    moment: str
    victims: str
    lost: float


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of a config with mmrmix.ReseedHook and SafeCheckpointHook')
    parser.add_argument('--kills', type=int, default=20, help='number of kills (%(default)s)')
    parser.add_argument('--processes', type=int, default=1, help='processes of the run (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the random moments (%(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/crash_test'), help='(%(default)s)')
    parser.add_argument('--port', type=int, default=29600, help='first port of the processes (%(default)s)')
    parser.add_argument(
        '--timeout',
        type=float,
        default=120,
        help='seconds until the survivors of a kill must have stopped (%(default)s)',
    )
    parser.add_argument('--out', type=Path, help='append the table to this Markdown file')
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE', help='as in tools/train.py'
    )
    return parser.parse_args()


class TrainProcess:
    """A training process, or several, in the background.

    Args:
        args (argparse.Namespace): Arguments of this script.
        work_dir (Path): Work dir of the run.
        attempt (int): Number of the process; each has its own port and
            ``output_<attempt>.txt`` in the work dir.
    """

    def __init__(self, args: argparse.Namespace, work_dir: Path, attempt: int = 0) -> None:
        work_dir.mkdir(parents=True, exist_ok=True)
        self.work_dir = work_dir
        launcher = [sys.executable, ROOT / 'tools/train.py', args.config]
        if args.processes > 1:
            launcher = ['bash', ROOT / 'tools/dist_train.sh', args.config, args.processes]
        # The comparison needs all checkpoints.
        options = ['--cfg-options', *args.cfg_options, 'default_hooks.checkpoint.max_keep_ckpts=-1']
        paths = f'{ROOT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}'
        environment = {**os.environ, 'PYTHON': sys.executable, 'PYTHONPATH': paths, 'PORT': str(args.port + attempt)}
        self.output = work_dir / f'output_{attempt}.txt'
        self.begin = time.monotonic()
        self.start: Optional[float] = None
        with self.output.open('w') as file:
            self.process = psutil.Popen(
                [str(part) for part in [*launcher, '--work-dir', work_dir, '--resume', *options]],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        atexit.register(self.stop)  # Nothing keeps training behind an interrupted script.

    @property
    def text(self) -> str:
        """str: What the process has printed."""
        return self.output.read_text(errors='replace')

    @property
    def is_running(self) -> bool:
        """bool: Whether the process has not ended."""
        return self.process.poll() is None

    def wait_for_start(self) -> float:
        """Wait for the first step; returns the seconds since the process began."""
        while self.is_running and STARTED not in self.text:
            time.sleep(0.05)
        self.start = time.monotonic() - self.begin
        return self.start

    def wait_for_save(self, seconds: float) -> bool:
        """Wait until a checkpoint is being written; returns False if none was."""
        end = time.monotonic() + seconds
        while self.is_running and time.monotonic() < end:
            if any(self.work_dir.glob('.*.pth.*.tmp')):
                return True
            time.sleep(0.0005)
        return False

    def wait(self) -> None:
        """Wait for the end; stops the script if the run failed."""
        if self.process.wait():
            sys.exit(f'The run failed without being killed:\n{self.text[-4000:]}')

    def stop(self) -> None:
        """Kill the process and its descendants."""
        if self.is_running:
            # Workers of torchrun are in sessions of their own.
            family = [*self.process.children(recursive=True), self.process]
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(family)

    def kill(self, generator: random.Random, timeout: float) -> str:
        """Kill all processes, or one worker; returns which."""
        workers = sorted(self.process.children(), key=lambda process: process.pid)
        if len(workers) < 2 or generator.random() < 0.5:
            self.stop()
            return 'all'
        rank = generator.randrange(len(workers))
        workers[rank].kill()
        begin = time.monotonic()
        try:
            self.process.wait(timeout)
        except psutil.TimeoutExpired:
            sys.exit(f'Process {rank} was killed, and the others still wait for it after {timeout} s.')
        return f'process {rank}; the others stopped after {time.monotonic() - begin:.1f} s'


def kill_once(
    process: TrainProcess, limit: float, left: float, generator: random.Random, timeout: float
) -> Optional[Kill]:
    """Kill a process at a random moment.

    Args:
        process (TrainProcess): A process that has just started.
        limit (float): Latest moment, in seconds of training.
        left (float): Seconds of training until the end of the run.
        generator (random.Random): Chooses the moment and the victim.
        timeout (float): Seconds until the survivors must have stopped.

    Returns:
        Kill or None: None if the run ended before.
    """
    kind = generator.random()
    if kind < AT_START:
        time.sleep(generator.uniform(0, 6))
        moment = 'at the start'
    else:
        process.wait_for_start()
        begin = time.monotonic()
        if kind < AT_START + AT_SAVE and process.wait_for_save(left / 2):
            moment = 'while a checkpoint was written'
        else:
            time.sleep(generator.uniform(0, limit))
            moment = 'while training'
        moment += f', {time.monotonic() - begin:.1f} s after the start'
    if not process.is_running:
        process.wait()
        return None
    # Since the last checkpoint, or since the process began if it wrote none.
    last = find_latest_checkpoint(str(process.work_dir))
    saved = Path(last).stat().st_mtime if last and Path(last).exists() else 0
    lost = min(time.time() - saved, time.monotonic() - process.begin)
    return Kill(moment, process.kill(generator, timeout), lost)


def logged(work_dir: Path) -> List[dict]:
    """Log of a run without durations."""
    return [{k: v for k, v in entry.items() if not k.endswith(TIMES)} for entry in read_log(work_dir)]


def resumed_from(text: str) -> Optional[str]:
    """Name of the checkpoint that a process resumed from, according to its output."""
    found = re.search(r'Load checkpoint from (\S+)', text)
    return found and Path(found[1]).name


def progress(work_dir: Path) -> int:
    """Number in the name of the last checkpoint."""
    last = work_dir / 'last_checkpoint'
    numbers = re.findall(r'\d+', Path(last.read_text()).name) if last.exists() else []
    return int(numbers[-1]) if numbers else 0


def crash_and_resume(args: argparse.Namespace, unbroken: Path, broken: Path, seconds: float) -> List[bool]:
    """Train again with kills, and print a line of the table for each.

    Args:
        args (argparse.Namespace): Arguments of this script.
        unbroken (Path): Work dir of the uninterrupted run.
        broken (Path): Work dir of this run.
        seconds (float): Duration of training in the uninterrupted run.

    Returns:
        list[bool]: Whether the run resumed from an equal checkpoint, by kill.
    """
    generator = random.Random(args.seed)
    kills: List[Kill] = []
    equal: List[bool] = []
    while True:
        process = TrainProcess(args, broken, attempt=len(kills) + 1)
        if len(kills) < args.kills:
            left = seconds * (1 - progress(broken) / progress(unbroken))
            limit = min(2 * left / (args.kills - len(kills) + 1), 0.8 * left)
            kill = kill_once(process, limit, left, generator, args.timeout)
        else:
            kill = None
            process.wait_for_start()
        # A process killed before its first step does not say where it resumed from; the next one does.
        if STARTED in process.text:
            source = resumed_from(process.text)
            for number in range(len(equal), len(kills)):
                is_equal = source is None or are_equal(broken / source, unbroken / source)
                equal.append(is_equal)
                lost = kills[number].lost + (process.start or 0) * (number == len(kills) - 1)
                show(args, number + 1, *kills[number][:2], source or 'the beginning', is_equal, f'{lost:.0f} s')
        if kill is None:
            process.wait()
            return equal
        kills.append(kill)


def show(args: argparse.Namespace, *cells: Any) -> None:
    """Print a line of the table, and append it to the file of ``--out``."""
    texts = (('no', 'yes')[cell] if isinstance(cell, bool) else str(cell) for cell in cells)
    line = f'| {" | ".join(texts)} |'
    print(line, flush=True)
    if args.out:
        with args.out.open('a') as file:
            file.write(line + '\n')


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    unbroken, broken = (args.work_dir / f'{args.processes}_{name}' for name in ('unbroken', 'broken'))
    for folder in filter(Path.exists, (unbroken, broken)):
        sys.exit(f'{folder} exists already: remove it, or choose another --work-dir.')

    print(f'Training without interruption in {unbroken} …', flush=True)
    process = TrainProcess(args, unbroken)
    start = process.wait_for_start()
    process.wait()
    seconds = time.monotonic() - process.begin - start
    if not progress(unbroken):
        sys.exit(f'{unbroken} has no numbered checkpoint to resume from: save more often.')
    print(f'It took {start:.0f} s to start and {seconds:.0f} s to train.\n', flush=True)

    show(args, *COLUMNS)
    show(args, *['---'] * len(COLUMNS))
    begin = time.monotonic()
    equal = crash_and_resume(args, unbroken, broken, seconds)
    last = Path(find_latest_checkpoint(str(unbroken))).name
    is_equal = are_equal(broken / last, unbroken / last)
    show(args, 'end', 'all logged values', '', '', logged(broken) == logged(unbroken), '')
    show(args, 'end', 'weights and optimizer', '', last, is_equal, f'{time.monotonic() - begin - seconds:.0f} s')
    if len(equal) < args.kills:
        sys.exit(f'Only {len(equal)} of {args.kills} kills hit before the run ended: train longer.')
    if not all(equal) or not is_equal or logged(broken) != logged(unbroken):
        sys.exit('Not everything is equal.')
    print(f'Kills: {args.kills}. Everything is equal.')


if __name__ == '__main__':
    main()
