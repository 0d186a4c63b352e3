# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""From the results of runs to means, intervals and differences."""

import statistics
from typing import Dict, List, NamedTuple, Optional, Sequence

from scipy import stats

from .experiments import Experiment, Group
from .runs import Run

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A mean, and how far the true one may be from it.

    Attributes:
        mean (float): Mean of the seeds.
        half_width (float, optional): Half of the 95 % interval by Student's
            t distribution. None for a single seed.
    """

    mean: float
    half_width: Optional[float]

    @property
    def excludes_zero(self) -> bool:
        """bool: Whether the interval lies on one side of zero."""
        return self.half_width is not None and abs(self.mean) > self.half_width

    def text(self, digits: int = 2, sign: str = '') -> str:
        """``86.60 ± 0.31``; with ``sign='+'`` also ``+0.52 ± 0.31``."""
        spread = '' if self.half_width is None else f' ± {self.half_width:.{digits}f}'
        return f'{self.mean:{sign}.{digits}f}{spread}'


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % interval.

    Args:
        values (Sequence[float]): One for each seed, at least one.
    """
    number = len(values)
    if number == 1:
        return Estimate(values[0], None)
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, number - 1)
    return Estimate(statistics.mean(values), float(quantile * statistics.stdev(values) / number**0.5))


def difference(values: Dict[int, float], others: Dict[int, float]) -> Optional[Estimate]:
    """Paired difference: seed by seed, so that what a seed brings both of them cancels.

    Args:
        values (dict[int, float]): Seed → value.
        others (dict[int, float]): What is subtracted.

    Returns:
        Estimate, optional: None without a common seed.
    """
    seeds = sorted(values.keys() & others.keys())
    return estimate([values[seed] - others[seed] for seed in seeds]) if seeds else None


def in_unit_of(metric: str, name: str, value: float) -> float:
    """A logged value as tables have it: errors instead of accuracies, percent instead of ratios."""
    if name.endswith('error, %'):
        return 100 - value
    return 100 * value if metric.startswith('coco/') else value


def collect(experiments: Dict[str, Experiment], runs: List[Run]) -> dict:
    """All that a report needs, as it is written to results.json.

    Returns:
        dict: name → ``title``, ``axis``, ``groups``; a group has ``name``,
        ``paper`` and ``rows``; a row ``label``, ``x``, ``config``,
        ``options`` and ``metrics``; a metric's name → ``last`` and ``best``
        (seed → value) and ``paper``.
    """
    return {
        name: dict(
            title=experiment.title,
            axis=experiment.axis,
            groups=[_collect_group(group, experiment.metrics, runs) for group in experiment.groups],
        )
        for name, experiment in experiments.items()
    }


def _collect_group(group: Group, metrics: Dict[str, str], runs: List[Run]) -> dict:
    rows = []
    for row in group.rows:
        results = {
            run.seed: run.note('result.json') for run in runs if run.training == row.training and run.state() == 'done'
        }
        values = {}
        for position, (metric, name) in enumerate(metrics.items()):
            values[name] = {
                kind: {
                    str(seed): in_unit_of(metric, name, result[kind][metric])
                    for seed, result in results.items()
                    if metric in result[kind]
                }
                for kind in ('last', 'best')
            }
            values[name]['paper'] = row.paper[position] if position < len(row.paper) else None
        start = f'configs/{row.training.start.config}' if row.training.start else None
        rows.append(
            dict(
                label=row.label,
                x=row.x,
                config=f'configs/{row.training.config}',
                options=list(row.training.options),
                start=start,
                seconds={str(seed): result['seconds'] for seed, result in results.items()},
                metrics=values,
            )
        )
    return dict(name=group.name, paper=group.paper, rows=rows)
