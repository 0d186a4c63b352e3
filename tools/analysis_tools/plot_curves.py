# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Draw loss, consistency loss and accuracy of training runs.

python tools/analysis_tools/plot_curves.py work_dirs/demo --out work_dirs/demo/curves.png
"""

import argparse
import itertools
import sys
from pathlib import Path
from typing import Dict, List, Tuple

from matplotlib.figure import Figure

from mmrmix.engine.logs import read_log

# Panel title → (key in the log, label); a run shows the keys that it has.
PANELS = {
    'Loss': [('loss_cls', 'classification'), ('loss', 'total')],
    'Consistency loss (weighted)': [('loss_consistency', 'consistency')],
    'Top-1 accuracy, %': [('accuracy_top-1', 'training, mixed images'), ('accuracy/top1', 'validation')],
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dirs', nargs='+', type=Path, help='work dirs of the runs, resumed ones as well')
    parser.add_argument('--out', type=Path, default=Path('curves.png'), help='picture to write (%(default)s)')
    return parser.parse_args()


def curves(entries: List[dict]) -> Tuple[str, Dict[str, Tuple[List[float], List[float]]]]:
    """Steps and values of each key of a log.

    Args:
        entries (list[dict]): As :func:`read_log` returns them; those of
            training have ``epoch``, too, in epoch-based loops.

    Returns:
        tuple[str, dict[str, tuple[list[float], list[float]]]]: The unit of
        the steps, and steps and values by key.
    """
    training = [entry for entry in entries if 'iter' in entry and 'epoch' in entry]
    first_of_epoch: Dict[int, int] = {}
    for entry in training:
        first_of_epoch.setdefault(entry['epoch'], entry['iter'])
    firsts = list(first_of_epoch.values())
    # Entries come at a fixed distance from an epoch's start, so two epochs
    # tell how many iterations lie between them; one alone only nearly.
    per_epoch = firsts[1] - firsts[0] if len(firsts) > 1 else max((entry['iter'] for entry in training), default=1)
    unit, per_unit = ('epoch', per_epoch) if training else ('iteration', 1)
    result: Dict[str, Tuple[List[float], List[float]]] = {}
    for entry in entries:
        step = entry['iter'] / per_unit if 'iter' in entry else entry['step']
        for key, value in entry.items():
            if isinstance(value, (int, float)):
                steps, values = result.setdefault(key, ([], []))
                steps.append(step)
                values.append(value)
    return unit, result


def draw(work_dirs: List[Path], path: Path) -> None:
    """Write one picture with a panel for each of ``PANELS``.

    Args:
        work_dirs (list[Path]): A line style for each run.
        path (Path): Picture to write.
    """
    figure = Figure(figsize=(5 * len(PANELS), 3.6), layout='tight')
    axes = figure.subplots(1, len(PANELS))
    for work_dir, style in zip(work_dirs, itertools.cycle(['-', '--', ':', '-.'])):
        unit, by_key = curves(read_log(work_dir))
        for axis, (title, lines) in zip(axes, PANELS.items()):
            for colour, (key, label) in enumerate(lines):
                if key in by_key:
                    name = label if len(work_dirs) == 1 else f'{work_dir.name}: {label}'
                    axis.plot(*by_key[key], style, color=f'C{colour}', marker='.', markersize=4, label=name)
            axis.set_title(title)
            axis.set_xlabel(unit)
    for axis in axes:
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    args = parse_args()
    try:
        draw(args.work_dirs, args.out)
    except FileNotFoundError as error:
        sys.exit(str(error))
    print(f'Curves of {len(args.work_dirs)} run(s) written to {args.out}')


if __name__ == '__main__':
    main()
