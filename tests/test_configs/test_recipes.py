# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The paper's rows, the config of each, and the hyper-parameters that it must have."""

import argparse
import re
import shlex
from pathlib import Path

import paper_tables
import pytest
from mmcv.cnn.bricks import DropPath
from mmengine.config import Config, DictAction
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import DATA_SAMPLERS, MODELS
from modelindex.load_model_index import load as load_model_index
from reproduction.metafiles import errors

from tests.helpers.differences import differences
from tests.helpers.learning_rates import learning_rates
from tests.helpers.paths import CONFIGS, ROOT
from tests.helpers.recipes import RECIPES, timm_cosine
from tests.helpers.rows import ROWS

# Variables of the files, which nothing reads.
VARIABLES = {'dataset_type', 'loader', 'train_pipeline', 'test_pipeline', 'vis_backends'}


def resolved(cfg):
    """All that a run reads of a config, as plain dicts and lists."""
    return plain({key: value for key, value in cfg.to_dict().items() if key not in VARIABLES})


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key != '_scope_'}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize('row', ROWS, ids=lambda row: f'{row[0]}: {row[2]}')
def test_config_says_its_recipe_and_nothing_else(row):
    _, _, file, expected = row
    assert differences(expected, resolved(Config.fromfile(CONFIGS / file))) == {}


def set_value(*path, value):
    """A mutation: ``cfg[path[0]][path[1]] … = value``; a path may find a transform by its type."""

    def mutate(cfg):
        for key in path[:-1]:
            if isinstance(cfg, list) and isinstance(key, str):
                (cfg,) = [step for step in cfg if step['type'].split('.')[-1] == key]
            else:
                cfg = cfg[key]
        assert cfg.get(path[-1]) != value
        cfg[path[-1]] = value

    return mutate


RESNET50, RESNET18, PVT = (
    f'rm/{name}.py' for name in ('resnet50_8xb64_imagenet', 'resnet18_2xb64_cifar100', 'pvtv2-b1_8xb64_imagenet')
)
PIPELINE = ('train_dataloader', 'dataset', 'pipeline')
LIGHTING = ('data_preprocessor', 'lighting')
TEST_PIPELINE = ('test_dataloader', 'dataset', 'pipeline')
BGR = [[-0.5836, -0.6948, 0.4203], [-0.5808, -0.0045, -0.8140], [-0.5675, 0.7192, 0.4009]]
LABEL_SMOOTHING = dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')
GENTLE = dict(norm_decay_mult=0.0)
# Each of them was once missed by tests that compared some keys.
MUTATIONS = {
    'lighting vectors in another order': (RESNET50, set_value(*LIGHTING, 'eigvec', value=BGR)),
    'lighting values of [0, 255]': (RESNET50, set_value(*LIGHTING, 'eigval', value=[55.4625, 4.794, 1.1475])),
    'crop range': (RESNET50, set_value(*PIPELINE, 'TorchRandomResizedCrop', 'crop_ratio_range', value=(0.35, 1.0))),
    'no flip': (RESNET50, set_value('data_preprocessor', 'flip_prob', value=0.0)),
    'hue': (RESNET50, set_value('data_preprocessor', 'color_jitter', 'hue', value=0.4)),
    'resize backend': (RESNET50, set_value(*PIPELINE, 'TorchRandomResizedCrop', 'type', value='RandomResizedCrop')),
    'clipped gradients': (RESNET50, set_value('optim_wrapper', 'clip_grad', value=dict(max_norm=5.0))),
    'no decay on norms': (RESNET50, set_value('optim_wrapper', 'paramwise_cfg', value=GENTLE)),
    'accumulation': (RESNET50, set_value('optim_wrapper', 'accumulative_counts', value=4)),
    'label smoothing': (RESNET18, set_value('model', 'head', 'loss', value=LABEL_SMOOTHING)),
    'drop path': (PVT, set_value('model', 'backbone', 'drop_path_rate', value=0.3)),
    'history never cleared': (RESNET50, lambda cfg: cfg['custom_hooks'][0].update(reset=None)),
    'incomplete batch dropped': (RESNET50, set_value('train_dataloader', 'drop_last', value=True)),
    'no shuffling': (RESNET50, set_value('train_dataloader', 'sampler', 'shuffle', value=False)),
    'frozen stem': (RESNET50, set_value('model', 'backbone', 'frozen_stages', value=1)),
    'mean': (RESNET50, set_value('data_preprocessor', 'mean', value=[127.5] * 3)),
    'std': (RESNET50, set_value('data_preprocessor', 'std', value=[127.5] * 3)),
    'erased area': (PVT, set_value('data_preprocessor', 'erasing', 'max_area_ratio', value=0.8)),
    'interpolation': (PVT, set_value(*PIPELINE, 'TorchRandomResizedCrop', 'interpolation', value='nearest')),
    'EMA': (RESNET50, lambda cfg: cfg['custom_hooks'].append(dict(type='EMAHook'))),
    'test resize edge': (RESNET50, set_value(*TEST_PIPELINE, 'TorchResizeEdge', 'edge', value='long')),
    'test interpolation': (RESNET50, set_value(*TEST_PIPELINE, 'TorchResizeEdge', 'interpolation', value='nearest')),
    'number of classes': (RESNET18, set_value('data_preprocessor', 'num_classes', value=10)),
}


