# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import csv
import sys

import cv2
import pytest
import torch

from tests.helpers.processes import load_script
from tests.helpers.recursion import demo, recursion


@pytest.fixture(scope='module')
def effective_classes():
    return load_script('tools/analysis_tools/effective_classes.py')


@pytest.fixture
def count(monkeypatch, effective_classes, tmp_path, capsys):
    """Run the tool in this process; returns what it printed and its table."""

    def call(*arguments):
        out = tmp_path / 'out/chart.png'
        monkeypatch.setattr(sys, 'argv', ['effective_classes.py', *map(str, arguments), '--out', str(out)])
        effective_classes.main()
        with out.with_suffix('.csv').open() as file:
            return capsys.readouterr().out, list(csv.DictReader(file)), cv2.imread(str(out))

    return call


def test_by_hand(effective_classes):
    scores = torch.tensor([[0.5, 0.25, 0.125, 0.125], [1.0, 0.0, 0.0, 0.0]])
    # Shares that are equal to the threshold do not count.
    counts = effective_classes.count_effective(scores, torch.tensor([0.5, 0.25, 0.2, 0.0, 0.9]))
    assert counts.tolist() == [0.5, 1.0, 1.5, 2.5, 0.5]


def test_chart_and_table(count, data):
    """Every number of the table, worked out from the recursion and the labels."""
    root = f'train_dataloader.dataset.data_root={data}'
    methods = ['--config', 'none', demo('-baseline'), root, '--config', 'CutMix', demo('-cutmix'), root]
    methods += ['--config', 'RM', demo(), root, 'train_dataloader.sampler.shuffle=False']
    output, table, chart = count(*methods, '--iterations', 6, '--runs', 2, '--thresholds', 0.1, 0.001)
    assert chart.shape[:2] == (350, 660)
    assert len(table) == 3 * 2 * 6
    assert {row['mean'] for row in table if row['method'] == 'none'} == {'1'}
    assert all(1 <= float(row['run 0']) <= 2 for row in table if row['method'] == 'CutMix')

    means = []
    for threshold in (0.1, 0.001):
        rows = [row for row in table if row['method'] == 'RM' and float(row['threshold']) == threshold]
        assert [int(row['iteration']) for row in rows] == [1, 2, 3, 4, 5, 6]
        for run in (0, 1):
            expected = [
                sum(sum(share > threshold for share in shares.values()) for shares in batch) / len(batch)
                for _, _, _, batch in recursion(data, 6, seed=run)
            ]
            assert [float(row[f'run {run}']) for row in rows] == pytest.approx(expected, rel=1e-5)
        assert [float(row['mean']) for row in rows] == pytest.approx(
            [(float(row['run 0']) + float(row['run 1'])) / 2 for row in rows], rel=1e-5
        )
        means.append(sum(float(row['mean']) for row in rows) / 6)
    assert f'RM: {means[0]:.2f} above 0.1, {means[1]:.2f} above 0.001' in output


def test_overrides(effective_classes):
    method = effective_classes.load_method('x', demo('-cutmix'), 'model.train_cfg.augments.alpha=0.25')
    assert method.cfg.model.train_cfg.augments == dict(type='CutMix', alpha=0.25)


def test_default_methods(effective_classes):
    """The demo's."""
    methods = [effective_classes.load_method(*method) for method in effective_classes.DEFAULT]
    augments = [method.cfg.model.get('train_cfg', {}).get('augments', {}).get('type') for method in methods]
    assert augments == [None, 'Mixup', 'CutMix', 'mmrmix.RecursiveMix']


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['--config', 'RM'], '--config RM must be a name and the path of a config'),
        (['--thresholds', '0.1', '1.5'], '--thresholds 1.5 must lie in [0, 1)'),
        (['--runs', '0'], '--runs 0 must be at least 1'),
    ],
)
def test_wrong_arguments(count, capsys, arguments, sentence):
    with pytest.raises(SystemExit):
        count(*arguments)
    assert sentence in capsys.readouterr().err


def test_other_libraries(count):
    with pytest.raises(SystemExit, match="default_scope='mmdet', but this tool draws classifiers"):
        count(
            '--config',
            'ATSS',
            demo('').replace('resnet10_1xb64_fashion-mnist', 'atss_resnet18-slim_1xb8_fashion-scenes'),
        )
