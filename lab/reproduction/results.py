# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""From the results of runs to means, intervals and differences."""

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

import pandas as pd

from .experiments import Experiment, Group
from .runs import Run

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A mean over seeds and its confidence interval.

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


def estimate(values: Union[pd.Series, Sequence[float]]) -> Optional[Estimate]:
    """Mean and 95 % interval, ``mean ± t · s / √n``.

    Args:
        values (Series or Sequence[float]): One for each of the ``n`` seeds;
            NaN where a seed has none.

    Returns:
        Estimate, optional: None without a value.
    """
    from scipy import stats

    values = pd.Series(values, dtype=float).dropna()
    if len(values) < 2:
        return Estimate(values.iloc[0], None) if len(values) else None
    # Not stats.t.interval, which is NaN if all values are equal.
    half_width = stats.t.isf((1 - CONFIDENCE) / 2, len(values) - 1) * values.sem()
    return Estimate(values.mean(), half_width)


def difference(
    values: Union[pd.Series, Mapping[int, float]], others: Union[pd.Series, Mapping[int, float]]
) -> Optional[Estimate]:
    """Paired difference, seed by seed, so that the effect of a seed on both cancels.

    Args:
        values (Series or Mapping[int, float]): Seed → value.
        others (Series or Mapping[int, float]): Subtracted from them.

    Returns:
        Estimate, optional: None without a common seed.
    """
    return estimate(pd.Series(values, dtype=float) - pd.Series(others, dtype=float))


def in_table_unit(metric: str, name: str, value: float) -> float:
    """A logged value as tables show it: errors instead of accuracies, percent instead of ratios."""
    if name.endswith('error, %'):
        return 100 - value
    return 100 * value if metric.startswith('coco/') else value


def collect(experiments: Dict[str, Experiment], runs: List[Run]) -> dict:
    """Everything that a report needs, as results.json stores it.

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
            str(run.seed): run.read('result.json') for run in runs if run.recipe == row.recipe and run.state() == 'done'
        }
        values = {}
        for position, (metric, name) in enumerate(metrics.items()):
            values[name] = {
                kind: {
                    seed: in_table_unit(metric, name, result[kind][metric])
                    for seed, result in results.items()
                    if metric in result[kind]
                }
                for kind in ('last', 'best')
            }
            values[name]['paper'] = row.paper[position] if position < len(row.paper) else None
        start = row.recipe.start
        rows.append(
            dict(
                label=row.label,
                x=row.x,
                config=f'configs/{row.recipe.config}',
                options=list(row.recipe.options),
                start=f'configs/{start.config}' if start else None,
                seconds={seed: result['seconds'] for seed, result in results.items()},
                metrics=values,
            )
        )
    return dict(name=group.name, paper=group.paper, rows=rows)
