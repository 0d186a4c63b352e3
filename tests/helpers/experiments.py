# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Runs of lab/reproduce.py without any training."""

from pathlib import Path

from reproduction import runs
from reproduction.experiments import CLASSIFICATION, Experiment, Group, Recipe, Row


def rows_of(experiments):
    return [row for experiment in experiments.values() for group in experiment.groups for row in group.rows]


def tiny_experiment(out, accuracies):
    """Baseline, CutMix and RM with the results of two seeds."""
    rows = [
        Row(label, Recipe(f'demo/resnet14_1xb64{suffix}_fashion-2k.py'), (paper,))
        for label, suffix, paper in (('baseline', '-baseline', 20.0), ('CutMix', '-cutmix', 19.0), ('RM', '', 18.0))
    ]
    experiments = {'table3': Experiment('Table 3', CLASSIFICATION, [Group('tiny', rows, 'large')])}
    wanted = runs.runs_of(experiments, [0, 1], out)
    for each in wanted:
        values = accuracies.get(Path(each.recipe.config).stem.split('_')[1].removeprefix('1xb64').strip('-') or 'rm')
        if values:
            each.write('run.json', dict(fingerprint=each.fingerprint()))
            last, best = {'accuracy/top1': values[each.seed]}, {'accuracy/top1': values[each.seed] + 1}
            each.write('result.json', dict(seconds=60, last=last, best=best))
    return experiments, wanted
