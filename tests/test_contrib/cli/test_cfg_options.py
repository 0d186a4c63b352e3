# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Options of the command line have an effect, or stop the tool with what to set instead."""

import argparse
import sys

import pytest
from mmengine.config import Config
from mmengine.runner import FlexibleRunner, Runner

from mmrmix.contrib.cli.cfg_options import CfgOptions, read_config
from tests.helpers.paths import DEMO, ROOT
from tests.helpers.processes import load_script

COCO = ROOT / 'configs/detection/atss/atss_resnet50_8xb2-1x_coco.py'
VARIABLE = 'is a variable of the config file, which has already been read.'
ROOTS = 'Set {} instead.'.format(', '.join(f'{name}_dataloader.dataset.data_root' for name in ('test', 'train', 'val')))


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (
            'optim_wraper.optimizer.lr',
            '--cfg-options optim_wraper.optimizer.lr changes nothing: no setting is called optim_wraper. '
            'Do you mean optim_wrapper.optimizer.lr?',
        ),
        (
            'trian_cfg.max_epochs',
            '--cfg-options trian_cfg.max_epochs changes nothing: no setting is called trian_cfg. '
            'Do you mean train_cfg.max_epochs?',
        ),
        ('omega', '--cfg-options omega changes nothing: no setting is called omega. Do you mean model.head.omega?'),
        (
            'max_epochs',
            f'--cfg-options max_epochs changes nothing: max_epochs {VARIABLE} Set train_cfg.max_epochs instead.',
        ),
        ('data_root', f'--cfg-options data_root changes nothing: data_root {VARIABLE} {ROOTS}'),
        (
            'train_pipeline.0.type',
            f'--cfg-options train_pipeline.0.type changes nothing: train_pipeline {VARIABLE} '
            f'{ROOTS.replace("data_root", "pipeline.0.type")}',
        ),
        (
            'custom_imports.imports',
            '--cfg-options custom_imports.imports changes nothing: no setting is called custom_imports. '
            f'The config has {", ".join(sorted(Config.fromfile(DEMO)))}.',
        ),
    ],
)
def test_what_would_change_nothing(option, message):
    with pytest.raises(ValueError) as error:
        read_config(DEMO, {option: 1})
    assert str(error.value) == message


def test_a_preprocessor_that_the_model_has():
    """The one beside the model counts only where the model has none."""
    with pytest.raises(ValueError) as error:
        read_config(
            ROOT / 'configs/segmentation/pspnet/pspnet_resnet50_4xb4-80k_ade20k.py', {'data_preprocessor.std': 1}
        )
    assert str(error.value) == (
        '--cfg-options data_preprocessor.std changes nothing: the model has a data_preprocessor. '
        'Set model.data_preprocessor.std instead.'
    )
    assert read_config(DEMO, {'data_preprocessor.num_classes': 7}).data_preprocessor.num_classes == 7


def test_all_that_is_wrong_is_named():
    with pytest.raises(ValueError) as error:
        read_config(COCO, {'data_root': 'x', 'modle.type': 'x', 'load_from': 'x'})
    data, model = str(error.value).splitlines()
    assert 'val_evaluator.ann_file' in data and model.endswith('Do you mean model.type?')


def test_settings_that_the_config_does_not_have_yet():
    """Everything that the runners take, or read from the config by name, and what our tools read."""
    for runner in (Runner, FlexibleRunner):
        arguments = {**runner.__init__.__annotations__}
        arguments.pop('cfg')
        arguments.pop('return', None)
        for name in arguments:
            assert read_config(DEMO, {name: None})[name] is None
    for name in ('find_unused_parameters', 'model_wrapper_cfg', 'sync_bn', 'runner_type', 'tta_model', 'tta_pipeline'):
        assert read_config(DEMO, {name: 'x'})[name] == 'x'
    cfg = read_config(DEMO, {'custom_hooks.0.reset': None, 'auto_scale_lr.enable': True, 'resume': True})
    assert (cfg.custom_hooks[0].reset, cfg.auto_scale_lr.enable, cfg.resume) == (None, True, True)


def test_values_that_do_not_fit():
    with pytest.raises(ValueError, match='--cfg-options: Index 9 exceeds the length of list'):
        read_config(DEMO, {'custom_hooks.9.reset': None})
    with pytest.raises(FileNotFoundError, match=r'^none\.py: there is no such config\.$'):
        read_config('none.py')


def test_options_without_an_equals_sign(capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions)
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', 'model.head.omega', '0.1'])
    assert '--cfg-options model.head.omega: write KEY=VALUE, without spaces around "="' in capsys.readouterr().err
    args = parser.parse_args(['--cfg-options', 'a=1', '--cfg-options', 'b=2'])
    assert args.cfg_options == dict(a=1, b=2)


@pytest.mark.parametrize(
    'command',
    [
        ['tools/train.py', DEMO, '--cfg-options'],
        ['tools/test.py', DEMO, 'none.pth', '--cfg-options'],
        ['tools/visualization/browse_mix.py', DEMO, '--cfg-options'],
        ['tools/analysis_tools/effective_classes.py', '--config', 'RM', DEMO],
        ['lab/reproduce.py', 'plan', 'table3', '--cfg-options'],
        ['examples/to_recursive_mix.py', 'mmpretrain::resnet/resnet18_8xb32_in1k.py', 'none.py', '--cfg-options'],
    ],
    ids=lambda command: command[0],
)
def test_every_tool_stops(command, monkeypatch):
    """With the sentence, in this process: each reads its config by :func:`read_config`."""
    monkeypatch.setattr(sys, 'argv', [str(part) for part in [*command, 'trian_cfg.max_epochs=1']])
    with pytest.raises((SystemExit, ValueError)) as error:
        load_script(command[0]).main()
    assert 'Do you mean train_cfg.max_epochs?' in str(error.value)
