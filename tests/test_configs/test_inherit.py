# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Another project inherits our configs and trains with mmpretrain's, mmdet's and mmseg's own tools: docs/inherit.md."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmrmix import config_path
from tests.helpers import synthetic
from tests.helpers.paths import PYTHON, ROOT
from tests.helpers.pretraining import pretraining_config, save_classifier
from tests.helpers.processes import run

CONFIGS = {
    'mmpretrain': 'demo/resnet10_1xb64_fashion-mnist.py',
    'mmdet': 'demo/atss_resnet18-slim_1xb8_fashion-scenes.py',
    'mmseg': 'demo/upernet_resnet18-slim_1xb8_fashion-scenes.py',
}
# Imports what all runs share, and runs a tool for each config in a fork, where nobody has imported mmrmix.
RUN = """
import importlib, os, runpy, sys
tool, modules, *configs = sys.argv[1:]
for module in modules.split(','):
    importlib.import_module(module)
for config in configs:
    assert 'mmrmix' not in sys.modules
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        with open(f'{config}.log', 'w') as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        sys.argv = [tool, config]
        status = 1
        try:
            runpy.run_path(tool, run_name='__main__')
            status = 0
        except BaseException as error:
            print(f'{type(error).__name__}: {error}')
        sys.stdout.flush()
        os._exit(status)
    os.waitpid(pid, 0)
"""
READ = """
import sys
from mmengine.config import Config

cfg = Config.fromfile(sys.argv[1])
cfg.dump(f'{sys.argv[1]}.dumped.py')
print('read', cfg.model.head.type)
"""


def expression(name):
    return f"__import__('mmrmix').config_path('mmrmix', '{name}')"


def bases(name):
    """Three ways to name one of our configs."""
    return {
        'expression': expression(name),
        'relative': f"'mmrmix_configs/{name}'",
        'prefix': f"__import__('mmrmix') and 'mmrmix::{name}'",
    }


def start(project, tool, modules, configs, **environment):
    """Run a tool in the project on each config; returns what each printed."""
    code = f'import os; os.chdir({str(project)!r})\n{RUN}'
    run(PYTHON, '-c', code, tool, ','.join(modules), *configs, **environment)
    return {config: (project / f'{config}.log').read_text() for config in configs}


def losses(work_dir):
    (log,) = work_dir.glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    return [{key: value for key, value in entry.items() if 'loss' in key} for entry in entries if 'loss' in entry]


@pytest.fixture
def project(tmp_path):
    """A folder that has nothing of ours but a link to the configs."""
    folder = tmp_path / 'project'
    folder.mkdir()
    (folder / 'mmrmix_configs').symlink_to(ROOT / 'configs')
    return folder


def train(project, library, text, *others):
    """Train with the library's own tool on a config for each way, and on others; returns what each run printed."""
    for way, base in bases(CONFIGS[library]).items():
        (project / f'{way}.py').write_text(f'_base_ = [{base}]\n{text}')
    tool = Path(find_spec(library).origin).parent / '.mim/tools/train.py'
    modules = ['mmengine.runner', f'{library}.models', f'{library}.datasets', f'{library}.evaluation']
    if library == 'mmdet':  # Whose tool takes it in.
        modules.append('torch._dynamo')
    return start(project, tool, modules, [*(f'{way}.py' for way in bases('')), *others])


PURE_BASE = """
from mmengine.dataset import DefaultSampler
from mmpretrain.datasets import PackInputs
from mmpretrain.models import ClsDataPreprocessor, GlobalAveragePooling, ImageClassifier, LinearClsHead, ResNet_CIFAR
from torch.optim import SGD

from mmrmix.contrib import FashionMNIST

default_scope = 'mmpretrain'
model = dict(
    type=ImageClassifier,
    data_preprocessor=dict(type=ClsDataPreprocessor, num_classes=10, mean=[72.94], std=[90.02]),
    backbone=dict(type=ResNet_CIFAR, depth=18, in_channels=1, stem_channels=8, base_channels=8, num_stages=1,
                  out_indices=(0,), strides=(2,), dilations=(1,)),
    neck=dict(type=GlobalAveragePooling),
    head=dict(type=LinearClsHead, num_classes=10, in_channels=8),
)
train_dataloader = dict(
    batch_size=50, num_workers=0, persistent_workers=False, sampler=dict(type=DefaultSampler, shuffle=True),
    dataset=dict(type=FashionMNIST, data_root='DATA', pipeline=[dict(type=PackInputs)]),
)
optim_wrapper = dict(optimizer=dict(type=SGD, lr=0.1))
train_cfg = dict(by_epoch=True, max_epochs=1)
default_hooks = dict(logger=dict(type='LoggerHook', interval=1))
log_processor = dict(window_size=1)
"""
PURE = """
from mmengine.config import read_base

from mmrmix.engine import RMHistoryHook
from mmrmix.models import RecursiveMix, RMHead

with read_base():
    from .base import *

model.update(neck=None, train_cfg=dict(augments=dict(type=RecursiveMix)))
model.head.update(type=RMHead, omega=0.5)
custom_hooks = [dict(type=RMHistoryHook)]
# Some seeds draw a box without a pixel.
randomness = dict(seed=0)
"""


