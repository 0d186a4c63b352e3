# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""``load_from`` fine-tunes an RM checkpoint: what docs/inherit.md says of it."""

import pytest
import torch

from tests.helpers.runner import RM, build_runner, train
from tests.helpers.utils import TINY_BACKBONE

# Nothing changes after it was loaded; running statistics of batch normalisation do.
STILL = dict(epochs=1, reset=None, optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)))
PLAIN = dict(
    type='ImageClassifier',
    backbone=TINY_BACKBONE,
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=8),
    data_preprocessor=dict(num_classes=10, mean=[128] * 3, std=[64] * 3),
)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A checkpoint with a history in it."""
    folder = tmp_path_factory.mktemp('pretraining')
    train(folder, epochs=1, reset=None, default_hooks=dict(checkpoint=dict(type='CheckpointHook')))
    path = folder / 'epoch_1.pth'
    assert torch.load(path, weights_only=False)['hook_msgs']['rm_history']
    return path


def same_as_saved(runner, checkpoint):
    """Names of the parameters, and of those among them that are the checkpoint's."""
    saved = torch.load(checkpoint, weights_only=False)['state_dict']
    now = dict(runner.model.named_parameters())
    return now.keys(), {name for name in now if name in saved and now[name].equal(saved[name])}


def test_backbone_and_head_with_an_empty_history(checkpoint, tmp_path):
    runner, steps = train(tmp_path, load_from=str(checkpoint), **STILL)
    names, same = same_as_saved(runner, checkpoint)
    assert same == names
    assert steps[0]['before'] is None and steps[0]['runner_iter'] == 0


def test_plain_head_takes_fc(checkpoint, tmp_path, capsys):
    runner = build_runner(tmp_path, load_from=str(checkpoint), custom_hooks=[], model=PLAIN, **STILL)
    runner.train()
    names, same = same_as_saved(runner, checkpoint)
    assert same == names and 'head.fc.weight' in names
    assert 'unexpected key in source state_dict: head.fc_roi.weight, head.fc_roi.bias' in capsys.readouterr().out


def test_head_with_another_number_of_classes(checkpoint, tmp_path, capsys):
    settings = dict(
        num_classes=20,
        head=dict(type='mmrmix.RMHead', num_classes=20, in_channels=8),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(type='RMToyDataset', num_classes=20),
        ),
    )
    runner, _ = train(tmp_path, RM, load_from=str(checkpoint), **settings, **STILL)
    names, same = same_as_saved(runner, checkpoint)
    assert names - same == {f'head.{layer}.{name}' for layer in ('fc', 'fc_roi') for name in ('weight', 'bias')}
    printed = capsys.readouterr().out
    for name in names - same:
        assert f'size mismatch for {name}' in printed
