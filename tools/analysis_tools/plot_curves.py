# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Draw loss, consistency loss and accuracy, AP or mIoU of runs.

python tools/analysis_tools/plot_curves.py work_dirs/demo --out work_dirs/demo/curves.png
python tools/analysis_tools/plot_curves.py work_dirs/a work_dirs/b --labels "α = 0.5" "α = 0.3"

Each run has a colour, each quantity of a panel a line style.
"""

import argparse
from pathlib import Path
from typing import Dict, List, Tuple

from matplotlib import colormaps
from matplotlib.figure import Figure

from mmrmix.contrib.cli.screen import errors_as_sentences
from mmrmix.contrib.logs import read_log

# Panel title → (key in the log, label) of its lines; keys that a log does not have are left out.
PANELS = {
    'Loss': [('loss_cls', 'classification'), ('loss', 'total')],
    'Consistency loss (weighted)': [('loss_consistency', 'consistency')],
    'Top-1 accuracy, %': [('accuracy_top-1', 'training, mixed images'), ('accuracy/top1', 'validation')],
    'AP': [('coco/bbox_mAP', 'boxes'), ('coco/segm_mAP', 'masks')],
    'mIoU, %': [('mIoU', 'validation')],
}
STYLES = ['-', '--']


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dirs', nargs='+', type=Path, help='work dirs of the runs, resumed ones as well')
    parser.add_argument('--out', type=Path, default=Path('curves.png'), help='picture to write (%(default)s)')
    parser.add_argument('--labels', nargs='+', metavar='NAME', help='names of the runs (default: their folders)')
    args = parser.parse_args()
    # matplotlib would add it, too, but the message names the file.
    args.out = args.out if args.out.suffix else args.out.with_suffix('.png')
    if args.labels and len(args.labels) != len(args.work_dirs):
        parser.error(f'--labels has {len(args.labels)} names for {len(args.work_dirs)} runs: give one for each')
    return args


def names_of(work_dirs: List[Path]) -> List[str]:
    """Shorten paths as long as they differ: a/wd, b/wd."""
    paths = [path.absolute().parts for path in work_dirs]
    for length in range(1, max(map(len, paths)) + 1):
        names = ['/'.join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names


def curves(entries: List[dict]) -> Tuple[str, Dict[str, Tuple[List[float], List[float]]]]:
    """Collect steps and values of each key of a log.

    Args:
        entries (list[dict]): Entries from :func:`read_log`. In epoch-based
            loops, those of training have ``epoch``.

    Returns:
        tuple[str, dict[str, tuple[list[float], list[float]]]]: The unit of
        the steps, and steps and values by key.
    """
    training = [entry for entry in entries if 'iter' in entry and 'epoch' in entry]
    first_of_epoch: Dict[int, int] = {}
    for entry in training:
        first_of_epoch.setdefault(entry['epoch'], entry['iter'])
    firsts = list(first_of_epoch.values())
    # Entries have fixed distances from the start of an epoch, so two epochs
    # tell how many iterations an epoch has; one epoch tells it only roughly.
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


def draw(work_dirs: List[Path], labels: List[str], path: Path) -> None:
    """Write a picture with those of ``PANELS`` for which a run has values.

    Args:
        work_dirs (list[Path]): A colour for each run.
        labels (list[str]): Names of the runs.
        path (Path): Picture to write.

    Raises:
        ValueError: If no run has any values.
    """
    runs = [curves(read_log(work_dir)) for work_dir in work_dirs]
    panels = {title: lines for title, lines in PANELS.items() if any(key in run for _, run in runs for key, _ in lines)}
    if not panels:
        raise ValueError(f'The logs in {", ".join(map(str, work_dirs))} have neither losses nor metrics yet.')
    figure = Figure(figsize=(5 * len(panels), 3.6), layout='tight')
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, lines) in zip(axes, panels.items()):
        for number, (label, (_, by_key)) in enumerate(zip(labels, runs)):
            for metric, (key, name) in enumerate(lines):
                if key in by_key:
                    colour, style = (metric, '-') if len(runs) == 1 else (number, STYLES[metric])
                    axis.plot(
                        *by_key[key],
                        style,
                        color=f'C{colour}' if len(runs) <= 10 else colormaps['turbo'](colour / len(runs)),
                        marker='.',
                        markersize=4,
                        label=name if len(runs) == 1 else f'{label}: {name}',
                    )
        axis.set_title(title)
        axis.set_xlabel(' or '.join(sorted({unit for unit, _ in runs})))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    draw(args.work_dirs, args.labels or names_of(args.work_dirs), args.out)
    print(f'Curves of {len(args.work_dirs)} run(s) written to {args.out}')


if __name__ == '__main__':
    main()
