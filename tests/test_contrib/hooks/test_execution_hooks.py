# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""ChannelsLastHook and CompileHook: the same training, computed otherwise."""

import argparse

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODEL_WRAPPERS
from mmpretrain.registry import HOOKS

from mmrmix.contrib.batch_data_preprocessor import random_crop_flip
from mmrmix.contrib.hooks.channels_last_hook import convert_weights
from mmrmix.models.heads import rm_head
from tests.helpers.processes import load_script
from tests.helpers.runner import RM, build_runner, train
from tests.helpers.utils import TINY_BACKBONE

CHANNELS_LAST = dict(type='mmrmix.ChannelsLastHook')
COMPILE = dict(type='mmrmix.CompileHook', backend='eager')
# The learning rate changes in every iteration, which makes mmengine's own compile=True compile anew.
SCHEDULE = dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20)
BATCHES = dict(
    type='ImageClassifier',
    backbone=TINY_BACKBONE,
    head=dict(type='mmrmix.RMHead', num_classes=10, in_channels=8),
    train_cfg=dict(augments=RM),
    data_preprocessor=dict(
        type='mmrmix.BatchDataPreprocessor', num_classes=10, mean=[128] * 3, std=[64] * 3, crop_padding=2, flip_prob=0.5
    ),
)


counts_graphs = pytest.mark.skipif(
    not rm_head._COMPILES_LOSSES, reason='with this torch, losses run outside the compiled part'
)


@HOOKS.register_module(force=True)
class Witness(Hook):
    """What comes out of the preprocessor, and how many graphs there are after each epoch."""

    priority = 'LOWEST'

    def __init__(self):
        self.inputs, self.graphs = [], []

    def before_train(self, runner):
        preprocessor = runner.model.data_preprocessor
        preprocessor.register_forward_hook(lambda module, args, data: self.inputs.append(data['inputs']))

    def after_train_epoch(self, runner):
        self.graphs.append(torch._dynamo.utils.counters['stats']['unique_graphs'])


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


def assert_same_losses(steps, expected, rel=1e-4):
    assert len(steps) == len(expected) > 0
    for step, other in zip(steps, expected):
        assert step['loss'].item() == pytest.approx(other['loss'].item(), rel=rel)


@pytest.mark.parametrize('model', [None, BATCHES], ids=['ClsDataPreprocessor', 'BatchDataPreprocessor'])
@pytest.mark.parametrize('collate', ['default_collate', 'pseudo_collate'])
def test_channels_last(tmp_path, model, collate):
    settings = dict(model=model) if model else {}
    settings.update(epochs=3, reset=None)
    _, expected = train(tmp_path / 'plain', **settings)
    runner = build_runner(tmp_path, hooks=[CHANNELS_LAST, dict(type='Witness')], **settings)
    runner._train_dataloader['collate_fn'] = dict(type=collate)
    runner.train()
    hooks = {type(hook).__name__: hook for hook in runner.hooks}
    assert_same_losses(hooks['Recorder'].steps, expected)
    (inputs, last) = hooks['Witness'].inputs[-2:]
    assert all(batch.is_contiguous(memory_format=torch.channels_last) for batch in (inputs, last))
    assert runner.model.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    if collate == 'default_collate':
        # The history is what the network saw, not another copy of it.
        assert hooks['Recorder'].history(runner).batch.inputs.data_ptr() == last.data_ptr()


def test_channels_last_once(tmp_path):
    """A second run of the same model converts nothing twice."""
    runner = build_runner(tmp_path, hooks=[CHANNELS_LAST], epochs=1)
    runner.train()
    (hook,) = [hook for hook in runner.hooks if type(hook).__name__ == 'ChannelsLastHook']
    number = len(runner.model.data_preprocessor._forward_pre_hooks)
    hook.before_val(runner)
    assert len(runner.model.data_preprocessor._forward_pre_hooks) == number


def test_weights_that_a_wrapper_keeps(monkeypatch):
    """FSDP and DeepSpeed have flattened them when the hook comes."""

    class Sharded(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    monkeypatch.setitem(MODEL_WRAPPERS.module_dict, 'Sharded', Sharded)
    with pytest.raises(ValueError) as caught:
        convert_weights(Sharded(torch.nn.Conv2d(2, 2, 3)))
    assert str(caught.value) == (
        'ChannelsLastHook cannot convert weights that Sharded keeps in a form of its own: leave --channels-last (the '
        'hook) out, or train with MMDistributedDataParallel.'
    )


@pytest.mark.parametrize('num_channels', [1, 3])
def test_crops_keep_the_memory_format(num_channels):
    images = torch.rand(5, num_channels, 6, 4)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        crops = random_crop_flip(images.contiguous(memory_format=memory_format), 2, 0.5)
        assert crops.is_contiguous(memory_format=memory_format)
        torch.manual_seed(0)
        assert torch.equal(crops, random_crop_flip(images, 2, 0.5))


@counts_graphs
@pytest.mark.parametrize('model', [None, BATCHES], ids=['ClsDataPreprocessor', 'BatchDataPreprocessor'])
@pytest.mark.parametrize('hooks', [[COMPILE], [CHANNELS_LAST, COMPILE]], ids=len)
def test_compiled_once(tmp_path, hooks, model):
    """Two graphs for a full batch, three for any smaller one, whatever box and learning rate."""
    settings = dict(model=model) if model else {}
    settings.update(epochs=5, reset=None, param_scheduler=SCHEDULE)
    _, expected = train(tmp_path / 'plain', **settings)
    runner = build_runner(tmp_path, hooks=[*hooks, dict(type='Witness')], **settings)
    runner.train()
    by_name = {type(hook).__name__: hook for hook in runner.hooks}
    assert_same_losses(by_name['Recorder'].steps, expected)
    graphs = by_name['Witness'].graphs
    assert 0 < graphs[0] <= 5
    assert graphs[1:] == [graphs[1]] * 4
    # The history went on inside the compiled part.
    assert by_name['Recorder'].history(runner).batch is not None


def test_all_at_once_in_bfloat16(tmp_path):
    settings = dict(
        model=BATCHES, epochs=3, reset=None, optim_wrapper=dict(type='BFloat16OptimWrapper', optimizer=dict(type='SGD', lr=0.05))
    )  # fmt: skip
    _, expected = train(tmp_path / 'plain', **settings)
    _, steps = train(tmp_path, hooks=[CHANNELS_LAST, COMPILE], **settings)
    assert_same_losses(steps, expected, rel=0.02)


def test_predictions_are_not_compiled(tmp_path):
    runner = build_runner(tmp_path, hooks=[COMPILE], epochs=1)
    runner.train()
    graphs = torch._dynamo.utils.counters['stats']['unique_graphs']
    runner.model.eval()
    assert runner.model(torch.rand(3, 3, 16, 16)).shape == (3, 10)
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] == graphs


def test_options_of_train():
    train_tool = load_script('tools/train.py')
    flags = dict.fromkeys(['no_validate', 'no_persistent_workers', 'amp', 'auto_scale_lr'], False)
    cfg = Config(dict(custom_hooks=[dict(type='mmrmix.RMHistoryHook')], optim_wrapper=dict()))
    args = argparse.Namespace(**flags, channels_last=True, compile=True, resume=None)
    train_tool.apply_options(cfg, args)
    types = [hook.type for hook in cfg.custom_hooks]
    assert types == ['mmrmix.RMHistoryHook', 'mmrmix.ChannelsLastHook', 'mmrmix.CompileHook']
