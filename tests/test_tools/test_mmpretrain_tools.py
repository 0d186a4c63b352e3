# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""mmpretrain's own tools on our configs: what the table in docs/inherit.md says."""

import re
from importlib.util import find_spec
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.utils import digit_version
from mmpretrain.visualization import UniversalVisualizer

from tests.helpers.paths import DEMO, PYTHON, ROOT
from tests.helpers.processes import options as demo_options
from tests.helpers.processes import run, tool

TOOLS = Path(find_spec('mmpretrain').origin).parent / '.mim/tools'
FOLDER = """
_base_ = ['{root}/configs/rm/resnet50_8xb64_imagenet.py']
model = dict(backbone=dict(depth=18), head=dict(num_classes=2, in_channels=512, topk=(1,)))
data_preprocessor = dict(num_classes=2)
loader = dict(batch_size=4, num_workers=0, persistent_workers=False)
train_dataloader = dict(
    **loader, dataset=dict(_delete_=True, type='CustomDataset', data_root='{data}', pipeline=_base_.train_pipeline)
)
val_dataloader = dict(
    **loader, dataset=dict(_delete_=True, type='CustomDataset', data_root='{data}', pipeline=_base_.test_pipeline)
)
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
"""


def table():
    """Whether each tool works with image folders, and with data sets in memory."""
    rows = re.findall(
        r'^\| `([a-z_/]+\.py)`(?:, `([a-z_]+\.py)`)? \| (yes|no) \| (yes|no) \|',
        (ROOT / 'docs/inherit.md').read_text(),
        re.M,
    )
    return {name: (folder == 'yes', memory == 'yes') for *names, folder, memory in rows for name in names if name}


def commands(config, checkpoint, predictions, log, picture, out):
    """Arguments of each tool."""
    return {
        'train.py': [config, '--work-dir', out / 'trained'],
        'test.py': [config, checkpoint, '--work-dir', out / 'tested'],
        'misc/print_config.py': [config],
        'misc/verify_dataset.py': [config, '--out-path', out / 'broken.log'],
        'visualization/browse_dataset.py': [config, '-o', out / 'browse', '-n', '2', '--not-show'],
        'visualization/vis_scheduler.py': [config, '--dataset-size', '640', '--not-show', '--save-path', out / 'lr.png'],
        'visualization/vis_cam.py': [picture, config, checkpoint, '--save-path', out / 'cam.png'],
        'visualization/vis_tsne.py': [config, '--checkpoint', checkpoint, '--work-dir', out / 'tsne', '--n-iter', '250',
                                      '--perplexity', '3', '--max-num-class', '2', '--max-num-samples', '8'],
        'analysis_tools/analyze_logs.py': ['plot_curve', log, '--keys', 'loss', '--out', out / 'loss.png'],
        'analysis_tools/analyze_results.py': [config, predictions, '--out-dir', out / 'results', '--topk', '2'],
        'analysis_tools/eval_metric.py': [predictions, '--metric', 'type=Accuracy', 'topk=1'],
        'analysis_tools/confusion_matrix.py': [config, predictions, '--show-path', out / 'matrix.png'],
        'analysis_tools/get_flops.py': [config, '--shape', '32'],
        'model_converters/publish_model.py': [checkpoint, out / 'published.pth'],
    }  # fmt: skip


TAKES_OPTIONS = [name for name in table() if not re.search('log|eval|flops|publish', name)]


@pytest.mark.parametrize('path', sorted((ROOT / 'configs/demo').glob('resnet*.py')), ids=lambda path: path.stem)
def test_the_visualizer_is_plain(path):
    """``browse_dataset.py`` passes all that stands there on to the class, also a ``_scope_``."""
    visualizer = Config.fromfile(path).visualizer.to_dict()
    assert visualizer.pop('type') == 'UniversalVisualizer'
    assert list(visualizer) == ['vis_backends']
    UniversalVisualizer(**{**visualizer, 'vis_backends': None})


def test_all_tools_are_in_the_table():
    """But those that have nothing to do with a config of ours."""
    others = {'kfold-cross-valid.py', 'analysis_tools/shape_bias.py', 'analysis_tools/utils.py'}
    names = {path.relative_to(TOOLS).as_posix() for path in TOOLS.rglob('*.py')}
    names = {name for name in names if not name.startswith(('torchserve', 'dataset_conv', 'model_conv'))}
    assert table().keys() == names - others | {'model_converters/publish_model.py'}
    assert commands(*'abcdef'[:5], Path('f')).keys() == table().keys()


@pytest.fixture(scope='module')
def cases(tmp_path_factory, data):
    """For image folders and for Fashion-MNIST: arguments of the tools, and options of those that take any."""
    root = tmp_path_factory.mktemp('tools')
    pictures = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), dtype=np.uint8)
    for i, picture in enumerate(pictures):
        path = root / 'images' / 'ab'[i % 2] / f'{i}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture)
    folder = root / 'folder.py'
    folder.write_text(FOLDER.format(root=ROOT, data=root / 'images'))
    found = []
    for name, config, given in (('folder', folder, []), ('memory', DEMO, demo_options(data, 1))):
        out = root / name
        tool('train.py', config, '--work-dir', out, *given)
        tool('test.py', config, out / 'epoch_1.pth', '--work-dir', out / 'test', '--out', out / 'test.pkl', *given)
        (log,) = out.glob('*/vis_data/scalars.json')
        found.append((commands(config, out / 'epoch_1.pth', out / 'test.pkl', log, path, out), given))
    return found


@pytest.mark.slow
@pytest.mark.parametrize('name', table())
def test_table(name, cases):
    if name.endswith('browse_dataset.py') and digit_version(matplotlib.__version__) >= digit_version('3.10'):
        pytest.skip('this matplotlib is too new for the tool')
    for works, (arguments, given) in zip(table()[name], cases):
        if name.endswith('publish_model.py') and digit_version(torch.__version__) < digit_version('2.6'):
            works = True
        extra = list(given) if name in TAKES_OPTIONS else []
        run(PYTHON, TOOLS / name, *arguments[name], *extra, expect=0 if works else 1, MPLBACKEND='Agg')
