# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Kill a training again and again, resume it, and compare it with an unbroken one.

python lab/crash_test.py CONFIG --kills 20
python lab/crash_test.py CONFIG --kills 10 --processes 2 --cfg-options train_cfg.max_epochs=8

Trains CONFIG once without a break. Then trains it again and kills it
(SIGKILL) at random moments: while it starts, in the middle of steps, while it
writes a checkpoint; all processes, or one of them, whereupon the others have
to stop by themselves. After every kill it is resumed as a user would do, and
the checkpoint it resumes from is compared with the same one of the unbroken
run, to the bit. Prints a table; the exit status is 1 if anything differs.
"""

import argparse
import atexit
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, List, NamedTuple, Optional

from mmengine.runner import find_latest_checkpoint

from mmrmix.contrib.checkpoints.files import are_equal
from mmrmix.contrib.cli.screen import errors_as_sentences
from mmrmix.contrib.logs import read_log

ROOT = Path(__file__).resolve().parents[1]
# CheckpointHook logs it right before the first step.
STARTED = 'Checkpoints will be saved to'
# Logged values that no two runs have in common.
TIMES = ('time', 'data_time', 'memory', 'eta')
# Parts of the kills that hit the start and the writing of a checkpoint.
AT_START, AT_SAVE = 0.2, 0.2
HEADER = '| kill | moment | killed | resumed from | equal | time lost |\n|---|---|---|---|---|---|'


class Kill(NamedTuple):
    """What a kill hit, and what it cost."""

    moment: str
    victims: str
    lost: float


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of the config; it should have mmrmix.ReseedHook and SafeCheckpointHook')
    parser.add_argument('--kills', type=int, default=20, help='how often to kill (%(default)s)')
    parser.add_argument('--processes', type=int, default=1, help='processes of the training (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the moments to kill at (%(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/crash_test'), help='(%(default)s)')
    parser.add_argument('--port', type=int, default=29600, help='of the processes (%(default)s)')
    parser.add_argument('--timeout', type=float, default=120, help='seconds that survivors have to stop (%(default)s)')
    parser.add_argument('--out', type=Path, help='append the table to this Markdown file')
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE', help='as of tools/train.py'
    )
    return parser.parse_args()


class Training:
    """A training process (or some) that runs in the background.

    Args:
        args (argparse.Namespace): Of the tool.
        work_dir (Path): Where it trains; its output is appended to
            ``output.txt`` in there.
        attempt (int): Its number. Every one has a port of its own.
    """

    def __init__(self, args: argparse.Namespace, work_dir: Path, attempt: int = 0) -> None:
        work_dir.mkdir(parents=True, exist_ok=True)
        self.work_dir = work_dir
        command = [sys.executable, ROOT / 'tools/train.py', args.config]
        if args.processes > 1:
            command = ['bash', ROOT / 'tools/dist_train.sh', args.config, args.processes]
        # All checkpoints are needed for the comparison.
        options = [*args.cfg_options, 'default_hooks.checkpoint.max_keep_ckpts=-1']
        command += ['--work-dir', work_dir, '--resume', '--cfg-options', *options]
        paths = f'{ROOT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}'
        environment = {**os.environ, 'PYTHON': sys.executable, 'PYTHONPATH': paths, 'PORT': str(args.port + attempt)}
        self.output = work_dir / 'output.txt'
        self.offset = self.output.stat().st_size if self.output.exists() else 0
        self.begin = time.monotonic()
        self.start: Optional[float] = None
        with self.output.open('ab') as file:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        # Nothing trains on behind an interrupted tool.
        atexit.register(self.stop)

    @property
    def text(self) -> str:
        """str: What it has printed since it was started."""
        with self.output.open('rb') as file:
            file.seek(self.offset)
            return file.read().decode(errors='replace')

    @property
    def is_running(self) -> bool:
        """bool: Whether it has not ended yet."""
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
        """Wait for the end; stops the tool if the training failed."""
        if self.process.wait():
            sys.exit(f'The training failed, and not because it was killed:\n{self.text[-4000:]}')

    def stop(self) -> None:
        """Kill all of its processes."""
        if self.is_running:
            # torchrun's workers are in sessions of their own.
            for pid in [*_children(self.process.pid), self.process.pid]:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def kill(self, generator: random.Random, timeout: float) -> str:
        """Kill all processes, or one worker; returns which."""
        workers = _children(self.process.pid)
        if len(workers) < 2 or generator.random() < 0.5:
            self.stop()
            return 'all'
        rank = generator.randrange(len(workers))
        os.kill(workers[rank], signal.SIGKILL)
        begin = time.monotonic()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            sys.exit(f'Process {rank} was killed, and the others still wait for it after {timeout} s.')
        return f'process {rank}; the others stopped after {time.monotonic() - begin:.1f} s'


def _children(pid: int) -> List[int]:
    """Process ids of the processes that this one started, by age."""
    path = Path(f'/proc/{pid}/task/{pid}/children')
    return sorted(int(child) for child in path.read_text().split()) if path.exists() else []


def kill_once(
    training: Training, limit: float, left: float, generator: random.Random, timeout: float
) -> Optional[Kill]:
    """Kill a training at a random moment.

    Args:
        training (Training): Just started.
        limit (float): Seconds of training to choose from.
        left (float): Seconds of training until its end.
        generator (random.Random): Chooses.
        timeout (float): Seconds that survivors have to stop.

    Returns:
        Kill or None: None if it had ended before.
    """
    kind = generator.random()
    if kind < AT_START:
        time.sleep(generator.uniform(0, 6))
        moment = 'at the start'
    else:
        training.wait_for_start()
        begin = time.monotonic()
        if kind < AT_START + AT_SAVE and training.wait_for_save(left / 2):
            moment = 'while a checkpoint was written'
        else:
            time.sleep(generator.uniform(0, limit))
            moment = 'while training'
        moment += f', {time.monotonic() - begin:.1f} s after the start'
    if not training.is_running:
        training.wait()
        return None
    # Since the last checkpoint, or since the process began if it wrote none.
    last = find_latest_checkpoint(str(training.work_dir))
    saved = Path(last).stat().st_mtime if last and Path(last).exists() else 0
    lost = min(time.time() - saved, time.monotonic() - training.begin)
    return Kill(moment, training.kill(generator, timeout), lost)


def logged(work_dir: Path) -> List[dict]:
    """What a run logged, but for durations."""
    return [{k: v for k, v in entry.items() if not k.endswith(TIMES)} for entry in read_log(work_dir)]


def resumed_from(text: str) -> Optional[str]:
    """Name of the checkpoint that a process resumed from, by its output."""
    found = re.search(r'Load checkpoint from (\S+)', text)
    return found and Path(found[1]).name


def progress(work_dir: Path) -> int:
    """Number in the name of the last checkpoint."""
    last = work_dir / 'last_checkpoint'
    numbers = re.findall(r'\d+', Path(last.read_text()).name) if last.exists() else []
    return int(numbers[-1]) if numbers else 0


def crash_and_resume(args: argparse.Namespace, unbroken: Path, broken: Path, seconds: float) -> List[bool]:
    """Train once more with kills, and print a line of the table for each.

    Args:
        args (argparse.Namespace): Of the tool.
        unbroken (Path): Work dir of the run to compare with.
        broken (Path): Work dir of this run.
        seconds (float): Time that the training of the other one took.

    Returns:
        list[bool]: Whether it went on equal to the unbroken run, by kill.
    """
    generator = random.Random(args.seed)
    kills: List[Kill] = []
    equal: List[bool] = []
    while True:
        training = Training(args, broken, attempt=len(kills) + 1)
        if len(kills) < args.kills:
            left = seconds * (1 - progress(broken) / progress(unbroken))
            limit = min(2 * left / (args.kills - len(kills) + 1), 0.8 * left)
            kill = kill_once(training, limit, left, generator, args.timeout)
        else:
            kill = None
            training.wait_for_start()
        # A process that was killed before its first step tells nothing of
        # where it resumed from: the next one does.
        if STARTED in training.text:
            source = resumed_from(training.text)
            for number in range(len(equal), len(kills)):
                is_equal = source is None or are_equal(broken / source, unbroken / source)
                equal.append(is_equal)
                lost = kills[number].lost + (training.start or 0) * (number == len(kills) - 1)
                show(args, [number + 1, *kills[number][:2], source or 'the beginning', is_equal, f'{lost:.0f} s'])
        if kill is None:
            training.wait()
            return equal
        kills.append(kill)


def show(args: argparse.Namespace, cells: List[Any]) -> None:
    """Print a line of the table."""
    cells = [('no', 'yes')[cell] if isinstance(cell, bool) else str(cell) for cell in cells]
    write(args, f'| {" | ".join(cells)} |')


def write(args: argparse.Namespace, line: str) -> None:
    """Print a line, and append it to the file of ``--out``."""
    print(line, flush=True)
    if args.out:
        with args.out.open('a') as file:
            file.write(line + '\n')


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    unbroken, broken = (args.work_dir / f'{args.processes}_{name}' for name in ('unbroken', 'broken'))
    for folder in (unbroken, broken):
        if folder.exists():
            sys.exit(f'{folder} exists already: remove it, or choose another --work-dir.')

    print(f'Training without a break in {unbroken} …', flush=True)
    training = Training(args, unbroken)
    start = training.wait_for_start()
    training.wait()
    seconds = time.monotonic() - training.begin - start
    if not progress(unbroken):
        sys.exit(f'{unbroken} has no numbered checkpoint to resume from: save more often.')
    print(f'It took {start:.0f} s to start and {seconds:.0f} s to train.\n', flush=True)

    write(args, HEADER)
    begin = time.monotonic()
    equal = crash_and_resume(args, unbroken, broken, seconds)
    last = Path(find_latest_checkpoint(str(unbroken))).name
    is_equal = are_equal(broken / last, unbroken / last)
    show(args, ['end', 'all logged values', '', '', logged(broken) == logged(unbroken), ''])
    show(args, ['end', 'weights and optimiser', '', last, is_equal, f'{time.monotonic() - begin - seconds:.0f} s'])
    if len(equal) < args.kills:
        sys.exit(f'Only {len(equal)} of {args.kills} kills hit before the training ended: train longer.')
    if not all(equal) or not is_equal or logged(broken) != logged(unbroken):
        sys.exit('Not everything is equal.')
    print(f'Kills: {args.kills}. Everything is equal.')


if __name__ == '__main__':
    main()
