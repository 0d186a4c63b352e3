# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Every file in configs/ is parsed, dumped, built, trained and evaluated."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.registry import MODELS

from mmrmix.link import history_users
from mmrmix.models import RMHead

from . import synthetic

ROOT = Path(__file__).parents[1] / 'configs'
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix() for path in ROOT.rglob('*.py') if '_base_' not in path.relative_to(ROOT).parts
)
DATA = {
    'ImageNet': synthetic.imagenet,
    'CIFAR10': partial(synthetic.cifar, num_classes=10),
    'CIFAR100': partial(synthetic.cifar, num_classes=100),
    'mmrmix.FashionMNIST': synthetic.fashion_mnist,
}


@pytest.fixture(autouse=True)
def _synthetic_cifar(monkeypatch):
    """Mmpretrain knows the MD5 sums of the real files."""
    monkeypatch.setattr('mmpretrain.datasets.cifar.CIFAR10._check_integrity', lambda self: True)


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


def shrink(model):
    """PyramidNet of 20 layers and thin DenseNets: the full ones take half a minute each."""
    if model.backbone.type == 'mmrmix.PyramidNet':
        model.backbone.update(depth=20, alpha=24)
        model.head.in_channels = 4 * (16 + 24)
    elif model.backbone.type == 'mmrmix.DenseNet_CIFAR':
        model.backbone.arch = dict(growth_rate=8, depths=[2, 2, 2, 2], init_channels=16)
        model.head.in_channels = 32


def short_run(cfg, data_root, work_dir):
    """Two iterations of two images, and an evaluation."""
    cfg.work_dir = str(work_dir)
    shrink(cfg.model)
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


@pytest.mark.parametrize('name', CONFIGS)
def test_full_model_fits_together(name):
    """The head takes what the backbone yields, without any arithmetic."""
    cfg = Config.fromfile(ROOT / name)
    model = MODELS.build({**cfg.model, 'data_preprocessor': None}).to('meta').eval()
    images = torch.empty(1, cfg.model.backbone.get('in_channels', 3), 64, 64, device='meta')
    assert model(images).shape == (1, cfg.model.head.num_classes)
    classes = cfg.get('data_preprocessor', cfg.model.get('data_preprocessor'))['num_classes']
    assert classes == cfg.model.head.num_classes


# All of them where they lie; one of every kind by `mmrmix::`.
INHERITED = [name for name in CONFIGS if name.startswith(('rm/', 'demo/'))]


@pytest.mark.parametrize(
    'name, is_inherited', [*((name, False) for name in CONFIGS), *((name, True) for name in INHERITED)]
)
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
        assert ('loss_consistency' in first) == (runner.model.head.omega > 0)
        assert first.get('loss_consistency', 0) == 0
        assert second['loss'] == pytest.approx(second['loss_cls'] + second.get('loss_consistency', 0), rel=1e-5)
        _, augments = history_users(runner.model)
        assert (history.triple is None) == (not augments)
        assert not augments or history.triple.scores.shape[1] == runner.model.head.num_classes


def test_flagship_can_be_resumed():
    cfg = Config.fromfile(ROOT / 'rm/resnet50_8xb64_imagenet.py')
    assert cfg.default_hooks.reseed.type == 'mmrmix.ReseedHook'
    checkpoint = cfg.default_hooks.checkpoint.to_dict()
    checkpoint.pop('_scope_', None)
    assert checkpoint == dict(type='mmrmix.SafeCheckpointHook', interval=1, max_keep_ckpts=2, save_best='auto')


def test_demos_differ_only_in_the_method():
    demos = {what: Config.fromfile(ROOT / f'demo/resnet10_1xb64{what}_fashion-mnist.py').to_dict()
             for what in ('', '-baseline', '-cutmix')}  # fmt: skip
    baseline = demos['-baseline']
    assert demos['-cutmix']['model'].pop('train_cfg') == dict(augments=dict(type='CutMix', alpha=1.0))
    assert demos['-cutmix'] == baseline
    assert demos['']['model']['backbone'] == baseline['model']['backbone']
    assert demos['']['train_dataloader'] == baseline['train_dataloader']
    assert demos['']['param_scheduler'] == baseline['param_scheduler']
