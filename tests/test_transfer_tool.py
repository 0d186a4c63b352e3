# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""tools/analysis_tools/transfer.py: runs, what is left of them after a crash, and the table."""

import json
import statistics

import pytest
from mmengine.config import Config

from . import synthetic
from .pretraining import CONFIGS, pretraining_config, save_classifier
from .processes import tool

TOOL = 'analysis_tools/transfer.py'


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Scenes and a checkpoint."""
    folder = tmp_path_factory.mktemp('transfer')
    cfg = Config.fromfile(CONFIGS / 'demo/pspnet_resnet18-slim_1xb8_fashion-scenes.py')
    checkpoint = save_classifier(pretraining_config(cfg), folder / 'pretrained.pth')
    return synthetic.fashion_scenes(folder / 'scenes'), checkpoint


def transfer(files, out, *arguments, **kwargs):
    root, checkpoint = files
    options = ['train_cfg.max_iters=2', 'train_dataloader.batch_size=2', 'val_dataloader.batch_size=2']
    options += [f'{name}_dataloader.dataset.data_root={root}' for name in ('train', 'val', 'test')]
    starts = ['--start', 'scratch=', '--start', f'RM={checkpoint}']
    return tool(TOOL, 'pspnet', *starts, '--out', out, *arguments, '--cfg-options', *options, **kwargs)


def test_runs_and_table(files, tmp_path):
    transfer(files, tmp_path, '--seeds', 0, 1)
    names = {f'pspnet_{start}_seed{seed}' for start in ('scratch', 'RM') for seed in (0, 1)}
    assert {path.parent.name for path in tmp_path.glob('*/metrics.json')} == names
    logs = {name: (tmp_path / name / 'output.txt').read_text() for name in names}
    assert all(('Backbone: all 120 tensors' in text) == ('RM' in name) for name, text in logs.items())
    assert all(f'seed={name[-1]}' in text.replace(' ', '') for name, text in logs.items())

    # Values of our own, which are not computed again.
    values = {'scratch': (10.0, 11.0), 'RM': (20.0, 26.0)}
    for start, pair in values.items():
        for seed, value in enumerate(pair):
            metrics = dict(mIoU=value, mAcc=2 * value, aAcc=3 * value)
            (tmp_path / f'pspnet_{start}_seed{seed}/metrics.json').write_text(json.dumps(metrics))
    transfer(files, tmp_path, '--seeds', 0, 1)
    assert {name: (tmp_path / name / 'output.txt').read_text() for name in names} == logs
    cells = [f'{statistics.mean(pair):.1f} ± {statistics.stdev(pair):.1f}' for pair in values.values()]
    table = (tmp_path / 'table.md').read_text().splitlines()
    assert table[0] == '| system | metric, % | scratch | RM |'
    assert table[2] == f'| pspnet | mIoU | {cells[0]} | {cells[1]} |'
    assert table[-1] == 'Mean ± standard deviation of seeds 0, 1.'


def test_failed_runs_are_reported(files, tmp_path):
    root, checkpoint = files
    output = transfer((root / 'nowhere', checkpoint), tmp_path, expect=1)
    assert '2 of 2 runs failed; the same command goes on.' in output
    assert 'train.py failed in' in output and 'nowhere/images/training is missing' in output
    # It does.
    assert 'mIoU' in transfer(files, tmp_path)
    assert len(list(tmp_path.glob('*/metrics.json'))) == 2


def test_wrong_options_are_explained(tmp_path):
    assert 'must be NAME=CHECKPOINT' in tool(TOOL, 'atss', '--start', 'RM', expect=2)
    output = tool(TOOL, 'atss', '--start', f'RM={tmp_path}/none.pth', expect=2)
    assert 'none.pth does not exist; pretrain it first' in output
