# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What ReseedHook seeds; that resuming becomes exact by it is in test_resume.py."""

import pickle
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmrmix.contrib import ReseedHook
from mmrmix.contrib.hooks import reseed_hook


class Draws(Dataset):
    """Every sample is what the three generators give for it."""

    def __len__(self):
        return 14

    def __getitem__(self, index):
        return torch.tensor([random.random(), np.random.rand(), torch.rand(()).item()], dtype=torch.float64)


class Batched(Draws):
    """Fetches batches as a whole, as some data sets do."""

    def __getitems__(self, indices):
        return [self[index] + 10 for index in indices]


def make_runner(num_workers=0, dataset=None, seed=3, iteration=0, **loader):
    loader = DataLoader(dataset or Draws(), batch_size=4, num_workers=num_workers, **loader)
    return SimpleNamespace(seed=seed, iter=iteration, epoch=0, train_dataloader=loader, train_loop=None, cfg={})


def epoch(runner, hook):
    """Batches and draws in the steps of one epoch."""
    hook.before_train_epoch(runner)
    batches, steps = [], []
    for i, batch in enumerate(runner.train_dataloader):
        hook.before_train_iter(runner, i)
        batches.append(batch)
        steps.append((random.random(), np.random.rand(), torch.rand(()).item()))
        runner.iter += 1
    runner.epoch += 1
    return torch.cat(batches), steps


@pytest.mark.parametrize('changed', ['seed', 'rank', 'iteration'])
def test_draws_depend_on(changed, monkeypatch):
    def draws(rank=1, **settings):
        monkeypatch.setattr(reseed_hook, 'get_rank', lambda: rank)
        batches, steps = epoch(make_runner(**settings), ReseedHook())
        return {*batches.flatten().tolist(), *np.ravel(steps).tolist()}

    other = dict(rank=2) if changed == 'rank' else {changed: 50}
    assert draws() == draws()
    # 14 samples and 4 steps, three generators each: no number comes twice.
    assert len(draws()) == 3 * (14 + 4)
    assert not draws() & draws(**other)


@pytest.mark.parametrize(
    'settings', [dict(), dict(num_workers=3), dict(num_workers=3, persistent_workers=True)], ids=str
)
def test_epochs_do_not_repeat_each_other(settings):
    """Mmengine's own seeds of workers do not know the epoch."""
    hook, runner = ReseedHook(), make_runner(**settings)
    plain = make_runner()
    seen = []
    for _ in range(3):
        batches, steps = epoch(runner, hook)
        expected_batches, expected_steps = epoch(plain, hook)
        assert batches.equal(expected_batches) and steps == expected_steps
        seen += [*batches.flatten().tolist(), *np.ravel(steps).tolist()]
    assert len(set(seen)) == len(seen)


def test_iterations_are_addressed_one_by_one():
    """Whatever was drawn before, iteration 6 is the same."""
    batches, steps = epoch(make_runner(iteration=4), ReseedHook())
    later, later_steps = epoch(make_runner(iteration=6), ReseedHook())
    assert later[:8].equal(torch.cat([batches[8:12], later[4:8]]))
    assert later_steps[:2] == steps[2:]


def test_data_set_with_its_own_batches():
    hook, runner = ReseedHook(), make_runner(dataset=Batched())
    batches, _ = epoch(runner, hook)
    expected, _ = epoch(make_runner(), hook)
    assert batches.equal(expected + 10)
    # Every epoch wraps the data set's own method, not the wrapper.
    assert epoch(runner, hook)[0].min() >= 10
    assert runner.train_dataloader.dataset.__getitems__.fetch.__func__ is Batched.__getitems__


def test_data_set_for_workers_can_be_pickled():
    """Where processes are spawned instead of forked, it has to be."""
    runner = make_runner(num_workers=2)
    ReseedHook().before_train_epoch(runner)
    dataset = pickle.loads(pickle.dumps(runner.train_dataloader.dataset))
    assert dataset.__getitems__.key == (3, 0)


@pytest.mark.parametrize('num_workers', [1, 2, 3, 5])
@pytest.mark.parametrize('epoch_length', [1, 2, 7, None])
def test_numbers_that_workers_give(num_workers, epoch_length, monkeypatch):
    """By simulation: torch deals the batches of every epoch out in turns, starting with worker 0."""
    counters = [reseed_hook._WorkerIteration(100, epoch_length) for _ in range(num_workers)]
    for iteration in range(21):
        worker = (iteration if epoch_length is None else iteration % epoch_length) % num_workers
        info = SimpleNamespace(id=worker, num_workers=num_workers)
        monkeypatch.setattr(reseed_hook, 'get_worker_info', lambda info=info: info)
        assert counters[worker]() == 100 + iteration


def test_sampler_gets_the_resumed_seed(monkeypatch):
    """Mmengine builds it before the seed is known again; all ranks need the same one."""
    runner = make_runner(seed=8)
    runner.train_dataloader.sampler.seed = 5
    monkeypatch.setattr(reseed_hook, 'get_rank', lambda: 2)
    ReseedHook().before_train(runner)
    assert runner.train_dataloader.sampler.seed == 8
    runner.cfg = dict(randomness=dict(diff_rank_seed=True))
    ReseedHook().before_train(runner)
    assert runner.train_dataloader.sampler.seed == 6


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_devices_are_seeded(device, monkeypatch):
    seeds = []
    monkeypatch.setattr(reseed_hook, 'get_device', lambda: device)
    monkeypatch.setattr(torch, 'manual_seed', seeds.append)
    reseed_hook.seed_everything(1, 2)
    assert len(seeds) == (device == 'cuda')
