# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""docs/faq.md: every block of Python is one that runs, and does what it is there for."""

import re

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmrmix import config_path
from tests.helpers.paths import ROOT

PAGE = (ROOT / 'docs/faq.md').read_text()
BLOCKS = [re.sub('(?m)^  ', '', block) for block in re.findall(r'(?s)```python\n(.+?)\n *```', PAGE)]
CONFIGS = [block for block in BLOCKS if not re.search('^(import|from|def|class) ', block, re.MULTILINE)]
BASE = f'_base_ = [{config_path("mmrmix", "rm/resnet18_2xb64_cifar100.py")!r}]\n'


def read(block, tmp_path, base=BASE):
    path = tmp_path / 'config.py'
    path.write_text(block if '_base_ = ' in block else base + block)
    init_default_scope('mmpretrain')
    return Config.fromfile(path)


def block_with(text):
    (block,) = [block for block in CONFIGS if text in block]
    return block


def build(cfg):
    model = dict(cfg.model)
    if 'data_preprocessor' in cfg:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    return MODELS.build(model)


def augments_of(cfg):
    augments = build(cfg).data_preprocessor.batch_augments
    return {type(augment).__name__: augment for augment in augments.augments if augment}, augments.probs


@pytest.mark.parametrize('block', BLOCKS, ids=[block.splitlines()[0][:40] for block in BLOCKS])
def test_it_is_python(block):
    compile(block, 'docs/faq.md', 'exec')


@pytest.mark.parametrize('block', CONFIGS, ids=[block.splitlines()[0][:40] for block in CONFIGS])
def test_it_is_a_config(block, tmp_path):
    assert read(block, tmp_path).keys() >= {'model', 'train_dataloader', 'custom_hooks'}


def test_augments_that_win(tmp_path):
    other = BASE + "data_preprocessor = dict(batch_augments=dict(augments=dict(type='Mixup', alpha=0.8)))\n"
    (tmp_path / 'other.py').write_text(other)
    found, _ = augments_of(read(block_with('_delete_=True, augments='), tmp_path, "_base_ = ['other.py']\n"))
    assert found.keys() == {'RecursiveMix'} and found['RecursiveMix'].alpha == 0.5


def test_mix_less(tmp_path):
    cfg = read(block_with('omega=0.1)'), tmp_path)
    found, _ = augments_of(cfg)
    assert (found['RecursiveMix'].alpha, build(cfg).head.omega) == (0.3, 0.1)


def test_beside_cutmix(tmp_path):
    found, probs = augments_of(read(block_with("dict(type='CutMix'"), tmp_path))
    assert found.keys() == {'RecursiveMix', 'CutMix'} and probs == [0.5, 0.5, 0.0]


def test_switched_off(tmp_path):
    switch = read(block_with('action_epoch=281'), tmp_path).custom_hooks[-1]
    assert switch == dict(type='SwitchRecipeHook', schedule=[dict(action_epoch=281, batch_augments=None)])


def test_own_images(tmp_path):
    cfg = read(block_with("data_root='data/mine/train'"), tmp_path)
    model = build(cfg)
    assert (model.head.num_classes, model.data_preprocessor.num_classes) == (20, 20)
    assert cfg.train_dataloader.dataset.type == cfg.test_dataloader.dataset.type == 'CustomDataset'
    assert cfg.train_dataloader.dataset.pipeline == cfg.train_pipeline
    few = read(block_with('topk=(1,)'), tmp_path)
    assert few.val_evaluator.topk == few.test_evaluator.topk == (1,) and few.val_evaluator.type == 'Accuracy'


def test_several_labels(tmp_path):
    cfg = read(block_with('thr=0.5, loss='), tmp_path)
    model = build(cfg)
    assert model.head.thr == 0.5 and model.head.loss_module.use_sigmoid and model.data_preprocessor.to_onehot
    assert [metric.type for metric in cfg.val_evaluator] == ['AveragePrecision', 'MultiLabelMetric']


def test_a_checkpoint_of_a_whole_model(tmp_path):
    assert read(block_with('load_from'), tmp_path).load_from.endswith('resnet50_8xb64_imagenet/epoch_300.pth')


def test_detectors(tmp_path):
    base = f'_base_ = [{config_path("mmrmix", "detection/atss/atss_resnet50_8xb2-1x_coco.py")!r}]\n'
    (plain,) = [block for block in CONFIGS if 'PretrainedBackbone' in block and 'InitializedBackbone' not in block]
    assert read(plain, tmp_path, base).model.backbone.init_cfg == dict(
        type='mmrmix.PretrainedBackbone', checkpoint='work_dirs/resnet50_8xb64_imagenet/best_*.pth'
    )
