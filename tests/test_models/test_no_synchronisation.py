# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Nothing in a training step reads a value from the device.

On the meta device tensors have shapes and no values: whatever would wait for
a GPU (``.item()``, ``.cpu()``, ``nonzero``, a Python ``if`` on a tensor)
raises an error there.
"""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.runner import IterBasedTrainLoop
from mmpretrain.structures import DataSample
from torch.utils._python_dispatch import TorchDispatchMode

from mmrmix import RMHistory
from mmrmix.contrib import ReseedHook, SafeCheckpointHook
from mmrmix.engine import RMHistoryHook
from mmrmix.models import RecursiveMix, RMHead


@pytest.mark.parametrize('share_fc', [False, True])
@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear'])
def test_step_on_the_meta_device(interpolation, share_fc):
    augment = RecursiveMix(interpolation=interpolation)
    head = RMHead(num_classes=10, in_channels=8, share_fc=share_fc, cal_acc=True, topk=(1, 5)).to('meta')
    augment.history = head.history = RMHistory()
    for num_samples in (4, 4, 6, 3):
        images = torch.empty(num_samples, 3, 32, 24, device='meta')
        inputs, scores = augment(images, torch.empty(num_samples, 10, device='meta'))
        assert inputs is images and scores.is_meta
        feature_map = torch.empty(num_samples, 8, 4, 3, device='meta', requires_grad=True)
        samples = [DataSample(gt_score=row).set_gt_label(0) for row in scores]
        for sample in samples:
            sample.set_field(sample.gt_label.to('meta'), 'gt_label')
        losses = head.loss((feature_map,), samples)
        (losses['loss_cls'] + losses['loss_consistency']).backward()
        assert feature_map.grad.is_meta and head.history.batch.logits.is_meta


def test_mixing_within_the_batch_on_the_meta_device():
    augment = RecursiveMix(with_history=False)
    augment.history = RMHistory()
    _, scores = augment(torch.empty(4, 3, 32, 24, device='meta'), torch.empty(4, 10, device='meta'))
    assert scores.is_meta


@pytest.mark.parametrize('synchronise', [torch.Tensor.item, torch.Tensor.cpu, torch.Tensor.nonzero, bool])
def test_the_meta_device_finds_synchronisation(synchronise):
    with pytest.raises((RuntimeError, NotImplementedError)):
        synchronise(torch.empty(1, device='meta'))


class NoTensorOperation(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        raise AssertionError(f'{function} in a step on behalf of a hook')


@pytest.mark.parametrize('hook', [RMHistoryHook(), RMHistoryHook(reset=None), ReseedHook(), SafeCheckpointHook()])
def test_hooks_do_nothing_with_tensors_between_checkpoints(hook):
    """No operation, so no synchronisation either; collectives are counted in test_distributed.py."""
    loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop)
    runner = SimpleNamespace(
        seed=0, iter=2, epoch=0, train_loop=loop, hooks=[CheckpointHook(interval=4, by_epoch=False)]
    )
    runner.max_iters = 10
    hook.history = RMHistory()
    with NoTensorOperation():
        hook.before_train_iter(runner, batch_idx=2, data_batch={})
        hook.after_train_iter(runner, batch_idx=2, data_batch={}, outputs={})
        with pytest.raises(AssertionError, match='on behalf of a hook'):
            torch.ones(1)
