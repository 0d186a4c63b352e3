# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmpretrain.registry import PARAM_SCHEDULERS

from mmrmix.engine import WarmupCosineLR
from tests.helpers.paths import CONFIGS, FLAGSHIP


def make_optimizer(*rates):
    groups = [dict(params=[torch.zeros(1, requires_grad=True)], lr=lr) for lr in rates]
    return torch.optim.SGD(groups, lr=1.0)


def run(optimizer, scheduler, epochs):
    """Learning rates that each epoch trained with, a list a group."""
    history = []
    for _ in range(epochs):
        history.append([group['lr'] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return [list(rates) for rates in zip(*history)]


def closed_formula(lr, warmup, total):
    """Epoch by epoch, counted from 0 as the authors' loops are."""
    cosine = [lr * 0.5 * (1 + math.cos(math.pi * epoch / total)) for epoch in range(total)]
    return [lr * (epoch + 1) / (warmup + 1) for epoch in range(warmup)] + cosine[warmup:]


@pytest.mark.parametrize('total', [300, 200])
@pytest.mark.parametrize('warmup', [0, 1, 5])
def test_every_epoch_of_several_groups(total, warmup):
    optimizer = make_optimizer(0.2, 0.05, 1e-3)
    scheduler = WarmupCosineLR(optimizer, warmup=warmup, T_max=total)
    rates = run(optimizer, scheduler, total)
    for got, lr in zip(rates, (0.2, 0.05, 1e-3)):
        assert got == pytest.approx(closed_formula(lr, warmup, total), rel=1e-12)


def test_values_worked_out_by_hand():
    optimizer = make_optimizer(0.6)
    (rates,) = run(optimizer, WarmupCosineLR(optimizer, warmup=5, T_max=300), 300)
    assert rates[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    # cos 3° = 0.99862953, one half at the middle, cos 60° = 1/2.
    assert rates[5] == pytest.approx(0.3 * 1.99862953)
    assert rates[100] == pytest.approx(0.45)
    assert rates[150] == pytest.approx(0.3)
    assert 0 < rates[299] < 2e-5
    assert rates.index(max(rates)) == 5


def test_an_optim_wrapper_is_scheduled_as_well():
    wrapper = OptimWrapper(make_optimizer(0.6))
    scheduler = WarmupCosineLR(wrapper, warmup=2, T_max=10)
    assert wrapper.get_lr()['lr'] == pytest.approx([0.2])
    wrapper.step()
    scheduler.step()
    assert wrapper.get_lr()['lr'] == pytest.approx([0.4])


@pytest.mark.parametrize('epoch', [1, 3, 5, 6, 117, 199])
def test_resume(epoch):
    """Stopped after any epoch, a new process goes on as if nothing had been."""
    expected = closed_formula(0.1, 5, 200)
    optimizer = make_optimizer(0.1, 0.2)
    scheduler = WarmupCosineLR(optimizer, warmup=5, T_max=200)
    run(optimizer, scheduler, epoch)
    saved = optimizer.state_dict(), scheduler.state_dict()

    # The new scheduler is built with other numbers: the saved state counts.
    resumed_optimizer = make_optimizer(0.1, 0.2)
    resumed = WarmupCosineLR(resumed_optimizer, warmup=0, T_max=7)
    resumed_optimizer.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    first, second = run(resumed_optimizer, resumed, 200 - epoch)
    assert first == pytest.approx(expected[epoch:], rel=1e-12)
    assert second == pytest.approx([2 * rate for rate in expected[epoch:]], rel=1e-12)


def test_begin_and_end():
    """Outside of [begin, end) the rate stays; the formula counts from begin."""
    optimizer = make_optimizer(0.6)
    scheduler = WarmupCosineLR(optimizer, warmup=5, T_max=300, begin=2, end=5)
    (rates,) = run(optimizer, scheduler, 8)
    assert rates == pytest.approx([0.6, 0.6, 0.1, 0.2, 0.3, 0.3, 0.3, 0.3])


def test_through_the_shipped_config():
    config = Config.fromfile(CONFIGS / FLAGSHIP)
    assert config.train_cfg.max_epochs == 300
    optimizer = make_optimizer(config.optim_wrapper.optimizer.lr)
    scheduler = PARAM_SCHEDULERS.build(config.param_scheduler, default_args=dict(optimizer=optimizer, end=300))
    assert isinstance(scheduler, WarmupCosineLR)
    assert scheduler.by_epoch
    (rates,) = run(optimizer, scheduler, 300)
    assert rates == pytest.approx(closed_formula(0.2, 5, 300), rel=1e-12)
