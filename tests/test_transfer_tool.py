# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""tools/analysis_tools/transfer.py: runs, what is left of them after a crash, and the table."""

import json

import pytest
from mmengine.config import Config

from . import synthetic
from .pretraining import CONFIGS, pretraining_config, save_classifier
from .processes import load_tool, tool

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


@pytest.mark.slow
def test_runs(files, tmp_path):
    """They fail, succeed when asked again, and then are done."""
    root, checkpoint = files
    output = transfer((root / 'nowhere', checkpoint), tmp_path, expect=1)
    assert '2 of 2 runs failed; the same command goes on.' in output
    assert 'train.py failed in' in output and 'nowhere/images/training is missing' in output

    transfer(files, tmp_path)
    names = {'pspnet_scratch_seed0', 'pspnet_RM_seed0'}
    assert {path.parent.name for path in tmp_path.glob('*/metrics.json')} == names
    logs = {name: (tmp_path / name / 'output.txt').read_text() for name in names}
    assert all(('Backbone: all 120 tensors' in text) == ('RM' in name) for name, text in logs.items())
    table = (tmp_path / 'table.md').read_text()
    assert transfer(files, tmp_path).count('mIoU') == 1  # In the table alone.
    assert {name: (tmp_path / name / 'output.txt').read_text() for name in names} == logs
    assert (tmp_path / 'table.md').read_text() == table


def test_table(tmp_path):
    """Means and standard deviations; mmdet's ratios as percent, mmseg's percent as they are."""
    module = load_tool(TOOL)
    values = {
        ('atss', 'scratch'): [{'coco/bbox_mAP': 0.1, 'coco/bbox_mAP_50': v, 'other': 1} for v in (0.25, 0.35)],
        ('atss', 'RM'): [{'coco/bbox_mAP': 0.2, 'coco/bbox_mAP_50': v} for v in (0.5, 0.53)],
        ('upernet', 'scratch'): [{'mIoU': v, 'mAcc': 50.0} for v in (10.0, 11.0)],
        ('upernet', 'RM'): [{'mIoU': v, 'mAcc': 60.0} for v in (20.0, 26.0)],
    }
    runs = []
    for (system, start), metrics in values.items():
        for seed in (0, 1):
            runs.append(module.Run(system, start, '', seed, tmp_path / f'{system}_{start}_{seed}'))
            runs[-1].work_dir.mkdir()
            (runs[-1].work_dir / 'metrics.json').write_text(json.dumps(metrics[seed]))
    lines = module.table(runs).splitlines()
    assert lines[0] == '| system | metric, % | scratch | RM |'
    assert lines[2:] == [
        '| atss | box AP | 10.0 ± 0.0 | 20.0 ± 0.0 |',
        '| atss | box AP50 | 30.0 ± 7.1 | 51.5 ± 2.1 |',
        '| upernet | mIoU | 10.5 ± 0.7 | 23.0 ± 4.2 |',
        '| upernet | mAcc | 50.0 ± 0.0 | 60.0 ± 0.0 |',
        '',
        'Mean ± standard deviation of seeds 0, 1.',
    ]
    assert module.table([run for run in runs if run.seed == 1]).splitlines()[-1] == 'Seed 1.'


def test_wrong_options_are_explained(tmp_path):
    assert 'must be NAME=CHECKPOINT' in tool(TOOL, 'atss', '--start', 'RM', expect=2)
    output = tool(TOOL, 'atss', '--start', f'RM={tmp_path}/none.pth', expect=2)
    assert 'none.pth does not exist; pretrain it first' in output
