# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The flagship's loader: what travels from its workers, what a resumed run loads, and images that it skips."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.datasets.transforms import RandomResizedCrop
from mmpretrain.registry import DATASETS, MODELS

from mmrmix.contrib import ReseedHook
from mmrmix.contrib.cli import launch
from mmrmix.contrib.cli.cfg_options import read_config
from tests.helpers import synthetic
from tests.helpers.paths import CONFIGS, FLAGSHIP, ROOT

PVT = 'rm/pvtv2-b1_8xb64_imagenet.py'


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return synthetic.imagenet(tmp_path_factory.mktemp('imagenet') / 'data', num_images=7)


def settings_of(split='train', file=FLAGSHIP):
    """The config's data loader, as tools/train.py completes it."""
    cfg = Config.fromfile(CONFIGS / file)
    launch._set_mmpretrain_loader_defaults(cfg)
    return cfg[f'{split}_dataloader'].to_dict()


def loader_of(data_root, split='train', file=FLAGSHIP, batch_size=2, num_workers=2, **dataset):
    """The same, of few images."""
    settings = dict(settings_of(split, file), batch_size=batch_size, num_workers=num_workers)
    settings['dataset'].update(data_root=str(data_root), **dataset)
    return Runner.build_dataloader(settings, seed=0)


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('file', [FLAGSHIP, PVT])
def test_workers_send_bytes(data_root, split, file):
    """One byte a value: neither normalisation nor anything else in a worker makes floats."""
    batches = [batch['inputs'] for batch in loader_of(data_root, split, file)]
    assert [len(batch) for batch in batches] == [2, 2, 2, 1]
    for batch in batches:
        assert batch.dtype == torch.uint8
        assert batch.untyped_storage().nbytes() == len(batch) * 3 * 224 * 224


def test_copies_to_a_gpu_do_not_wait(data_root, monkeypatch):
    """From pinned memory, as bytes, which become floats there."""
    with monkeypatch.context() as patch:
        patch.setattr('torch.cuda.is_available', lambda: True)
        assert settings_of()['pin_memory'] and settings_of()['persistent_workers']
    cfg = Config.fromfile(CONFIGS / FLAGSHIP)
    preprocessor = MODELS.build(dict(cfg.data_preprocessor, num_classes=1000))
    (batch,) = loader_of(data_root, batch_size=7)
    copies, copy = [], torch.Tensor.to

    def record(tensor, *args, **kwargs):
        copies.append((tensor.dtype, kwargs))
        return copy(tensor, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, 'to', record)
    inputs = preprocessor(batch, training=True)['inputs']
    assert copies[0] == (torch.uint8, dict(non_blocking=True)) and inputs.dtype == torch.float32


def epochs_of(data_root, num_workers, first=0, last=2):
    """All batches of epochs first to last − 1, as ReseedHook has them loaded."""
    loader = loader_of(data_root, num_workers=num_workers)
    hook, seen = ReseedHook(), []
    for epoch in range(first, last):
        runner = SimpleNamespace(
            seed=5, iter=epoch * len(loader), epoch=epoch, train_dataloader=loader, train_loop=None, cfg={}
        )
        loader.sampler.set_epoch(epoch)
        hook.before_train_epoch(runner)
        for batch in loader:
            hook.before_train_iter(runner, 0)
            seen.append(batch['inputs'])
            runner.iter += 1
    return torch.cat(seen)


def test_a_resumed_run_crops_the_same(data_root):
    """Bits, with any number of workers."""
    uninterrupted = epochs_of(data_root, num_workers=2)
    resumed = epochs_of(data_root, num_workers=3, first=1)
    assert resumed.equal(uninterrupted[7:]) and not resumed.equal(uninterrupted[:7])


def test_pillow_is_one_line_away(data_root):
    """The options that docs/speed.md gives crop the same, but for rounding."""
    (line,) = re.findall(
        'train.py CONFIG --cfg-options (.*pillow)$', (ROOT / 'docs/speed.md').read_text(), re.MULTILINE
    )
    options = dict(option.split('=') for option in line.split())
    crops = []
    for changes in ({}, options):
        settings = read_config(CONFIGS / FLAGSHIP, changes).train_dataloader.dataset.to_dict()
        dataset = DATASETS.build(dict(settings, data_root=str(data_root)))
        assert changes == {} or type(dataset.pipeline.transforms[1]) is RandomResizedCrop
        np.random.seed(0)
        crops.append(torch.stack([dataset[index]['inputs'] for index in range(7)]).int())
    assert 0 < (crops[0] - crops[1]).abs().max() <= 2


@pytest.fixture
def damaged(tmp_path):
    """Seven images of which one is empty, one is cut and one is none."""
    root = synthetic.imagenet(tmp_path / 'data', num_images=7)
    paths = sorted((root / 'train').rglob('*.JPEG'))
    paths[1].write_bytes(b'')
    paths[4].write_bytes(paths[4].read_bytes()[:200])
    paths[5].write_bytes(b'<html>404</html>')
    return root, paths


def test_images_are_skipped_where_asked_for(damaged, monkeypatch):
    """Their successors take their places, by their indices; the log names and counts them."""
    root, paths = damaged
    skipped = []
    monkeypatch.setattr('mmrmix.datasets.imagenet.print_log', lambda text, *_: skipped.append(text))
    dataset = loader_of(root, max_skips=2).dataset
    labels = [int(dataset[index]['data_samples'].gt_label) for index in range(7)]
    assert [labels[1], labels[4], labels[5]] == [labels[2], labels[6], labels[6]]
    assert len({labels[i] for i in (0, 2, 3, 6)}) == 4
    # 4 → 5 → 6 counts both.
    expected = [f'{paths[i]} cannot be loaded: ' for i in (1, 4, 5, 5)]
    assert [line[: len(start)] for line, start in zip(skipped, expected)] == expected
    assert [line.split('skips so far: ')[1] for line in skipped] == ['1.', '2.', '3.', '4.']


def test_workers_count_together(damaged):
    loader = loader_of(damaged[0], max_skips=2)
    assert sum(len(batch['inputs']) for batch in loader) == 7
    assert int(loader.dataset._num_skipped) == 4


@pytest.mark.parametrize('max_skips, index', [(0, 1), (0, 4), (0, 5), (1, 4)])
def test_otherwise_they_stop_the_run(damaged, max_skips, index):
    root, paths = damaged
    dataset = loader_of(root, max_skips=max_skips).dataset
    with pytest.raises(
        RuntimeError, match=r'cannot be loaded: .*Replace it or remove it from the data set\.$'
    ) as error:
        dataset[index]
    assert str(paths[index + max_skips]) in str(error.value)