@pytest.mark.parametrize('name', MUTATIONS)
def test_a_wrong_value_is_noticed(name):
    """A test of the first test."""
    file, mutate = MUTATIONS[name]
    (expected,) = [config for _, _, path, config in ROWS if path == file]
    cfg = Config.fromfile(CONFIGS / file)
    assert differences(expected, resolved(cfg)) == {}
    mutate(cfg)
    assert differences(expected, resolved(cfg))


def test_defaults_that_recipes_rely_on():
    """What no config says, since the classes say it."""
    pvt = Config.fromfile(CONFIGS / 'baseline/pvtv2-b1_8xb64-baseline-pvt-recipe_imagenet.py')
    rates = [module.drop_prob for module in MODELS.build(pvt.model.backbone).modules() if type(module) is DropPath]
    assert max(rates) == pytest.approx(0.1)
    sampler = DATA_SAMPLERS.build(pvt.train_dataloader.sampler, default_args=dict(dataset=range(30), seed=0))
    sampler.world_size, sampler.num_samples, sampler.total_size = 1, 90, 90
    assert len(list(sampler)) == 30 and len(set(sampler)) == 10


def test_pvt_has_no_weight_decay_on_flat_parameters():
    """As timm: norms, and every bias, also those that no module calls ``bias``."""
    cfg = Config.fromfile(CONFIGS / 'rm/pvtv2-b1_8xb64-pvt-recipe_imagenet.py')
    model = MODELS.build({**cfg.model, 'data_preprocessor': None, 'train_cfg': None})
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    for group in wrapper.optimizer.param_groups:
        for parameter in group['params']:
            assert group['weight_decay'] == (0 if parameter.ndim == 1 else 0.05)


def test_pvt_schedule_is_close_to_timms():
    ours, theirs = RECIPES['imagenet, PVT repository']['learning_rates'](5e-4, 300), timm_cosine(5e-4, 300)
    assert ours[:6] == pytest.approx([*theirs[:5], 5e-4])
    assert max(abs(a - b) for a, b in zip(ours, theirs)) < 0.016 * 5e-4


def test_cutmix_options_for_cifar10():
    """The command of docs/fidelity.md: the learning rate of the CutMix repository, whose CIFAR recipe has no warm-up."""
    page = (ROOT / 'docs/fidelity.md').read_text()
    options = shlex.split(re.search(r'(?s)pyramidnet200.+?--cfg-options (.+?)```', page).group(1).replace('\\\n', ' '))
    args = argparse.ArgumentParser()
    args.add_argument('--cfg-options', nargs='+', action=DictAction)
    cfg = Config.fromfile(CONFIGS / 'baseline/pyramidnet200-a240_2xb32-baseline_cifar10.py')
    cfg.merge_from_dict(args.parse_args(['--cfg-options', *options]).cfg_options)
    rates = learning_rates(cfg, 300)
    assert rates == pytest.approx([0.25 * 0.1 ** ((e > 150) + (e > 225)) for e in range(1, 301)])
    assert cfg.data_preprocessor.std == [63.0, 62.1, 66.7] and cfg.data_preprocessor.mean == [125.3, 123.0, 113.9]


def test_batch_is_in_the_name():
    for _, recipe, file, config in ROWS:
        devices, batch_size = RECIPES[recipe]['batch']
        assert f'_{devices}xb{batch_size}' in file and config['train_dataloader']['batch_size'] == batch_size


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row[2])
def test_learning_rate_of_every_epoch(row):
    recipe, cfg = RECIPES[row[1]], Config.fromfile(CONFIGS / row[2])
    schedulers = cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    assert all(scheduler.by_epoch for scheduler in schedulers)
    expected = recipe['learning_rates'](cfg.optim_wrapper.optimizer.lr, recipe['epochs'])
    assert learning_rates(cfg, recipe['epochs']) == pytest.approx(expected, rel=1e-9)


def test_no_row_and_no_file_is_missing():
    files = {row[2] for row in ROWS}
    assert len(files) == len(ROWS) == 8 * 4 + 3 + 4 + 3 + 6
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


def test_model_index_lists_every_config(monkeypatch):
    """Names, files and sizes, by the reader that mim uses."""
    monkeypatch.chdir(ROOT)
    index = load_model_index('model-index.yml')
    index.build_models_with_collections()
    assert all(Path(collection.readme).is_file() for collection in index.collections)
    collections = {collection.name for collection in index.collections}
    listed = {model.config.split('/', 1)[1]: model for model in index.models}
    for _, recipe, file, _ in ROWS:
        model = listed.pop(file)
        assert model.name == Path(file).stem
        assert model.in_collection in collections
        # Readers take Results for measurements of this repository, which has none.
        assert not model.results
        assert 'Variant Of' in model.data or 0 < errors(file)[0] < 30
        assert model.metadata.data['Precision'] == ('fp32' if 'CutMix repository' in recipe else 'fp16')
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