def test_mmpretrain_trains(project, data):
    """The three ways train alike, with RecursiveMix; so does a config in pure Python with our classes."""
    (project / 'base.py').write_text(PURE_BASE.replace('DATA', str(data)))
    (project / 'pure.py').write_text(PURE)
    text = f"""
custom_hooks = [dict(type='mmrmix.RMHistoryHook', reset=None)]
default_hooks = dict(logger=dict(interval=1))
log_processor = dict(window_size=1)
randomness = dict(seed=0)
train_dataloader = dict(batch_size=50, dataset=dict(data_root='{data}'))
val_dataloader = dict(dataset=dict(data_root='{data}'))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
"""
    output = train(project, 'mmpretrain', text, 'pure.py')
    logs = {}
    for name, printed in output.items():
        work_dir = project / 'work_dirs' / name[:-3]
        checkpoint = work_dir / 'epoch_1.pth'
        assert checkpoint.is_file(), printed[-3000:]
        logs[name] = losses(work_dir)
        assert [entry['loss_consistency'] > 0 for entry in logs[name]] == [False, True, True, True]
        checkpoint = torch.load(checkpoint, weights_only=False)
        assert {'head.fc.weight', 'head.fc_roi.weight'} <= checkpoint['state_dict'].keys()
        if name != 'pure.py':  # Whose history would be cleared at the next epoch.
            (triple,) = checkpoint['hook_msgs']['rm_history']['triples']
            assert triple['inputs'].shape == (50, 1, 28, 28)
            # Labels of four batches, each mixed with the last.
            assert ((triple['scores'] > 0).sum(1) > 1).any()
    assert logs['expression.py'] == logs['relative.py'] == logs['prefix.py']


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """Folder of four scenes, and beside it a checkpoint of the RM pretraining that the configs name."""
    root = synthetic.fashion_scenes(tmp_path_factory.mktemp('scenes') / 'scenes')
    cfg = Config.fromfile(ROOT / 'configs' / CONFIGS['mmdet'])
    save_classifier(pretraining_config(cfg), root.with_name('pretrained.pth'))
    return root


@pytest.mark.slow
@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_mmdet_and_mmseg_train(library, project, scenes):
    """Two ways train alike, from an RM checkpoint; ``mmrmix::`` makes everything ours, and we have no detectors."""
    text = f"""
model = dict(backbone=dict(init_cfg=dict(checkpoint='{scenes.with_name('pretrained.pth')}')))
default_hooks = dict(logger=dict(interval=1))
train_dataloader = dict(batch_size=2, dataset=dict(data_root='{scenes}/'))
train_cfg = dict({'max_epochs=1' if library == 'mmdet' else 'max_iters=2'})
val_cfg = val_dataloader = val_evaluator = None
"""
    output = train(project, library, text)
    logs = []
    for way in ('expression', 'relative'):
        printed = output[f'{way}.py']
        assert 'Backbone: all 120 tensors of ' in printed, printed[-3000:]
        logs.append(losses(project / 'work_dirs' / way))
        assert len(logs[-1]) == 2
    assert logs[0] == logs[1]
    assert 'is not in the mmrmix::' in output['prefix.py'].splitlines()[-1]


