# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The paper's rows, the config of each, and the hyper-parameters that it must have.

``RECIPES`` quotes sections 4.1 and 4.2 of the paper, and the authors' code
where it is silent (warm-up, normalisation, nesterov); ``ROWS`` lists every row
of Tables 1 to 6 that this repository has the method for, and Figures 4 and 5.
"""

import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import PARAM_SCHEDULERS
from modelindex.load_model_index import load as load_model_index

ROOT = Path(__file__).parents[1] / 'configs'

CIFAR_STATISTICS = dict(
    mean=[255 * value for value in (0.4914, 0.4822, 0.4465)], std=[255 * value for value in (0.2023, 0.1994, 0.2010)]
)
# Crop and flip are the preprocessor's, see test_cifar_data.
CIFAR_AUGMENTATION = ['PackInputs']
CROP = ['LoadImageFromFile', 'RandomResizedCrop', 'RandomFlip']


def warmup_cosine(lr, epochs):
    return [lr * e / 6 if e <= 5 else lr * (1 + math.cos(math.pi * (e - 1) / epochs)) / 2 for e in range(1, epochs + 1)]


def warmup_steps(lr, epochs):
    return [lr * e / 6 if e <= 5 else lr * 0.1 ** ((e > 150) + (e > 225)) for e in range(1, epochs + 1)]


def cosine(lr, epochs):
    return [lr * (1 + math.cos(math.pi * (e - 1) / epochs)) / 2 for e in range(1, epochs + 1)]


RECIPES = {
    'cifar100': dict(
        dataset='mmrmix.CIFAR100',
        epochs=200,
        batch=(2, 64),
        optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4),
        learning_rates=warmup_cosine,
        pipeline=CIFAR_AUGMENTATION,
        omega=0.1,
    ),
    'cifar10': dict(
        dataset='mmrmix.CIFAR10',
        epochs=300,
        batch=(2, 32),
        optimizer=dict(type='SGD', lr=0.25, momentum=0.9, nesterov=True, weight_decay=1e-4),
        learning_rates=warmup_steps,
        pipeline=CIFAR_AUGMENTATION,
        omega=0.1,
    ),
    'imagenet': dict(
        dataset='mmrmix.ImageNet',
        epochs=300,
        batch=(8, 64),
        optimizer=dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=1e-4),
        learning_rates=warmup_cosine,
        pipeline=[*CROP, 'ColorJitter', 'mmrmix.ClippedLighting', 'PackInputs'],
        omega=0.5,
    ),
    'imagenet, transformer': dict(
        dataset='mmrmix.ImageNet',
        epochs=300,
        batch=(8, 64),
        optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.999), weight_decay=0.05),
        learning_rates=cosine,
        pipeline=[*CROP, 'RandomErasing', 'PackInputs'],
        omega=0.5,
    ),
}

RESNET18 = dict(type='ResNet_CIFAR', depth=18)
RESNET34 = dict(type='ResNet_CIFAR', depth=34)
DENSENET121 = dict(type='mmrmix.DenseNet_CIFAR', arch='121')
DENSENET161 = dict(type='mmrmix.DenseNet_CIFAR', arch='161')
PYRAMIDNET164 = dict(type='mmrmix.PyramidNet', depth=164, alpha=270, bottleneck=True)
PYRAMIDNET200 = dict(type='mmrmix.PyramidNet', depth=200, alpha=240, bottleneck=True)
RESNET50 = dict(type='ResNet', depth=50)
PVTV2_B1 = dict(type='mmdet.PyramidVisionTransformerV2', embed_dims=64, num_layers=[2, 2, 2, 2])

# (tables, recipe, backbone, file name with {} for the method; top-1 errors of
# the baseline, mixup, CutMix and RM.)
NETWORKS = [
    ('Table 3', 'cifar100', RESNET18, 'resnet18_2xb64{}_cifar100', (21.70, 20.99, 19.61, 18.64)),
    ('Table 3', 'cifar100', RESNET34, 'resnet34_2xb64{}_cifar100', (20.62, 19.19, 17.89, 17.15)),
    ('Table 3', 'cifar100', DENSENET121, 'densenet121_2xb64{}_cifar100', (19.51, 17.71, 17.21, 16.22)),
    ('Table 3', 'cifar100', DENSENET161, 'densenet161_2xb64{}_cifar100', (18.78, 16.84, 16.64, 15.54)),
    ('Table 3', 'cifar100', PYRAMIDNET164, 'pyramidnet164-a270_2xb64{}_cifar100', (16.67, 16.02, 15.59, 14.65)),
    ('Table 1', 'cifar10', PYRAMIDNET200, 'pyramidnet200-a240_2xb32{}_cifar10', (3.85, 3.09, 2.88, 2.35)),
    ('Table 5', 'imagenet', RESNET50, 'resnet50_8xb64{}_imagenet', (23.68, 22.58, 21.40, 20.80)),
    ('Table 5', 'imagenet, transformer', PVTV2_B1, 'pvtv2-b1_8xb64{}_imagenet', (24.92, 23.23, 22.92, 22.22)),
]
METHODS = [('baseline', '-baseline'), ('mixup', '-mixup'), ('cutmix', '-cutmix'), ('rm', '')]

RM = dict(type='mmrmix.RecursiveMix', alpha=0.5)


def method_settings(method, recipe):
    """What ``train_cfg`` and the head have to be."""
    is_cifar = recipe.startswith('cifar')
    augments = {
        'baseline': None,
        'mixup': dict(augments=dict(type='Mixup', alpha=1.0)),
        # The CutMix paper mixes with probability 0.5 on CIFAR, always on ImageNet.
        'cutmix': dict(augments=dict(type='CutMix', alpha=1.0), **(dict(probs=0.5) if is_cifar else {})),
        'rm': dict(augments=RM),
    }[method]
    head = dict(type='mmrmix.RMHead', omega=RECIPES[recipe]['omega']) if method == 'rm' else dict(type='LinearClsHead')
    if method != 'rm' and recipe == 'imagenet, transformer':
        # mmpretrain's necks refuse the list that mmdet's PVTv2 yields.
        head = dict(type='mmrmix.RMHead', omega=0)
    return augments, head


ROWS = [
    (
        f'{table}, {method}',
        recipe,
        backbone,
        f'{method}/{name.format(suffix)}.py',
        error,
        *method_settings(method, recipe),
    )
    for table, recipe, backbone, name, errors in NETWORKS
    for (method, suffix), error in zip(METHODS, errors)
]
ROWS += [
    (
        'Table 2, RS',
        'cifar100',
        PYRAMIDNET164,
        'ablation/pyramidnet164-a270_2xb64-rs_cifar100.py',
        15.36,
        dict(augments=dict(RM, with_history=False)),
        dict(type='LinearClsHead'),
    ),
    (
        'Table 2, RS + HIS',
        'cifar100',
        PYRAMIDNET164,
        'ablation/pyramidnet164-a270_2xb64-rs-his_cifar100.py',
        14.81,
        dict(augments=RM),
        dict(type='mmrmix.RMHead', omega=0),
    ),
]
for recipe, backbone, name, shared, bilinear in [
    ('cifar10', PYRAMIDNET200, 'pyramidnet200-a240_2xb32{}_cifar10', 2.61, 2.58),
    ('cifar100', RESNET18, 'resnet18_2xb64{}_cifar100', 18.66, 18.78),
    ('imagenet', RESNET50, 'resnet50_8xb64{}_imagenet', 20.92, 20.86),
]:
    head = dict(type='mmrmix.RMHead', omega=RECIPES[recipe]['omega'])
    file = f'ablation/{name}.py'
    ROWS.append(
        ('Table 4a', recipe, backbone, file.format('-shared-fc'), shared, dict(augments=RM), dict(head, share_fc=True))
    )
    augments = dict(augments=dict(RM, interpolation='bilinear'))
    ROWS.append(('Table 4b', recipe, backbone, file.format('-bilinear'), bilinear, augments, head))


def plain(value):
    return {key: plain(item) for key, item in value.items() if key != '_scope_'} if isinstance(value, dict) else value


def subset(config, keys):
    return {key: config[key] for key in keys if key in config}


@pytest.mark.parametrize('row', ROWS, ids=lambda row: f'{row[0]}: {row[3]}')
def test_config_quotes_its_recipe(row):
    _, recipe, backbone, file, error, augments, head = row
    recipe, cfg = RECIPES[recipe], Config.fromfile(ROOT / file)
    model = plain(cfg.model.to_dict())
    assert subset(model['backbone'], backbone) == backbone
    assert subset(model['head'], head) == head
    assert (model['neck'] is None) == (head['type'] == 'mmrmix.RMHead')
    assert (model.get('train_cfg') or None) == augments
    has_hook = any(hook['type'] == 'mmrmix.RMHistoryHook' for hook in cfg.get('custom_hooks', []))
    is_recursive = augments is not None and augments['augments']['type'] == 'mmrmix.RecursiveMix'
    assert has_hook == (is_recursive or head['type'] == 'mmrmix.RMHead')

    assert plain(cfg.optim_wrapper.optimizer.to_dict()) == recipe['optimizer']
    assert cfg.train_cfg.to_dict() == dict(by_epoch=True, max_epochs=recipe['epochs'], val_interval=1)
    devices, batch_size = recipe['batch']
    assert f'_{devices}xb{batch_size}' in file
    assert cfg.train_dataloader.batch_size == batch_size
    assert cfg.auto_scale_lr.base_batch_size == devices * batch_size
    assert cfg.train_dataloader.dataset.type == recipe['dataset']
    assert [step.type for step in cfg.train_dataloader.dataset.pipeline] == recipe['pipeline']
    # The file says what to expect.
    assert f'{error:.2f} %' in (ROOT / file).read_text()


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row[3])
def test_learning_rate_of_every_epoch(row):
    recipe, cfg = RECIPES[row[1]], Config.fromfile(ROOT / row[3])
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    assert all(scheduler.by_epoch for scheduler in schedulers)
    # As Runner.build_param_scheduler: without an end, the last epoch is it.
    end = dict(end=recipe['epochs'])
    schedulers = [PARAM_SCHEDULERS.build({**end, **cfg}, default_args=dict(optimizer=optimizer)) for cfg in schedulers]
    rates = []
    for _ in range(recipe['epochs']):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert rates == pytest.approx(recipe['learning_rates'](recipe['optimizer']['lr'], recipe['epochs']), rel=1e-9)


def test_no_row_and_no_file_is_missing():
    files = {row[3] for row in ROWS}
    assert len(files) == len(ROWS) == 8 * 4 + 2 + 6
    folders = ('rm', 'baseline', 'mixup', 'cutmix', 'ablation')
    assert files == {path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).glob('*.py')}


def test_sweeps_are_documented():
    """Figures 4 and 5 are values for two configs, which the README lists."""
    text = (ROOT / 'ablation/README.md').read_text()
    assert 'for alpha in 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9; do' in text
    assert 'for omega in 0 0.01 0.05 0.08 0.1 0.2 0.3 0.4 0.5 1; do' in text
    for file in ('pyramidnet200-a240_2xb32_cifar10.py', 'resnet18_2xb64_cifar100.py'):
        assert f'configs/rm/{file}' in text


@pytest.mark.parametrize('name', ['cifar10_bs32', 'cifar100_bs64'])
def test_cifar_data(name):
    cfg = Config.fromfile(ROOT / f'_base_/datasets/{name}.py')
    for key, values in CIFAR_STATISTICS.items():
        assert cfg.data_preprocessor[key] == pytest.approx(values)
    assert cfg.data_preprocessor.to_rgb is False
    assert cfg.data_preprocessor.type == 'mmrmix.BatchDataPreprocessor'
    assert (cfg.data_preprocessor.crop_padding, cfg.data_preprocessor.flip_prob) == (4, 0.5)
    for loader, split in (('train', 'train'), ('val', 'test'), ('test', 'test')):
        loader = cfg[f'{loader}_dataloader']
        assert [step.type for step in loader.dataset.pipeline] == ['PackInputs']
        assert (loader.dataset.split, loader.collate_fn.type) == (split, 'mmrmix.collate_whole_batch')


def test_imagenet_data():
    cfg = Config.fromfile(ROOT / 'rm/resnet50_8xb64_imagenet.py')
    pipeline = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert pipeline['RandomResizedCrop'].scale == 224
    assert [pipeline['ColorJitter'][key] for key in ('brightness', 'contrast', 'saturation')] == [0.4] * 3
    assert pipeline['mmrmix.ClippedLighting'].alphastd == 0.1
    test_pipeline = {step.type: step for step in cfg.test_dataloader.dataset.pipeline}
    assert test_pipeline['ResizeEdge'].scale == 256
    assert test_pipeline['CenterCrop'].crop_size == 224


def test_transformer_data():
    cfg = Config.fromfile(ROOT / 'rm/pvtv2-b1_8xb64_imagenet.py')
    pipeline = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    erasing = pipeline['RandomErasing']
    assert (erasing.erase_prob, erasing.mode) == (0.25, 'rand')
    # ImageNet's mean in the order that images have before the preprocessor: B, G, R.
    assert erasing.fill_color == pytest.approx(cfg.data_preprocessor.mean[::-1], abs=0.01)
    assert erasing.fill_std == pytest.approx(cfg.data_preprocessor.std[::-1], abs=0.01)
    assert cfg.data_preprocessor.to_rgb is True
    assert subset(cfg.model.head.loss, ('type', 'label_smooth_val')) == dict(
        type='LabelSmoothLoss', label_smooth_val=0.1
    )


def test_model_index_lists_every_config(monkeypatch):
    """Names, files and numbers, by the reader that mim uses; an error of the paper is an accuracy there."""
    monkeypatch.chdir(ROOT.parent)
    index = load_model_index('model-index.yml')
    index.build_models_with_collections()
    assert all(Path(collection.readme).is_file() for collection in index.collections)
    collections = {collection.name for collection in index.collections}
    listed = {model.config.split('/', 1)[1]: model for model in index.models}
    for _, recipe, _, file, error, *_ in ROWS:
        model = listed.pop(file)
        assert model.name == Path(file).stem
        assert model.in_collection in collections
        assert model.results[0].metrics['Top 1 Accuracy'] == pytest.approx(100 - error)
        assert model.metadata.epochs == RECIPES[recipe]['epochs']
        assert model.metadata.batch_size == RECIPES[recipe]['batch'][0] * RECIPES[recipe]['batch'][1]
        size = {'resnet50': 25557032, 'resnet18': 11220132}.get(model.name.split('_')[0])
        assert size is None or model.metadata.parameters == size
    # The others are those of test_transfer_recipes.py.
    assert all(file.startswith(('detection/', 'segmentation/')) for file in listed)
