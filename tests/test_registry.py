# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What other projects see of mmrmix before they imported it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import HOOKS, MODELS, PARAM_SCHEDULERS

from mmrmix import config_path

ROOT = Path(__file__).parents[1]
FLAGSHIP = 'rm/resnet50_8xb64_imagenet.py'

# One process a scope, since importing an mm package takes seconds; what must
# find mmrmix not imported is tried in a fork.
RESOLVE = """
import importlib, os, sys, traceback
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
import mmengine.registry as root

scope, config_file = sys.argv[1:]
init_default_scope(scope)
importlib.import_module(scope)
own = importlib.import_module(f'{scope}.registry')


def fresh(test):
    pid = os.fork()
    if pid == 0:
        try:
            assert 'mmrmix' not in sys.modules
            test()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0, test.__name__


def batch_augment():
    augment = own.BATCH_AUGMENTS.build(dict(type='mmrmix.RecursiveMix', alpha=0.25))
    assert (type(augment).__name__, augment.alpha) == ('RecursiveMix', 0.25)


def inherited_config():
    config = Config.fromfile(config_file)
    assert (config.model.head.type, config.model.head.omega) == ('mmrmix.RMHead', 0.25)
    assert (config.model.backbone.depth, config.train_cfg.max_epochs) == (50, 300)


if scope == 'mmpretrain':
    fresh(batch_augment)
if scope == 'mmengine':
    fresh(inherited_config)
assert 'mmrmix' not in sys.modules
# From the library's registries first: nobody has imported mmrmix yet.
for registries in (own, root):
    for registry, name in [
        ('HOOKS', 'RMHistoryHook'),
        ('PARAM_SCHEDULERS', 'WarmupCosineLR'),
        ('TRANSFORMS', 'ClippedLighting'),
        ('MODELS', 'RMHead'),
        ('WEIGHT_INITIALIZERS', 'PretrainedBackbone'),
    ]:
        cls = getattr(registries, registry).get(f'mmrmix.{name}')
        assert cls.__name__ == name, (registries, name, cls)
        assert cls.__module__.startswith('mmrmix.'), cls
loss = dict(type='mmpretrain.CrossEntropyLoss')
head = own.MODELS.build(dict(type='mmrmix.RMHead', num_classes=7, in_channels=3, loss=loss))
assert (head.fc_roi.out_features, head.fc_roi.in_features) == (7, 3)
assert own.HOOKS.build(dict(type='mmrmix.RMHistoryHook', reset=None)).reset is None
assert root.DATASETS.get('mmrmix.FashionMNIST').__name__ == 'FashionMNIST'
assert root.FUNCTIONS.get('mmrmix.collate_whole_batch').__name__ == 'collate_whole_batch'
# RecursiveMix has no registry here, but is found from inside a classifier.
backbone = dict(type='ResNet_CIFAR', depth=18, stem_channels=8, base_channels=8)
mix = dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.25))
head = dict(type='mmrmix.RMHead', num_classes=7, in_channels=64)
classifier = dict(type='ImageClassifier', _scope_='mmpretrain', backbone=backbone, head=head, train_cfg=mix)
model = own.MODELS.build(dict(classifier, data_preprocessor=dict(num_classes=7)))
assert model.data_preprocessor.batch_augments.augments[0].alpha == 0.25
assert sys.modules['mmrmix'].link_history(model) is model.head.history
assert DefaultScope.get_current_instance().scope_name == scope
print('resolved')
"""


def run(code, *arguments, cwd):
    """Run Python code in a new process; returns what it printed last."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    process = subprocess.run(
        [sys.executable, '-c', code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env=environment,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize('scope', ['mmengine', 'mmpretrain', 'mmdet', 'mmseg'])
def test_types_and_configs_are_found_without_import(scope, tmp_path):
    """``_base_`` is an expression, evaluated before any ``custom_imports``."""
    pytest.importorskip(scope)
    config = tmp_path / 'theirs.py'
    config.write_text(
        f"_base_ = [__import__('mmrmix').config_path('mmrmix', '{FLAGSHIP}')]\nmodel = dict(head=dict(omega=0.25))\n"
    )
    assert run(RESOLVE, scope, str(config), cwd=tmp_path) == 'resolved'


class TestConfigPath:
    @pytest.mark.parametrize(
        'package, name',
        [
            ('mmrmix', FLAGSHIP),
            ('mmpretrain', '_base_/models/resnet50.py'),
            ('mmdet', 'atss/atss_r50_fpn_1x_coco.py'),
            ('mmseg', 'upernet/upernet_r50_4xb4-80k_ade20k-512x512.py'),
        ],
    )
    def test_finds_configs_of_mm_packages(self, package, name):
        pytest.importorskip(package)
        path = Path(config_path(package, name))
        assert path.is_absolute()
        assert path.is_file()
        assert path.as_posix().endswith(f'{package}/.mim/configs/{name}')

    def test_our_own_is_the_file_in_the_repository(self):
        assert Path(config_path('mmrmix', FLAGSHIP)).read_text() == (ROOT / 'configs' / FLAGSHIP).read_text()

    def test_missing_package(self):
        with pytest.raises(ModuleNotFoundError, match=r'Package "mmnothing" is not installed, so its config "a/b\.py"'):
            config_path('mmnothing', 'a/b.py')

    def test_missing_config_with_a_similar_name(self):
        with pytest.raises(FileNotFoundError) as error:
            config_path('mmrmix', 'rm/resnet50_8xb64_imagnet.py')
        assert 'mmrmix ships no config "rm/resnet50_8xb64_imagnet.py"' in str(error.value)
        assert FLAGSHIP in str(error.value).split('Similar ones:')[1]

    def test_missing_config_without_a_similar_name(self):
        with pytest.raises(FileNotFoundError, match=r'It ships [1-9]\d* configs\.'):
            config_path('mmrmix', 'qqq')

    def test_a_package_without_configs(self):
        with pytest.raises(FileNotFoundError, match=r'pytest ships no config "rm/x\.py"'):
            config_path('pytest', 'rm/x.py')


def test_base_with_our_scope(tmp_path):
    """After ``import mmrmix``, mmengine's own way to name a config works."""
    config = tmp_path / 'theirs.py'
    config.write_text(f"_base_ = ['mmrmix::{FLAGSHIP}']\nmodel = dict(head=dict(num_classes=12))\n")
    theirs = Config.fromfile(config)
    assert theirs.param_scheduler.T_max == 300
    model = MODELS.build(theirs.model)
    assert (type(model.head).__name__, model.head.fc.out_features) == ('RMHead', 12)
    assert model.data_preprocessor.batch_augments.augments[0].alpha == 0.5
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    scheduler = PARAM_SCHEDULERS.build(theirs.param_scheduler, default_args=dict(optimizer=optimizer))
    # The first of five warm-up epochs.
    assert scheduler.get_last_value() == pytest.approx([0.2 / 6])
    assert type(HOOKS.build(theirs.custom_hooks[0])).__name__ == 'RMHistoryHook'
