# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Every file in configs/ is parsed, dumped, built, trained and evaluated."""

import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.registry import MODELS

from mmrmix.engine import RMHistoryHook
from mmrmix.link import history_users
from mmrmix.models import RMHead
from tests.helpers import synthetic
from tests.helpers.paths import CONFIGS
from tests.helpers.pretraining import TRANSFER, pretraining_config, save_classifier

FILES = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.relative_to(CONFIGS).parts
)
DATA = {
    'mmrmix.ImageNet': synthetic.imagenet,
    'mmrmix.CIFAR10': partial(synthetic.cifar, num_classes=10),
    'mmrmix.CIFAR100': partial(synthetic.cifar, num_classes=100),
    'mmrmix.FashionMNIST': synthetic.fashion_mnist,
    'COCO': partial(synthetic.coco_2017, classes=CocoDataset.METAINFO['classes']),
    'ADE20K': synthetic.ade20k,
    'fashion scenes': synthetic.fashion_scenes,
}
DATA_ROOTS = {'data/coco/': 'COCO', 'data/ade/ADEChallengeData2016': 'ADE20K', 'data/fashion_scenes/': 'fashion scenes'}
CLASSIFICATION = [name for name in FILES if name not in TRANSFER]
METRICS = {'mmpretrain': 'accuracy/top1', 'mmdet': 'coco/bbox_mAP', 'mmseg': 'mIoU'}


@pytest.fixture(autouse=True)
def _synthetic_cifar(monkeypatch):
    """Mmpretrain knows the MD5 sums of the real files."""
    monkeypatch.setattr('mmpretrain.datasets.cifar.CIFAR10._check_integrity', lambda self: True)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    """Folder of a small data set for that of a config, made once."""
    made = {}

    def root(dataset):
        name = DATA_ROOTS.get(dataset.data_root, dataset.type)
        if name not in DATA:
            pytest.fail(f'No synthetic data for {name}: teach this file how to run it.')
        if name not in made:
            made[name] = DATA[name](tmp_path_factory.mktemp('data') / name)
        return made[name]

    return root


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """Checkpoint for the backbone of a config, made once."""
    folder = tmp_path_factory.mktemp('pretrained')

    def checkpoint(cfg):
        path = folder / f'{Path(cfg.model.backbone.init_cfg.checkpoint).parent.name}.pth'
        return path if path.exists() else save_classifier(pretraining_config(cfg), path)

    return checkpoint


def shrink(model):
    """PyramidNet of 20 layers and thin DenseNets: the full ones take half a minute each."""
    if model.backbone.type == 'mmrmix.PyramidNet':
        model.backbone.update(depth=20, alpha=24)
        model.head.in_channels = 4 * (16 + 24)
    elif model.backbone.type == 'mmrmix.DenseNet_CIFAR':
        model.backbone.arch = dict(growth_rate=8, depths=[2, 2, 2, 2], init_channels=16)
        model.head.in_channels = 32


def shrink_images(pipeline):
    """What makes images of 1333×800 (COCO) or 512×512 (ADE20K) makes them of 64 pixels."""
    for step in pipeline:
        if step.type in ('Resize', 'RandomResize') and isinstance(step.scale, tuple):
            step.scale = (128, 64)
        if step.type == 'RandomCrop' and isinstance(step.crop_size, tuple):
            step.crop_size = (64, 64)


def short_run(cfg, data_root, work_dir):
    """Two iterations of two images, and an evaluation."""
    cfg.work_dir = str(work_dir)
    shrink(cfg.model)
    for name in ('train', 'val', 'test'):
        loader, evaluator = cfg[f'{name}_dataloader'], cfg.get(f'{name}_evaluator', {})
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        root = f'{data_root(loader.dataset)}/'
        if 'ann_file' in evaluator:
            evaluator.ann_file = evaluator.ann_file.replace(loader.dataset.data_root, root)
        loader.dataset.update(data_root=root, indices=4)
        if cfg.default_scope != 'mmpretrain':
            shrink_images(loader.dataset.pipeline)
    if cfg.default_scope != 'mmpretrain':  # Whose visualizers all have one name, and so one log.
        cfg.visualizer.name = str(work_dir)
    if cfg.default_scope == 'mmdet':  # Or an untrained detector finds nothing to evaluate.
        cfg.model.test_cfg.get('rcnn', cfg.model.test_cfg).score_thr = 0
        if 'rcnn' in cfg.model.test_cfg:  # RoIAlign and NMS of as many boxes as COCO needs take minutes.
            cfg.model.test_cfg.rpn.max_per_img = cfg.model.train_cfg.rpn_proposal.max_per_img = 20
            stages = cfg.model.train_cfg.rcnn
            for stage in stages if isinstance(stages, list) else [stages]:
                stage.sampler.num = 20
    if cfg.default_scope == 'mmseg':
        cfg.model.data_preprocessor.size = (64, 64)
    is_by_epoch = 'max_epochs' in cfg.train_cfg
    cfg.train_cfg.update(dict(max_epochs=1, val_interval=1) if is_by_epoch else dict(max_iters=2, val_interval=2))
    cfg.default_hooks.logger.interval = 1
    return cfg


