# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""An overflow in mixed precision costs one update, and nothing of the history."""

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmpretrain.registry import HOOKS, OPTIM_WRAPPERS

from tests.helpers.runner import Recorder, build_runner

OVERFLOWS = {2: [1], 5: [0, 1, 2, 3]}


@OPTIM_WRAPPERS.register_module(force=True)
class SkippingOptimWrapper(OptimWrapper):
    """Leaves an update out if a gradient is not finite, as GradScaler does."""

    def step(self, **kwargs):
        grads = [parameter.grad for group in self.optimizer.param_groups for parameter in group['params']]
        if all(torch.isfinite(grad).all() for grad in grads):
            super().step(**kwargs)


@HOOKS.register_module(force=True)
class Overflow(Hook):
    """Lets the features of some samples overflow, and keeps the weights of every iteration."""

    def __init__(self):
        self.weights = []

    def before_train(self, runner):
        def overflow(module, args, feats):
            factor = torch.ones(len(feats[0]), 1, 1, 1)
            factor[OVERFLOWS.get(runner.iter, [])] = float('inf')
            return tuple((feat + 1) * factor for feat in feats)

        runner.model.backbone.register_forward_hook(overflow)
        torch.nn.init.normal_(runner.model.head.fc_roi.weight)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.weights.append(runner.model.head.fc.weight.detach().clone())


def test_overflow(tmp_path):
    runner = build_runner(
        tmp_path,
        reset=None,
        epochs=3,
        hooks=[dict(type='Overflow')],
        optim_wrapper=dict(type='SkippingOptimWrapper', optimizer=dict(type='SGD', lr=0.05)),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(type='RMToyDataset', num_samples=12),
        ),
    )
    runner.train()
    (steps,) = (hook.steps for hook in runner.hooks if isinstance(hook, Recorder))
    (weights,) = (hook.weights for hook in runner.hooks if isinstance(hook, Overflow))
    for i, step in enumerate(steps):
        assert torch.isfinite(step['loss']) == (i not in OVERFLOWS)
        # No update where it overflowed, and one everywhere else.
        if i + 1 < len(weights):
            assert weights[i].equal(weights[i + 1]) == (i in OVERFLOWS)
        # The batch is history all the same, but for the samples that overflowed.
        assert step['after'] is not step['before']
        assert torch.isfinite(step['after'].logits).all()
        assert step['after'].is_finite.tolist() == [n not in OVERFLOWS.get(i, []) for n in range(4)]
        if i:
            # What overflowed is pasted nowhere, one step long; of nothing else is anything lost.
            before = step['before'].is_finite
            area = 1 - step['after'].scores.max(1).values
            kept = step['after'].is_finite
            assert not area[~before & kept].any()
            assert bool((area[before & kept] > 0).any()) == bool((before & kept).any())
    # A batch without any prediction: nothing to be aligned with, only in the next step.
    consistency = [step['loss_consistency'].item() for step in steps]
    assert [value == 0 for value in consistency] == [i in (0, 6) for i in range(9)]
