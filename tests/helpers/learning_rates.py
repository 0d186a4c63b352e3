# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The schedule of a config, without a Runner; tests/test_fidelity/test_learning_rates.py asks the Runner itself."""

import torch
from mmpretrain.registry import PARAM_SCHEDULERS


def learning_rates(cfg, num_iters, epoch_length=1):
    """Learning rate of every iteration; by default one stands for an epoch."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=cfg.optim_wrapper.optimizer.lr)
    settings = cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    # As Runner.build_param_scheduler: without an end, the last epoch is it.
    ends = [dict(end=num_iters // epoch_length) if each.by_epoch else {} for each in settings]
    schedulers = [
        (PARAM_SCHEDULERS.build({**end, **each}, default_args=dict(optimizer=optimizer)), each.by_epoch)
        for end, each in zip(ends, settings)
    ]
    rates = []
    for i in range(num_iters):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler, by_epoch in schedulers:
            if not by_epoch or (i + 1) % epoch_length == 0:
                scheduler.step()
    return rates