def training_log(work_dir):
    (log,) = Path(work_dir).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_names_are_unique():
    """A config is looked up by its base name (mim)."""
    names = [Path(name).name for name in FILES]
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize('name', FILES)
def test_config_survives_dump(name, tmp_path):
    cfg = Config.fromfile(CONFIGS / name)
    cfg.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == cfg.to_dict()


def inherited(name, tmp_path):
    """A config that inherits ``name`` by ``mmrmix::``, which puts what it mentions into scope mmrmix."""
    config = tmp_path / 'inherited.py'
    config.write_text(f"_base_ = ['mmrmix::{name}']\n")
    return config


@pytest.mark.parametrize('name', CLASSIFICATION)
def test_full_model_fits_together(name):
    """The head takes what the backbone yields, without any arithmetic."""
    cfg = Config.fromfile(CONFIGS / name)
    model = MODELS.build({**cfg.model, 'data_preprocessor': None}).to('meta').eval()
    images = torch.empty(1, cfg.model.backbone.get('in_channels', 3), 64, 64, device='meta')
    assert model(images).shape == (1, cfg.model.head.num_classes)
    classes = cfg.get('data_preprocessor', cfg.model.get('data_preprocessor'))['num_classes']
    assert classes == cfg.model.head.num_classes


# All of them where they lie; one of every kind by `mmrmix::`.
INHERITED = [name for name in CLASSIFICATION if name.startswith(('rm/', 'demo/'))]


@pytest.mark.parametrize(
    'name, is_inherited', [*((name, False) for name in CLASSIFICATION), *((name, True) for name in INHERITED)]
)
def test_config_trains(name, is_inherited, tmp_path, data_root):
    path = inherited(name, tmp_path) if is_inherited else CONFIGS / name
    cfg = short_run(Config.fromfile(path), data_root, tmp_path)
    runner = Runner.from_cfg(cfg)
    runner.train()
    log = training_log(tmp_path)
    first, second = [entry for entry in log if 'loss' in entry]
    assert any(key.startswith('accuracy/top1') for entry in log for key in entry)
    if isinstance(runner.model.head, RMHead):
        assert ('loss_consistency' in first) == (runner.model.head.omega > 0)
        assert first.get('loss_consistency', 0) == 0
        assert second['loss'] == pytest.approx(second['loss_cls'] + second.get('loss_consistency', 0), rel=1e-5)
        # Without RecursiveMix, RMHead is a linear head and needs no history.
        histories = [hook.history for hook in runner._hooks if isinstance(hook, RMHistoryHook)]
        _, augments = history_users(runner.model)
        assert len(histories) == len(augments) <= 1
        assert all(history.batch.scores.shape[1] == runner.model.head.num_classes for history in histories)


@pytest.mark.parametrize('name', TRANSFER)
def test_config_fine_tunes(name, tmp_path, data_root, pretrained):
    """Every backbone starts from its checkpoint, and what is frozen keeps its weights."""
    cfg = Config.fromfile(CONFIGS / name)
    checkpoint = pretrained(cfg)
    cfg.model.backbone.init_cfg.checkpoint = str(checkpoint)
    runner = Runner.from_cfg(short_run(cfg, data_root, tmp_path))
    runner.train()
    log = training_log(tmp_path)
    losses = [entry['loss'] for entry in log if 'loss' in entry]
    assert len(losses) == 2 and all(math.isfinite(loss) for loss in losses)
    assert sum(METRICS[cfg.default_scope] in entry for entry in log) == 1
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    frozen = [name for name, parameter in runner.model.backbone.named_parameters() if not parameter.requires_grad]
    assert bool(frozen) == ('detection/' in name and 'resnet50' in name)
    for parameter in frozen:
        assert torch.equal(runner.model.backbone.get_parameter(parameter), weights[f'backbone.{parameter}'])


def test_flagship_can_be_resumed():
    cfg = Config.fromfile(CONFIGS / 'rm/resnet50_8xb64_imagenet.py')
    assert cfg.default_hooks.reseed.type == 'mmrmix.ReseedHook'
    checkpoint = cfg.default_hooks.checkpoint.to_dict()
    checkpoint.pop('_scope_', None)
    assert checkpoint == dict(type='mmrmix.SafeCheckpointHook', interval=1, max_keep_ckpts=2, save_best='auto')


def test_demos_differ_only_in_the_method():
    demos = {what: Config.fromfile(CONFIGS / f'demo/resnet10_1xb64{what}_fashion-mnist.py').to_dict()
             for what in ('', '-baseline', '-cutmix')}  # fmt: skip
    baseline = demos['-baseline']
    assert demos['-cutmix']['model'].pop('train_cfg') == dict(augments=dict(type='CutMix', alpha=1.0))
    assert demos['-cutmix'] == baseline
    assert demos['']['model']['backbone'] == baseline['model']['backbone']
    assert demos['']['train_dataloader'] == baseline['train_dataloader']
    assert demos['']['param_scheduler'] == baseline['param_scheduler']