NAME = 'rm/resnet18_2xb64_cifar100.py'
# What stands in a config, and what comes of it.
FORMS = {
    **{way: (f'_base_ = [{base}]', 'read mmrmix.RMHead') for way, base in bases(NAME).items()},
    'without a list': (f'_base_ = {expression(NAME)}', 'read mmrmix.RMHead'),
    'after an expression': (
        f"_base_ = [{expression('_base_/default_runtime.py')}, 'mmrmix::_base_/models/resnet18_cifar.py']",
        'read LinearClsHead',
    ),
    'prefix alone': (f"_base_ = ['mmrmix::{NAME}']", 'mmengine does not support to load mmrmix config'),
    'custom_imports': (
        f"custom_imports = dict(imports=['mmrmix'])\n_base_ = ['mmrmix::{NAME}']",
        'mmengine does not support to load mmrmix config',
    ),
    'import': (f"import mmrmix\n_base_ = ['mmrmix::{NAME}']", 'ConfigParsingError: The configuration file type'),
    'variable': (
        f"mmrmix = __import__('mmrmix')\n_base_ = [mmrmix.config_path('mmrmix', '{NAME}')]",
        "NameError: name 'mmrmix' is not defined",
    ),
    'read_base': (
        'from mmengine.config import read_base\nwith read_base():\n    from .mmrmix_configs.rm.resnet18_2xb64_cifar100 import *',
        'ConfigParsingError: The configuration file type',
    ),
}


def test_forms(project):
    """Every form that docs/inherit.md mentions; ``PYTHONSTARTUP`` is for interactive sessions, and changes nothing."""
    (project / 'startup').mkdir()
    startup = project / 'startup/sitecustomize.py'
    startup.write_text('import mmrmix\n')
    (project / 'read.py').write_text(READ)
    for name, (text, _) in FORMS.items():
        (project / f'{name}.py').write_text(f'{text}\n')
    names = [f'{name}.py' for name in FORMS]
    printed = start(project, 'read.py', ['mmengine.runner'], names, PYTHONSTARTUP=str(startup))
    last = {name: (printed[f'{name}.py'].splitlines() or [''])[-1] for name in FORMS}
    wrong = {name: last[name] for name, (_, expected) in FORMS.items() if expected not in printed[f'{name}.py']}
    assert not wrong
    # A relative path reads what the expression reads.
    dumped = [(project / f'{way}.py.dumped.py').read_text() for way in ('expression', 'relative')]
    assert dumped[0] == dumped[1]

    command = [PYTHON, project / 'read.py', project / 'prefix alone.py']
    assert 'read mmrmix.RMHead' in run(*command, PYTHONPATH=f'{startup.parent}:{ROOT}')


def documented(start):
    """The block of docs/inherit.md that has this text in it."""
    (block,) = [
        block
        for block in re.findall(r'```python\n(.+?)```', (ROOT / 'docs/inherit.md').read_text(), re.DOTALL)
        if start in block
    ]
    return block


def test_documented_settings(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(documented('num_classes=20'))
    cfg = Config.fromfile(config)
    for split in ('train', 'val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.type == 'CustomDataset'
        assert cfg[f'{split}_dataloader'].dataset.pipeline[0].type == 'LoadImageFromFile'
    assert (cfg.train_dataloader.batch_size, cfg.train_dataloader.num_workers) == (32, 8)
    # Nothing of ImageNet is left in the labels or in the classifier.
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    assert model.data_preprocessor.num_classes == model.head.fc_roi.out_features == 20
    assert model.data_preprocessor.batch_augments.augments[0].alpha == 0.3

    # The lines on top of a config of one's own, and of a detector.
    (tmp_path / 'my_config.py').write_text("_base_ = ['mmpretrain::resnet/resnet18_8xb16_cifar10.py']\n")
    config.write_text(documented("['my_config.py']"))
    cfg = Config.fromfile(config)
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    assert (model.head.omega, model.head.num_classes, model.neck) == (0.5, 10, None)
    detector = config_path('mmdet', 'retinanet/retinanet_r50_fpn_1x_coco.py')
    config.write_text(f'_base_ = {detector!r}\n{documented("PretrainedBackbone")}')
    checkpoint = 'work_dirs/resnet50_8xb64_imagenet/best_*.pth'
    expected = dict(type='mmrmix.PretrainedBackbone', checkpoint=checkpoint)
    assert Config.fromfile(config).model.backbone.init_cfg == expected
