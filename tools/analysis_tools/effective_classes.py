# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
r"""Count the effective classes of mixed labels, as Fig. 8 of the paper does.

A class of an image is effective if its share of the mixed label exceeds a
threshold. For each threshold and method, the chart shows the mean over the
batch in the first iterations: the line is the mean of the runs, the band
extends from the lowest to the highest run. A .csv file beside it has the values.

Only labels are read, in the order of training, and mixed by the config's batch
augments. One image is loaded, for its size; no network runs.

    python tools/analysis_tools/effective_classes.py --out effective_classes.png
    python tools/analysis_tools/effective_classes.py \
        --config RM configs/rm/resnet50_8xb64_imagenet.py \
        --config "RM, α = 0.25" configs/rm/resnet50_8xb64_imagenet.py model.train_cfg.augments.alpha=0.25
"""

import argparse
import csv
from itertools import islice
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from torch import Tensor

from mmrmix.contrib.cli.cfg_options import CfgOptions, read_classifier_config
from mmrmix.contrib.cli.launch import missing_data_explained
from mmrmix.contrib.cli.screen import errors_as_sentences
from mmrmix.visualization import MixedBatches

DEMO = Path(__file__).parents[2] / 'configs/demo'
DEFAULT = [
    ['baseline', f'{DEMO}/resnet10_1xb64-baseline_fashion-mnist.py'],
    ['mixup', f'{DEMO}/resnet10_1xb64-mixup_fashion-mnist.py'],
    ['CutMix', f'{DEMO}/resnet10_1xb64-cutmix_fashion-mnist.py'],
    ['RecursiveMix', f'{DEMO}/resnet10_1xb64_fashion-mnist.py'],
]


class Method(NamedTuple):
    """A line of the chart: its name, and the config that mixes."""

    name: str
    cfg: Config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--config',
        nargs='+',
        action='append',
        metavar='NAME CONFIG [KEY=VALUE]',
        help='name and config of a method, and settings that override the config; may be repeated (default: the four '
        'methods of the demo)',
    )
    parser.add_argument(
        '--thresholds', type=float, nargs='+', default=[1e-1, 1e-2, 1e-3, 1e-4], help='default: 0.1 0.01 0.001 0.0001'
    )
    parser.add_argument('--iterations', type=int, default=100, help='iterations of each run (%(default)s)')
    parser.add_argument('--runs', type=int, default=3, help='number of runs, with the seeds 0, 1, … (%(default)s)')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('effective_classes.png'),
        help='chart to write; the values go to a .csv file of the same name',
    )
    args = parser.parse_args()
    for name in ('iterations', 'runs'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} {getattr(args, name)} must be at least 1')
    for threshold in args.thresholds:
        if not 0 <= threshold < 1:
            parser.error(f'--thresholds {threshold} must lie in [0, 1): it is compared with shares of a label')
    args.config = args.config or DEFAULT
    for method in args.config:
        if len(method) < 2:
            parser.error(f'--config {method[0]} must be a name and the path of a config, and then any KEY=VALUE')
    return args


def load_method(name: str, path: str, *options: str) -> Method:
    """Read the config of a method from the command line."""
    parser = argparse.ArgumentParser(prog='KEY=VALUE of --config')
    parser.add_argument('options', nargs='*', action=CfgOptions)
    return Method(name, read_classifier_config(path, parser.parse_args(options).options or {}))


def count_effective(scores: Tensor, thresholds: Tensor) -> Tensor:
    """Count the classes whose share exceeds each threshold, averaged over the batch.

    Args:
        scores (Tensor): Mixed labels, ``(N, K)``.
        thresholds (Tensor): ``(T,)``.

    Returns:
        Tensor: ``(T,)``, float32.
    """
    return (scores > thresholds[:, None, None]).sum(2).float().mean(1)


def measure(methods: List[Method], num_runs: int, num_iterations: int, thresholds: Tensor) -> Tensor:
    """Count the effective classes of all methods and runs.

    Returns:
        Tensor: ``(M, num_runs, num_iterations, T)``.
    """
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn())
    # Methods usually share a data set, and reading it takes longer than counting.
    datasets: Dict[str, Any] = {}
    counts = []
    with Progress(*columns) as progress:
        for method in methods:
            key = str(method.cfg.train_dataloader.dataset)
            for seed in progress.track(range(num_runs), description=method.name):
                with missing_data_explained(method.cfg):
                    batches = MixedBatches(method.cfg, seed, labels_only=True, dataset=datasets.get(key))
                    datasets[key] = batches.loader.dataset
                    run = islice(batches, num_iterations)
                    counts.append(torch.stack([count_effective(batch.scores, thresholds) for batch in run]))
    return torch.stack(counts).view(len(methods), num_runs, num_iterations, -1)


def draw(names: List[str], counts: Tensor, thresholds: List[float], path: Path) -> None:
    """Draw the chart, a panel for each threshold.

    Args:
        names (list[str]): M methods.
        counts (Tensor): ``(M, runs, iterations, T)``.
        thresholds (list[float]): T of them.
        path (Path): Picture to write.
    """
    figure = Figure(figsize=(3.1 * len(thresholds) + 0.4, 3.5), layout='constrained')
    panels = figure.subplots(1, len(thresholds), sharey=True, squeeze=False)[0]
    iterations = range(1, 1 + counts.shape[2])
    for t, (panel, threshold) in enumerate(zip(panels, thresholds)):
        for name, values in zip(names, counts[..., t]):
            (line,) = panel.plot(iterations, values.mean(0), linewidth=1.2, label=name)
            panel.fill_between(
                iterations, values.amin(0), values.amax(0), color=line.get_color(), alpha=0.25, linewidth=0
            )
        panel.set_title(f'share > {threshold:g}', fontsize=10)
        panel.set_xlabel('iteration')
        panel.grid(alpha=0.3)
    panels[0].set_ylabel('effective classes of an image')
    panels[0].set_ylim(bottom=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc='outside upper center', ncols=len(names), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def write(names: List[str], counts: Tensor, thresholds: List[float], path: Path) -> None:
    """Write a row of values for each method, threshold and iteration; see :func:`draw` for the arguments."""
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['method', 'threshold', 'iteration', 'mean', *(f'run {run}' for run in range(counts.shape[1]))])
        for name, of_method in zip(names, counts):
            for t, threshold in enumerate(thresholds):
                for iteration, values in enumerate(of_method[..., t].T, 1):
                    numbers = [f'{value:.6g}' for value in (values.mean().item(), *values.tolist())]
                    writer.writerow([name, threshold, iteration, *numbers])


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    methods = [load_method(*method) for method in args.config]
    counts = measure(methods, args.runs, args.iterations, torch.tensor(args.thresholds))
    names = [method.name for method in methods]
    draw(names, counts, args.thresholds, args.out)
    table = args.out.with_suffix('.csv')
    write(names, counts, args.thresholds, table)
    for name, values in zip(names, counts.mean((1, 2)).tolist()):
        print(f'{name}: ' + ', '.join(f'{value:.2f} above {t:g}' for value, t in zip(values, args.thresholds)))
    print(f'Means of {args.iterations} iterations × {args.runs} runs. Written to {args.out} and {table}.')


if __name__ == '__main__':
    main()
