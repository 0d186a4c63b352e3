# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Fine-tune small detectors and segmentors from several starts and compare them.

python tools/analysis_tools/transfer.py atss upernet
python tools/analysis_tools/transfer.py atss upernet --seeds 0 1 2 --start scratch= --start RM=rm.pth --start plain=plain.pth

Every run is an ordinary tools/train.py on configs/demo/SYSTEM_…_fashion-scenes.py
with one thread, `--jobs` of them side by side, and then tools/test.py. What is
complete is not run again, and what was interrupted goes on where it stopped.
Below --out: a folder a run with its log (output.txt), checkpoints and
metrics.json, and table.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Dict, List, NamedTuple

from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

TOOLS = Path(__file__).parents[1]
DEMO = TOOLS.parent / 'configs/demo'
# System → metrics of its table row, in percent or as a ratio, and their names.
DETECTION = {'coco/bbox_mAP': 'box AP', 'coco/bbox_mAP_50': 'box AP50'}
INSTANCES = {**DETECTION, 'coco/segm_mAP': 'mask AP', 'coco/segm_mAP_50': 'mask AP50'}
SEGMENTATION = {'mIoU': 'mIoU', 'mAcc': 'mAcc'}
SYSTEMS = {
    'atss': DETECTION,
    'gfl': DETECTION,
    'mask-rcnn': INSTANCES,
    'htc': INSTANCES,
    'pspnet': SEGMENTATION,
    'upernet': SEGMENTATION,
}


class Run(NamedTuple):
    """One training: what is trained, from where, and with which random numbers."""

    system: str
    start: str
    checkpoint: str
    seed: int
    work_dir: Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('systems', nargs='+', choices=SYSTEMS, metavar='SYSTEM', help=', '.join(SYSTEMS))
    parser.add_argument(
        '--start',
        action='append',
        metavar='NAME=CHECKPOINT',
        help='a column of the table; no checkpoint: from scratch (default: scratch, and RM from the last checkpoint '
        'of configs/demo/resnet18-slim_1xb64_fashion-mnist.py)',
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='(0)')
    parser.add_argument('--jobs', type=int, default=os.cpu_count(), help='runs side by side (%(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/transfer'), help='(%(default)s)')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='further options of all runs')
    args = parser.parse_args()
    starts = args.start or ['scratch=', 'RM=work_dirs/resnet18-slim_1xb64_fashion-mnist/epoch_4.pth']
    args.start = {}
    for start in starts:
        name, is_given, checkpoint = start.partition('=')
        if not is_given:
            parser.error(f'--start "{start}" must be NAME=CHECKPOINT, or NAME= to start from scratch')
        if checkpoint and not Path(checkpoint).is_file():
            parser.error(f'--start "{start}": {checkpoint} does not exist; pretrain it first (make transfer does)')
        args.start[name] = checkpoint
    return args


def metrics_of(run: Run) -> Dict[str, float]:
    """Metrics of a complete run in percent; empty if it is not complete."""
    path = run.work_dir / 'metrics.json'
    if not path.is_file():
        return {}
    # mmdet's are ratios, mmseg's are percent.
    factor = 1 if 'mIoU' in SYSTEMS[run.system] else 100
    return {key: factor * value for key, value in json.loads(path.read_text()).items() if key in SYSTEMS[run.system]}


def execute(run: Run, cfg_options: List[str]) -> None:
    """Train, or go on with training, and evaluate.

    Raises:
        RuntimeError: If one of them fails; quotes the end of its output.
    """
    config = DEMO / f'{run.system}_resnet18-slim_1xb8_fashion-scenes.py'
    start = f'.checkpoint={run.checkpoint}' if run.checkpoint else '=None'
    options = ['--work-dir', run.work_dir, '--cfg-options', f'model.backbone.init_cfg{start}', *cfg_options]
    run.work_dir.mkdir(parents=True, exist_ok=True)
    output = run.work_dir / 'output.txt'
    with output.open('a') as file:

        def call(tool: str, *arguments) -> None:
            command = [sys.executable, TOOLS / tool, config, *arguments]
            process = subprocess.run(
                [str(part) for part in command],
                env={**os.environ, 'OMP_NUM_THREADS': '1'},
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if process.returncode:
                end = ''.join(output.read_text().splitlines(keepends=True)[-5:])
                raise RuntimeError(f'{tool} failed in {run.work_dir}; {output} ends with\n{end}')

        call('train.py', '--resume', *options, f'randomness.seed={run.seed}')
        checkpoint = (run.work_dir / 'last_checkpoint').read_text()
        call('test.py', checkpoint, '--out', run.work_dir / 'metrics.json', *options)


def table(runs: List[Run]) -> str:
    """Mean of the seeds for each system, metric and start, as a Markdown table."""
    starts = list(dict.fromkeys(run.start for run in runs))
    seeds = sorted({run.seed for run in runs})
    lines = [f'| system | metric, % | {" | ".join(starts)} |', '|---' * (2 + len(starts)) + '|']
    for system in dict.fromkeys(run.system for run in runs):
        for metric, name in SYSTEMS[system].items():
            cells = []
            for start in starts:
                values = [metrics_of(run)[metric] for run in runs if (run.system, run.start) == (system, start)]
                spread = f' ± {statistics.stdev(values):.1f}' if len(values) > 1 else ''
                cells.append(f'{statistics.mean(values):.1f}{spread}')
            lines.append(f'| {system} | {name} | {" | ".join(cells)} |')
    seeds = (
        f'Mean ± standard deviation of seeds {", ".join(map(str, seeds))}.' if len(seeds) > 1 else f'Seed {seeds[0]}.'
    )
    return '\n'.join([*lines, '', seeds, ''])


def main() -> None:
    args = parse_args()
    runs = [
        Run(system, start, checkpoint, seed, args.out / f'{system}_{start}_seed{seed}')
        for seed in args.seeds
        for system in args.systems
        for start, checkpoint in args.start.items()
    ]
    errors = []
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress, ThreadPoolExecutor(args.jobs) as pool:
        bar = progress.add_task('training', total=len(runs), completed=sum(bool(metrics_of(run)) for run in runs))
        jobs = {pool.submit(execute, run, args.cfg_options): run for run in runs if not metrics_of(run)}
        for job in as_completed(jobs):
            if job.exception():
                errors.append(str(job.exception()))
                continue
            metrics = ', '.join(f'{SYSTEMS[jobs[job].system][k]} {v:.1f}' for k, v in metrics_of(jobs[job]).items())
            progress.console.print(f'{jobs[job].work_dir}: {metrics}')
            progress.advance(bar)
    if errors:
        sys.exit('\n\n'.join([*errors, f'{len(errors)} of {len(runs)} runs failed; the same command goes on.']))
    text = table(runs)
    (args.out / 'table.md').write_text(text)
    print(f'\n{text}\nWritten to {args.out / "table.md"}.')


if __name__ == '__main__':
    main()
