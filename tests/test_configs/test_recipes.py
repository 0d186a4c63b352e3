# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The paper's rows, the config of each, and the hyper-parameters that it must have."""

from pathlib import Path

import paper_tables
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import PARAM_SCHEDULERS
from modelindex.load_model_index import load as load_model_index

from tests.helpers.paths import CONFIGS, ROOT
from tests.helpers.recipes import RECIPES, ROWS

CIFAR_STATISTICS = dict(
    mean=[255 * value for value in (0.4914, 0.4822, 0.4465)], std=[255 * value for value in (0.2023, 0.1994, 0.2010)]
)


def plain(value):
    return {key: plain(item) for key, item in value.items() if key != '_scope_'} if isinstance(value, dict) else value


def subset(config, keys):
    return {key: config[key] for key in keys if key in config}


@pytest.mark.parametrize('row', ROWS, ids=lambda row: f'{row[0]}: {row[3]}')
def test_config_quotes_its_recipe(row):
    _, recipe, backbone, file, augments, head = row
    recipe, cfg = RECIPES[recipe], Config.fromfile(CONFIGS / file)
    model = plain(cfg.model.to_dict())
    assert subset(model['backbone'], backbone) == backbone
    assert subset(model['head'], head) == head
    assert (model['neck'] is None) == (head['type'] == 'mmrmix.RMHead')
    assert (model.get('train_cfg') or None) == augments
    has_hook = any(hook['type'] == 'mmrmix.RMHistoryHook' for hook in cfg.get('custom_hooks', []))
    is_recursive = augments is not None and augments['augments']['type'] == 'mmrmix.RecursiveMix'
    assert has_hook == is_recursive

    assert plain(cfg.optim_wrapper.optimizer.to_dict()) == recipe['optimizer']
    assert cfg.train_cfg.to_dict() == dict(by_epoch=True, max_epochs=recipe['epochs'], val_interval=1)
    devices, batch_size = recipe['batch']
    assert f'_{devices}xb{batch_size}' in file
    assert cfg.train_dataloader.batch_size == batch_size
    assert cfg.auto_scale_lr.base_batch_size == devices * batch_size
    assert cfg.train_dataloader.dataset.type == recipe['dataset']
    assert [step.type for step in cfg.train_dataloader.dataset.pipeline] == recipe['pipeline']


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row[3])
def test_learning_rate_of_every_epoch(row):
    recipe, cfg = RECIPES[row[1]], Config.fromfile(CONFIGS / row[3])
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
    assert files == {
        path.relative_to(CONFIGS).as_posix() for folder in folders for path in (CONFIGS / folder).glob('*.py')
    }


def test_sweeps_are_documented():
    """Figures 4 and 5 are values for two configs, which the README lists."""
    text = (CONFIGS / 'ablation/README.md').read_text()
    assert 'for alpha in 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9; do' in text
    assert 'for omega in 0 0.01 0.05 0.08 0.1 0.2 0.3 0.4 0.5 1; do' in text
    for file in ('pyramidnet200-a240_2xb32_cifar10.py', 'resnet18_2xb64_cifar100.py'):
        assert f'configs/rm/{file}' in text


@pytest.mark.parametrize('name', ['cifar10_bs32', 'cifar100_bs64'])
def test_cifar_data(name):
    cfg = Config.fromfile(CONFIGS / f'_base_/datasets/{name}.py')
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
    cfg = Config.fromfile(CONFIGS / 'rm/resnet50_8xb64_imagenet.py')
    pipeline = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert pipeline['RandomResizedCrop'].scale == 224
    assert [pipeline['ColorJitter'][key] for key in ('brightness', 'contrast', 'saturation')] == [0.4] * 3
    assert pipeline['mmrmix.ClippedLighting'].alphastd == 0.1
    test_pipeline = {step.type: step for step in cfg.test_dataloader.dataset.pipeline}
    assert test_pipeline['ResizeEdge'].scale == 256
    assert test_pipeline['CenterCrop'].crop_size == 224


def test_transformer_data():
    cfg = Config.fromfile(CONFIGS / 'rm/pvtv2-b1_8xb64_imagenet.py')
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
    """Names, files and sizes, by the reader that mim uses."""
    monkeypatch.chdir(ROOT)
    index = load_model_index('model-index.yml')
    index.build_models_with_collections()
    assert all(Path(collection.readme).is_file() for collection in index.collections)
    collections = {collection.name for collection in index.collections}
    listed = {model.config.split('/', 1)[1]: model for model in index.models}
    for _, recipe, _, file, *_ in ROWS:
        model = listed.pop(file)
        assert model.name == Path(file).stem
        assert model.in_collection in collections
        assert 70 < model.results[0].metrics['Top 1 Accuracy'] < 100
        assert model.metadata.epochs == RECIPES[recipe]['epochs']
        assert model.metadata.batch_size == RECIPES[recipe]['batch'][0] * RECIPES[recipe]['batch'][1]
        size = {'resnet50': 25557032, 'resnet18': 11220132}.get(model.name.split('_')[0])
        assert size is None or model.metadata.parameters == size
    # The others are those of test_transfer_recipes.py.
    assert all(file.startswith(('detection/', 'segmentation/')) for file in listed)


@pytest.mark.parametrize('page', paper_tables.PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_table_is_up_to_date(page):
    """Or: `python lab/paper_tables.py`."""
    assert paper_tables.updated(page) == page.read_text(encoding='utf-8')


def test_tables_list_every_config():
    for folder in ('rm', 'baseline', 'mixup', 'cutmix', 'ablation', 'detection', 'segmentation'):
        text = (CONFIGS / folder / 'README.md').read_text(encoding='utf-8')
        files = [path.relative_to(CONFIGS / folder).as_posix() for path in (CONFIGS / folder).rglob('*.py')]
        assert files and all(f'[config]({file})' in text for file in files)


def test_outdated_table(tmp_path, monkeypatch):
    """What lies outside the markers stays; a page without them is an error."""
    page = tmp_path / 'README.md'
    monkeypatch.setitem(paper_tables.PAGES, page, lambda: '| 18.64 |')
    page.write_text(f'before\n{paper_tables.BEGIN}\n\n| 18.46 |\n\n{paper_tables.END}\nafter\n')
    assert paper_tables.updated(page) == f'before\n{paper_tables.BEGIN}\n\n| 18.64 |\n\n{paper_tables.END}\nafter\n'
    page.write_text('before\n')
    with pytest.raises(ValueError, match='has 0 tables between'):
        paper_tables.updated(page)
