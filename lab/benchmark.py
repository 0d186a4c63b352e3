# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Measure the cost of RecursiveMix in side-by-side comparisons.

python lab/benchmark.py                    # everything, about 12 minutes on 2 CPU cores
python lab/benchmark.py augments pooling   # only these comparisons
python lab/benchmark.py --device cuda --out docs

All contenders of a comparison run in one process, in turns (A B A B …); the
result is the median of the ratios of all turns. --out gets
benchmarks/DEVICE.json with every value, images/benchmark_DEVICE.png, and
benchmarks.md with the tables of all devices that have such a file. Running
only some comparisons updates results of the same machine, versions and day.
"""

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Dict, List

# Some virtual machines announce AMX and then kill the process that uses it.
os.environ.setdefault('ONEDNN_MAX_CPU_ISA', 'AVX512_CORE_BF16')

import numpy as np
import torch
from comparisons.images import images
from comparisons.loops import loops
from comparisons.parts import augments, pooling
from comparisons.steps import costs, memory, steps
from comparisons.timing import Settings, Table
from matplotlib.figure import Figure
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

# Name → heading in the report, and function.
COMPARISONS = {
    'augments': ('Mixing a batch', augments),
    'pooling': ('Pooling and the RoI branch', pooling),
    'steps': ('A whole training step', steps),
    'memory': ('Memory', memory),
    'loops': ('The whole training loop', loops),
    'costs': ('Table 10 of the paper', costs),
    'images': ('Data at ImageNet size', images),
}
PACKAGES = ('torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmpretrain', 'mmdetection', 'opencv-python', 'pillow')
DEVICES = {'cpu': 'On CPUs', 'cuda': 'On a GPU'}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('comparisons', nargs='*', metavar='COMPARISON', help=f'{", ".join(COMPARISONS)} (all)')
    parser.add_argument('--device', choices=DEVICES, default='cpu', help='(%(default)s)')
    parser.add_argument('--turns', type=int, default=6, help='measurements of each contender (%(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmark'), help='folder (%(default)s)')
    parser.add_argument('--quick', action='store_true', help='small shapes, two turns: only tests this script')
    args = parser.parse_args()
    unknown = [name for name in args.comparisons if name not in COMPARISONS]
    if unknown:
        parser.error(f'unknown comparison {", ".join(unknown)}: choose from {", ".join(COMPARISONS)}')
    if args.turns < 1:
        parser.error(f'--turns {args.turns} must be at least 1')
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: torch sees no GPU here')
    return args


def machine(device: str) -> Dict[str, str]:
    """Hardware and versions."""
    processor = platform.processor() or platform.machine()
    if Path('/proc/cpuinfo').is_file():
        names = [line for line in Path('/proc/cpuinfo').read_text().splitlines() if line.startswith('model name')]
        processor = names[0].split(':')[1].strip() if names else processor
    versions = []
    for package in PACKAGES:
        for name in (f'onedl-{package}', package):
            try:
                versions.append(f'{name} {version(name)}')
                break
            except PackageNotFoundError:
                pass
    return {
        'Processor': f'{processor}, {len(os.sched_getaffinity(0))} cores, {torch.get_num_threads()} threads',
        **({'GPU': torch.cuda.get_device_name()} if device == 'cuda' else {}),
        'Versions': f'Python {platform.python_version()}, {", ".join(versions)}',
        'Date': time.strftime('%Y-%m-%d'),
    }


def quartiles(values: List[float]) -> np.ndarray:
    """Quantiles 25 %, 50 % and 75 %."""
    return np.quantile(values, [0.25, 0.5, 0.75])


def render(table: Table) -> str:
    """One table as Markdown."""
    lines = [f'**{table.title}**', '', f'| | {table.unit} | ratio | target |', '|---|---|---|---|']
    for row, values in table.values.items():
        low, middle, high = quartiles(table.ratios(row))
        spread = f' ({low:.3f}–{high:.3f})' if len(values) > 1 and row != table.base else ''
        target = ''
        if row in table.limits:
            sign, verdict = '≥' if table.more_is_better else '≤', 'met' if table.is_met(row) else '**missed**'
            target = f'{sign} {table.limits[row]:.3f}: {verdict}'
        lines.append(f'| {row} | {np.median(values):.4g} | {middle:.3f}{spread} | {target} |')
    return '\n'.join([*lines, '', *([table.note, ''] if table.note else [])])


def report(out: Path) -> str:
    """The page benchmarks.md from the JSON files of all devices."""
    lines = [
        '# Benchmarks',
        '',
        'Written by `make benchmark` (on a GPU: `make benchmark DEVICE=cuda`). All contenders of a table run in one '
        'process, in turns; a ratio is the median over the turns of the quotient with the row that has ratio 1 (in '
        'brackets: quartiles). [speed.md](speed.md) explains the bottlenecks of a real run and how to remove them.',
        '',
    ]
    for device, heading in DEVICES.items():
        path = out / 'benchmarks' / f'{device}.json'
        lines += [f'## {heading}', '']
        if not path.is_file():
            lines += ['Not measured.', '']
            continue
        content = json.loads(path.read_text())
        lines += [f'- {key}: {value}' for key, value in content['machine'].items()]
        lines += ['', f'![Ratios and their targets](images/benchmark_{device}.png)', '']
        for name, tables in content['comparisons'].items():
            lines += [f'### {COMPARISONS[name][0]}', '', f'{COMPARISONS[name][1].__doc__.splitlines()[0]}', '']
            lines += [render(Table(**table)) for table in tables]
    return '\n'.join(lines).rstrip() + '\n'


def draw(tables: List[Table], path: Path) -> None:
    """A bar for every ratio that has a target."""
    rows = [(table, row) for table in tables for row in table.limits]
    figure = Figure(figsize=(9, 1 + 0.4 * len(rows)), layout='tight')
    axis = figure.subplots()
    for position, (table, row) in enumerate(rows):
        low, middle, high = quartiles(table.ratios(row))
        colour = 'C2' if table.is_met(row) else 'C3'
        axis.barh(position, middle, color=colour, xerr=[[middle - low], [high - middle]], height=0.6)
        axis.plot([table.limits[row]] * 2, [position - 0.4, position + 0.4], color='black')
    axis.set_yticks(range(len(rows)), [f'{table.title}\n{row} / {table.base}' for table, row in rows], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel('ratio; the black line is the target')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    # Else every model lists how its weights were initialised.
    MMLogger.get_instance('benchmark', log_level='ERROR')
    settings = Settings(torch.device(args.device), args.turns, args.quick)
    results: Dict[str, List[Table]] = {}
    begin = time.perf_counter()
    for name in args.comparisons or COMPARISONS:
        measured = [table for tables in results.values() for table in tables]
        results[name] = costs(settings, measured) if name == 'costs' else COMPARISONS[name][1](settings)
        for table in results[name]:
            print(f'\n{render(table)}', flush=True)

    tables = [table for tables in results.values() for table in tables]
    path = args.out / 'benchmarks' / f'{args.device}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    content = dict(machine=machine(args.device), comparisons={})
    if path.is_file() and json.loads(path.read_text())['machine'] == content['machine']:
        content = json.loads(path.read_text())
    content['comparisons'].update({name: [asdict(table) for table in tables] for name, tables in results.items()})
    content['comparisons'] = {
        name: content['comparisons'][name] for name in COMPARISONS if name in content['comparisons']
    }
    path.write_text(json.dumps(content, indent=1))
    drawn = [Table(**table) for tables in content['comparisons'].values() for table in tables]
    draw(drawn, args.out / 'images' / f'benchmark_{args.device}.png')
    (args.out / 'benchmarks.md').write_text(report(args.out))
    missed = [f'{table.title}: {row}' for table in tables for row in table.limits if not table.is_met(row)]
    print(f'{(time.perf_counter() - begin) / 60:.1f} minutes; written to {args.out / "benchmarks.md"}.')
    if missed and not args.quick:
        print('Targets missed:', *missed, sep='\n  ', file=sys.stderr)


if __name__ == '__main__':
    main()
