# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Repeat the comparisons of the paper.

python lab/reproduce.py plan                           # list experiments, their progress and time left
python lab/reproduce.py run table3 --seeds 5           # train missing runs, then report
python lab/reproduce.py run table5 --scale paper       # the real configs, on GPUs
python lab/reproduce.py run table7 --groups ATSS --rows baseline RM      # a part of it
python lab/reproduce.py report table3                  # report the complete runs

Every run is an ordinary tools/train.py on a file of configs/; experiments
share runs. Run the same command again after an interruption: unfinished runs
resume from their last checkpoint, complete ones are skipped. --out gets a
folder for each run and seed (log, checkpoints, output.txt, result.json),
report.html (one file, for a browser), report.md, charts and results.json.

Scale mini: Fashion-MNIST and fashion scenes on CPU cores, minutes per run.
Scale paper: CIFAR, ImageNet, COCO and ADE20K, on as many GPUs as the name of
a config says.
"""

import argparse
import json
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple

import mmengine
import torch
from reproduction.experiments import Experiment, select
from reproduction.measurements import MEASUREMENTS, Measurement
from reproduction.mini_scale import MINI
from reproduction.paper_scale import PAPER
from reproduction.report import write
from reproduction.results import collect
from reproduction.runs import Run, load, runs_of
from reproduction.schedule import Schedule, duration, estimates, folder_lock, minutes_left
from rich.console import Console
from rich.table import Table

import mmrmix

SCALES = {'mini': MINI, 'paper': PAPER}
NAMES = [*MINI, *MEASUREMENTS['mini']]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('action', choices=['plan', 'run', 'report'])
    parser.add_argument('experiments', nargs='*', metavar='EXPERIMENT', help=f'{", ".join(NAMES)} (all)')
    parser.add_argument(
        '--groups',
        nargs='+',
        default=[],
        metavar='TEXT',
        help='only networks and data with this text in their name: "ATSS", "CIFAR-100"',
    )
    parser.add_argument(
        '--rows', nargs='+', default=[], metavar='LABEL', help='only these rows, compared with the first: baseline RM'
    )
    parser.add_argument('--scale', choices=SCALES, default='mini', help='(%(default)s)')
    parser.add_argument('--seeds', type=int, default=3, metavar='N', help='seeds 0 to N - 1 (%(default)s)')
    parser.add_argument(
        '--jobs',
        type=int,
        default=torch.cuda.device_count() or len(os.sched_getaffinity(0)),
        help='processes at once (one per GPU, or per CPU core without GPUs: %(default)s)',
    )
    parser.add_argument(
        '--gpus-per-run',
        type=int,
        metavar='N',
        help="instead of the number in the config's name, with the same number of images per step",
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        default=[],
        metavar='KEY=VALUE',
        help='additional options of all runs',
    )
    parser.add_argument('--out', type=Path, help='(work_dirs/reproduce/SCALE)')
    args = parser.parse_args()
    unknown = [name for name in args.experiments if name not in NAMES]
    if unknown:
        parser.error(f'unknown experiment {", ".join(unknown)}: choose from {", ".join(NAMES)}')
    for name in ('seeds', 'jobs', 'gpus_per_run'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} {value} must be at least 1')
    args.out = args.out or Path('work_dirs/reproduce') / args.scale
    return args


class Plan(NamedTuple):
    """Everything that a command line selects."""

    experiments: Dict[str, Experiment]
    measurements: Dict[str, Measurement]
    runs: List[Run]


def all_runs(experiments: Dict[str, Experiment], args: argparse.Namespace) -> List[Run]:
    """All runs of the experiments."""
    return runs_of(experiments, range(args.seeds), args.out, args.gpus_per_run, tuple(args.cfg_options))


def make_plan(args: argparse.Namespace) -> Plan:
    """Select experiments, measurements and runs.

    Raises:
        ValueError: If there is no such group, row or setting.
    """
    names = args.experiments or NAMES
    experiments = {name: value for name, value in SCALES[args.scale].items() if name in names}
    measurements = {name: value for name, value in MEASUREMENTS[args.scale].items() if name in names}
    experiments = select(experiments, args.groups, args.rows)
    runs = all_runs(experiments, args)
    if args.cfg_options:
        for run in runs:
            load(run.recipe.config, run.recipe.options + run.extra)
    return Plan(experiments, measurements, runs)


def show_plan(plan: Plan, args: argparse.Namespace) -> None:
    """Print runs, progress and time left of each experiment."""
    table = Table('experiment', 'runs', 'done', 'started', 'to do', 'time left')
    minutes = estimates(plan.runs)
    for name, experiment in plan.experiments.items():
        wanted = all_runs({name: experiment}, args)
        states = [run.state() for run in wanted]
        left = minutes_left(wanted, args.jobs, minutes)
        counts = [len(states), states.count('done'), states.count('started'), states.count('new')]
        table.add_row(f'{name}  {experiment.title}', *map(str, counts), duration(left))
    for name, measurement in plan.measurements.items():
        is_done = measurement.is_done(args.out / name)
        left = duration(0 if is_done else measurement.minutes)
        table.add_row(f'{name}  {measurement.title}', '1', str(int(is_done)), '0', str(int(not is_done)), left)
    console = Console()
    console.print(table)
    left = duration(minutes_left(plan.runs, args.jobs, minutes))
    console.print(f'{len(plan.runs)} runs in all (experiments share some), {args.jobs} processes at once: {left} left.')


def check(runs: List[Run], args: argparse.Namespace) -> None:
    """Find mistakes that would show only after hours.

    Raises:
        SystemExit: With the mistake and its fix.
    """
    changed = [run for run in runs if run.state() == 'changed']
    if changed:
        listed = '\n  '.join(str(run.work_dir) for run in changed[:10])
        reasons = '\n'.join(sorted({run.mismatch() for run in changed}))
        sys.exit(
            f'{len(changed)} of {len(runs)} runs were made with settings that differ from those of today:\n  {listed}\n'
            f'{reasons}\nOr choose another --out, or remove these folders to train them again.'
        )
    gpus = torch.cuda.device_count()
    needed = max((run.processes for run in runs), default=1)
    if args.action == 'run' and needed > args.jobs:
        sys.exit(
            f'A run of {needed} processes does not fit into --jobs {args.jobs} (GPUs here: {gpus}). '
            f'Use --gpus-per-run {args.jobs} for the same number of images per step, or a larger machine.'
        )
    if args.action == 'run' and needed > 1 and 0 < gpus < args.jobs:
        sys.exit(f'--jobs {args.jobs} puts several processes of a run on one of {gpus} GPUs: choose --jobs {gpus}.')
    uneven = next((run for run in runs if run.images_per_step % run.processes), None)
    if uneven:
        sys.exit(
            f'{uneven.recipe.config} has {uneven.images_per_step} images per step, which is not divisible by '
            f'{uneven.processes}: choose another --gpus-per-run.'
        )
    if args.action == 'run' and args.scale == 'paper' and not torch.cuda.is_available():
        sys.exit('The scale "paper" takes GPU-months and torch sees no GPU here. Use --scale mini.')


def measure(measurements: Dict[str, Measurement], out: Path) -> List[str]:
    """Take the missing measurements one by one, after all training, which would distort timings."""
    errors = []
    for name, measurement in measurements.items():
        if not measurement.is_done(out / name):
            print(f'{measurement.title}: about {duration(measurement.minutes)} …', flush=True)
            errors += filter(None, [measurement.execute(out / name)])
    return errors


def command(args: argparse.Namespace) -> str:
    """Command line with every option that the numbers depend on."""
    parts = ['python', 'lab/reproduce.py', 'run', *args.experiments]
    parts += ['--scale', args.scale, '--seeds', str(args.seeds)]
    if args.gpus_per_run:
        parts += ['--gpus-per-run', str(args.gpus_per_run)]
    for option in ('groups', 'rows', 'cfg_options'):
        values = getattr(args, option)
        parts += [f'--{option.replace("_", "-")}', *values] if values else []
    return shlex.join(parts)


def report(plan: Plan, args: argparse.Namespace) -> None:
    """Collect the complete runs and write the report."""
    done = f'{sum(run.state() == "done" for run in plan.runs)} of {len(plan.runs)}'
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f'{os.cpu_count()} CPU cores'
    content = dict(
        title=f'RecursiveMix, experiments of the paper at the scale "{args.scale}"',
        facts={
            'runs': f'{done} complete, seeds 0 to {args.seeds - 1}',
            'device': device,
            'versions': f'mmrmix {mmrmix.__version__}, mmengine {mmengine.__version__}, torch {torch.__version__}',
            'command': command(args),
            'date': time.strftime('%Y-%m-%d'),
        },
        experiments=collect(plan.experiments, plan.runs),
        measurements={name: each.collect(args.out / name) for name, each in plan.measurements.items()},
    )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / 'results.json').write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding='utf-8')
    write(content, args.out)
    print(f'Written to {args.out}: report.html, report.md, charts, results.json ({done} runs complete).')


def main() -> None:
    args = parse_args()
    # Ends the processes that it started as well; checkpoints stay intact.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('Terminated; run the same command again to resume.'))
    try:
        plan = make_plan(args)
    except ValueError as error:
        sys.exit(str(error))
    check(plan.runs, args)
    errors: List[str] = []
    if args.action != 'report':
        show_plan(plan, args)
    if args.action == 'run':
        with folder_lock(args.out) as lock:
            try:
                errors += Schedule(plan.runs, args.jobs).execute(lock).values()
                errors += measure(plan.measurements, args.out)
            except KeyboardInterrupt:
                sys.exit('Interrupted; run the same command again to resume.')
    if args.action != 'plan':
        report(plan, args)
    if errors:
        number = len(plan.runs) + len(plan.measurements)
        summary = f'{len(errors)} of {number} runs failed; run the same command again to resume.'
        sys.exit('\n\n'.join([*errors, summary]))


if __name__ == '__main__':
    main()
