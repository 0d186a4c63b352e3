# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The learning rates of our configs against those in the authors' logs."""

import uuid

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import ParamSchedulerHook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from tests.helpers.authors import CIFAR10, CONFIG_OF, IMAGENET, logged_rates, published
from tests.helpers.paths import CONFIGS


class OneWeight(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self):
        raise NotImplementedError('The schedule is asked for, and nothing is trained.')


def rates_of_iterations(name, work_dir, epoch_length, num_epochs):
    """Learning rate of every iteration, from the optimizer and the schedulers that the Runner builds of a config."""
    cfg = Config.fromfile(CONFIGS / CONFIG_OF[name])
    runner = Runner(
        OneWeight(),
        str(work_dir),
        train_dataloader=torch.utils.data.DataLoader(range(epoch_length)),
        train_cfg=cfg.train_cfg,
        optim_wrapper=cfg.optim_wrapper,
        param_scheduler=cfg.param_scheduler,
        default_scope=cfg.default_scope,
        experiment_name=uuid.uuid4().hex,
        log_level='ERROR',
    )
    assert runner.train_loop.max_iters == epoch_length * num_epochs  # Schedulers without an end take it from the loop.
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    (group,), hook, rates = runner.optim_wrapper.param_groups, ParamSchedulerHook(), []
    runner.optim_wrapper.step()  # Or torch warns that the schedulers come first.
    for _ in range(num_epochs):
        for i in range(epoch_length):
            rates.append(group['lr'])
            hook.after_train_iter(runner, i)
        hook.after_train_epoch(runner)
    return np.array(rates)


@pytest.mark.parametrize('logs', [CIFAR10, [IMAGENET]], ids=['CIFAR-10', 'ImageNet'])
def test_every_epoch_of_the_classifiers(logs, tmp_path):
    """1,200 values, printed with six digits after the point. One iteration stands for an epoch."""
    rates = rates_of_iterations(logs[0], tmp_path, epoch_length=1, num_epochs=300)
    for log in logs:
        logged = logged_rates(published('training')['runs'][log])
        np.testing.assert_allclose(rates, logged, rtol=0, atol=5.01e-7)
        # The tolerance is that of the print: 1e-5 of themselves higher or lower, they disagree.
        assert all(np.abs(factor * rates - logged).max() > 5.01e-7 for factor in (1.00001, 0.99999))


def test_every_logged_iteration_of_atss(tmp_path):
    """Warm-up, and a tenth after epochs 8 and 11; printed with five digits after the point.

    mmcv's warm-up ends in iteration 500, mmengine's one earlier: its iteration
    i has the rate that mmcv has at i · 500/499, at most 2e-5 more.
    """
    run = published('fine_tuning')['runs']['atss']
    logged = logged_rates(run)
    rates = rates_of_iterations('atss', tmp_path, epoch_length=7330, num_epochs=12)
    # An epoch's log has the iterations 50, 100, ..., 7300, counted from one.
    iterations = np.add.outer(7330 * np.arange(12), np.arange(50, 7301, 50)).ravel() - 1
    assert len(logged) == len(iterations) == 1752
    is_warmup = iterations < 500
    np.testing.assert_allclose(rates[iterations[~is_warmup]], np.array(logged)[~is_warmup], rtol=0, atol=5.01e-6)
    warmup = iterations[is_warmup]
    assert len(warmup) == 10
    as_mmcv = np.interp(warmup * 499 / 500, np.arange(500), rates[:500])
    np.testing.assert_allclose(as_mmcv, logged[:10], rtol=0, atol=5.01e-6)
    assert np.abs(rates[warmup] - as_mmcv).max() < 2.01e-5


def test_every_logged_iteration_of_upernet(tmp_path):
    """Poly to zero without warm-up; mmengine's is at zero one iteration earlier, which the five digits do not show."""
    logged = logged_rates(published('fine_tuning')['runs']['upernet'])
    assert len(logged) == 1600
    rates = rates_of_iterations('upernet', tmp_path, epoch_length=80000, num_epochs=1)
    np.testing.assert_allclose(rates[49::50], logged, rtol=0, atol=5.01e-6)
    exact = 1e-4 * (1 - np.arange(80000) / 80000) ** 0.9
    np.testing.assert_allclose(rates, exact, rtol=0, atol=1e-8)
