# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Every file in configs/ is parsed, dumped, built, trained and evaluated."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmrmix.models import RMHead

from . import synthetic

ROOT = Path(__file__).parents[1] / 'configs'
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix() for path in ROOT.rglob('*.py') if '_base_' not in path.relative_to(ROOT).parts
)
DATA = {'ImageNet': synthetic.imagenet, 'mmrmix.FashionMNIST': synthetic.fashion_mnist}


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    """Folder of a small data set for a data set type, made once."""
    made = {}

    def root(dataset_type):
        if dataset_type not in DATA:
            pytest.fail(f'No synthetic data for {dataset_type}: teach tests/test_configs.py how to run it.')
        if dataset_type not in made:
            made[dataset_type] = DATA[dataset_type](tmp_path_factory.mktemp('data') / dataset_type)
        return made[dataset_type]

    return root


def short_run(cfg, data_root, work_dir):
    """Two iterations of two images, and an evaluation."""
    cfg.work_dir = str(work_dir)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[name].update(batch_size=2, num_workers=0, persistent_workers=False)
        cfg[name].dataset.data_root = str(data_root(cfg[name].dataset.type))
        cfg[name].dataset.indices = 4
    cfg.train_cfg.update(dict(max_epochs=1) if cfg.train_cfg.by_epoch else dict(max_iters=2, val_interval=2))
    cfg.default_hooks.logger.interval = 1
    return cfg


def training_log(work_dir):
    (log,) = Path(work_dir).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_names_are_unique():
    """A config is looked up by its base name (mim)."""
    names = [Path(name).name for name in CONFIGS]
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize('name', CONFIGS)
def test_config_survives_dump(name, tmp_path):
    cfg = Config.fromfile(ROOT / name)
    cfg.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == cfg.to_dict()


def inherited(name, tmp_path):
    """A config that inherits ``name`` by ``mmrmix::``, which puts what it mentions into scope mmrmix."""
    config = tmp_path / 'inherited.py'
    config.write_text(f"_base_ = ['mmrmix::{name}']\n")
    return config


@pytest.mark.parametrize('is_inherited', [False, True])
@pytest.mark.parametrize('name', CONFIGS)
def test_config_trains(name, is_inherited, tmp_path, data_root):
    path = inherited(name, tmp_path) if is_inherited else ROOT / name
    cfg = short_run(Config.fromfile(path), data_root, tmp_path)
    runner = Runner.from_cfg(cfg)
    runner.train()
    log = training_log(tmp_path)
    first, second = [entry for entry in log if 'loss' in entry]
    assert any(key.startswith('accuracy/top1') for entry in log for key in entry)
    if isinstance(runner.model.head, RMHead):
        history = runner._hooks[[type(hook).__name__ for hook in runner._hooks].index('RMHistoryHook')].history
        assert first['loss_consistency'] == 0
        assert second['loss'] == pytest.approx(second['loss_cls'] + second['loss_consistency'], rel=1e-5)
        assert history.triple.scores.shape[1] == runner.model.head.num_classes


def test_flagship_quotes_the_recipe():
    """Section 4.2 of the paper; learning rates are checked in test_schedulers.py."""
    cfg = Config.fromfile(ROOT / 'rm/resnet50_8xb64_imagenet.py')
    optimizer = cfg.optim_wrapper.optimizer.to_dict()
    assert optimizer == dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=1e-4)
    assert cfg.train_dataloader.batch_size == 64
    assert cfg.auto_scale_lr.base_batch_size == 8 * 64
    assert cfg.train_cfg.max_epochs == 300
    assert cfg.model.backbone.type == 'ResNet'
    assert cfg.model.backbone.depth == 50
    assert cfg.model.neck is None
    assert cfg.model.head.omega == 0.5
    assert cfg.model.train_cfg.augments.to_dict() == dict(type='mmrmix.RecursiveMix', alpha=0.5)
    assert cfg.custom_hooks[0].to_dict() == dict(type='mmrmix.RMHistoryHook')
    # Exact resume; every checkpoint and the best one are kept apart.
    assert cfg.default_hooks.reseed.type == 'mmrmix.ReseedHook'
    checkpoint = dict(
        type='mmrmix.SafeCheckpointHook', _scope_='mmpretrain', interval=1, max_keep_ckpts=2, save_best='auto'
    )
    assert cfg.default_hooks.checkpoint.to_dict() == checkpoint
    pipeline = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert list(pipeline) == [
        'LoadImageFromFile', 'RandomResizedCrop', 'RandomFlip', 'ColorJitter', 'mmrmix.ClippedLighting', 'PackInputs',
    ]  # fmt: skip
    assert pipeline['RandomResizedCrop'].scale == 224
    assert [pipeline['ColorJitter'][key] for key in ('brightness', 'contrast', 'saturation')] == [0.4] * 3
    assert pipeline['mmrmix.ClippedLighting'].alphastd == 0.1
    test_pipeline = {step.type: step for step in cfg.test_dataloader.dataset.pipeline}
    assert test_pipeline['ResizeEdge'].scale == 256
    assert test_pipeline['CenterCrop'].crop_size == 224


def test_demos_differ_only_in_the_method():
    demos = {what: Config.fromfile(ROOT / f'demo/resnet10_1xb64{what}_fashion-mnist.py').to_dict()
             for what in ('', '-baseline', '-cutmix')}  # fmt: skip
    baseline = demos['-baseline']
    assert demos['-cutmix']['model'].pop('train_cfg') == dict(augments=dict(type='CutMix', alpha=1.0))
    assert demos['-cutmix'] == baseline
    assert demos['']['model']['backbone'] == baseline['model']['backbone']
    assert demos['']['train_dataloader'] == baseline['train_dataloader']
    assert demos['']['param_scheduler'] == baseline['param_scheduler']
