# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What other projects see of mmrmix before they imported it."""

import os
import subprocess
import sys
from pathlib import Path

import mmengine
import pytest
from mmengine.config import Config

from mmrmix import config_path

ROOT = Path(__file__).parents[1]
FLAGSHIP = 'rm/resnet50_8xb64_imagenet.py'

# One process a scope: to import an mm package takes seconds.
RESOLVE = """
import importlib, sys
from mmengine.registry import DefaultScope, init_default_scope
import mmengine.registry as root

scope = sys.argv[1]
init_default_scope(scope)
importlib.import_module(scope)
assert DefaultScope.get_current_instance().scope_name == scope
own = importlib.import_module(f'{scope}.registry')
assert 'mmrmix' not in sys.modules

# From the library's registries first: nobody has imported mmrmix yet.
for registries in (own, root):
    for registry, name in [
        ('HOOKS', 'RMHistoryHook'),
        ('PARAM_SCHEDULERS', 'WarmupCosineLR'),
        ('TRANSFORMS', 'ClippedLighting'),
        ('MODELS', 'RMHead'),
    ]:
        cls = getattr(registries, registry).get(f'mmrmix.{name}')
        assert cls.__name__ == name, (registries, name, cls)
        assert cls.__module__.startswith('mmrmix.'), cls
head = own.MODELS.build(dict(type='mmrmix.RMHead', num_classes=7, in_channels=3))
assert (head.fc_roi.out_features, head.fc_roi.in_features) == (7, 3)
assert own.HOOKS.build(dict(type='mmrmix.RMHistoryHook', reset=None)).reset is None
assert DefaultScope.get_current_instance().scope_name == scope
print('resolved')
"""
BATCH_AUGMENT = """
import sys
from mmengine.registry import init_default_scope
from mmpretrain.registry import BATCH_AUGMENTS

init_default_scope('mmpretrain')
assert 'mmrmix' not in sys.modules
augment = BATCH_AUGMENTS.build(dict(type='mmrmix.RecursiveMix', alpha=0.25))
assert (type(augment).__name__, augment.alpha) == ('RecursiveMix', 0.25)
print('resolved')
"""
INHERIT = """
import sys
from mmengine.config import Config

assert 'mmrmix' not in sys.modules
config = Config.fromfile(sys.argv[1])
print(config.model.head.type, config.model.head.omega, config.model.backbone.depth, config.train_cfg.max_epochs)
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


class TestWithoutImport:
    @pytest.mark.parametrize('scope', ['mmengine', 'mmpretrain', 'mmdet', 'mmseg'])
    def test_types_resolve_from_the_default_scope(self, scope, tmp_path):
        pytest.importorskip(scope)
        assert run(RESOLVE, scope, cwd=tmp_path) == 'resolved'

    def test_batch_augment_resolves_through_mmpretrain(self, tmp_path):
        assert run(BATCH_AUGMENT, cwd=tmp_path) == 'resolved'

    def test_config_of_another_project(self, tmp_path):
        """``_base_`` is an expression, evaluated before any ``custom_imports``."""
        config = tmp_path / 'theirs.py'
        config.write_text(
            f"_base_ = [__import__('mmrmix').config_path('mmrmix', '{FLAGSHIP}')]\nmodel = dict(head=dict(omega=0.25))\n"
        )
        assert run(INHERIT, str(config), cwd=tmp_path) == 'mmrmix.RMHead 0.25 50 300'


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


class TestScopedBase:
    def test_base_with_our_scope(self, tmp_path):
        config = tmp_path / 'theirs.py'
        config.write_text(f"_base_ = ['mmrmix::{FLAGSHIP}']\nmodel = dict(head=dict(num_classes=12))\n")
        ours = Config.fromfile(ROOT / 'configs' / FLAGSHIP)
        theirs = Config.fromfile(config)
        assert theirs.model.head.num_classes == 12
        ours.model.head.num_classes = 12
        assert theirs.model.head.type in ('RMHead', 'mmrmix.RMHead')
        for key in ('optim_wrapper', 'param_scheduler', 'train_dataloader', 'custom_hooks'):
            assert key in theirs
        assert theirs.optim_wrapper.optimizer.lr == 0.2

    def test_the_closed_table_of_mmengine_is_only_extended(self):
        from mmengine.config.utils import MODULE2PACKAGE

        assert MODULE2PACKAGE['mmrmix'] == 'mmrmix'
        assert MODULE2PACKAGE['mmpretrain'] == 'mmpretrain'
        assert mmengine.config.utils.MODULE2PACKAGE is MODULE2PACKAGE
