# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Iterations an epoch, from our loaders and the sizes of the data sets, against the authors' logs."""

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from tests.helpers.authors import CIFAR10, CONFIG_OF, IMAGENET, published
from tests.helpers.paths import CONFIGS


class Sized:
    """A data set of which only the length is asked for."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length


def batches_of_a_process(loader, num_images, rank, num_processes, monkeypatch):
    """Number of batches, and size of the last one, of the loader that the Runner builds."""
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (rank, num_processes))
    loader = dict(loader, dataset=Sized(num_images), num_workers=0, persistent_workers=False)
    loader = Runner.build_dataloader(loader, seed=0)
    return len(loader), (len(loader.sampler) - 1) % loader.batch_sampler.batch_size + 1


@pytest.mark.parametrize(
    ('logs', 'num_processes', 'num_train', 'num_val', 'last_batch'),
    # An epoch's last batch is kept: 16 images of 64, 143 (rounded up to 144) of 512.
    [(CIFAR10, 2, 50_000, 10_000, 8), ([IMAGENET], 8, 1_281_167, 50_000, 18)],
    ids=['CIFAR-10', 'ImageNet'],
)
def test_classifiers(logs, num_processes, num_train, num_val, last_batch, monkeypatch):
    """Training: 782 and 2,503. Validation: the authors' 157 and 98 are with the batch size of training."""
    runs, cfg = published('training')['runs'], Config.fromfile(CONFIGS / CONFIG_OF[logs[0]])
    logged = {(runs[log]['iterations_per_epoch'], runs[log]['validation_iterations']) for log in logs}
    assert logged == {(782, 157) if logs is CIFAR10 else (2503, 98)}
    ((iterations, validation_iterations),) = logged
    for rank in (0, num_processes - 1):
        place = rank, num_processes, monkeypatch
        train = batches_of_a_process(cfg.train_dataloader, num_train, *place)
        assert train == (iterations, last_batch)
        loader = dict(cfg.val_dataloader, batch_size=cfg.train_dataloader.batch_size)
        assert batches_of_a_process(loader, num_val, *place)[0] == validation_iterations
        # Ours on CIFAR-10 has 500 images a batch, which changes no result.
        ours, _ = batches_of_a_process(cfg.val_dataloader, num_val, *place)
        assert ours == (10 if logs is CIFAR10 else validation_iterations)


def test_losses_are_logged_every_hundredth_iteration():
    """So the data show the length of an epoch once more: 8 and 26 rows."""
    for run in published('training')['runs'].values():
        for losses in run['loss_every_100_iterations']:
            assert len(losses) == -(-run['iterations_per_epoch'] // 100)


def test_fine_tuning(monkeypatch):
    """8 × 2 images of the 117,266 with annotations are 7,330 iterations; evaluation takes one image a GPU."""
    runs = published('fine_tuning')['runs']
    cfg = Config.fromfile(CONFIGS / CONFIG_OF['atss'])
    init_default_scope('mmdet')
    place = (7, 8, monkeypatch)
    assert batches_of_a_process(cfg.train_dataloader, 117_266, *place)[0] == 7330
    assert len(runs['atss']['learning_rates']) == cfg.train_cfg.max_epochs == 12
    assert {len(row) for row in runs['atss']['learning_rates']} == {7330 // 50}
    assert batches_of_a_process(cfg.val_dataloader, 5_000, *place)[0] == runs['atss']['validation_iterations']
    cfg = Config.fromfile(CONFIGS / CONFIG_OF['upernet'])
    assert batches_of_a_process(cfg.val_dataloader, 2_000, *place)[0] == runs['upernet']['validation_iterations']
