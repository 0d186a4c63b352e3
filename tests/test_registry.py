# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What other projects see of mmrmix before they imported it."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import HOOKS, MODELS, PARAM_SCHEDULERS

from mmrmix import config_path
from tests.helpers.paths import FLAGSHIP, PYTHON, ROOT
from tests.helpers.scopes import RESOLVE


def run(code, *arguments, cwd):
    """Run Python code in a new process; returns what it printed last."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    process = subprocess.run(
        [PYTHON, '-c', code, *arguments],
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
