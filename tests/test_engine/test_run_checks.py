# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Runs that would mix nothing, or stop at their first validation, say so at the start."""

import re

import pytest

from tests.helpers.runner import CUTMIX, RM, build_runner, train

FOUR_CLASSES = dict(
    head=dict(type='mmrmix.RMHead', num_classes=4, in_channels=8),
    num_classes=4,
    train_dataloader=dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(type='RMToyDataset', num_classes=4),
    ),
)


def warnings_of(folder):
    """What the log says at level WARNING, without its time stamps."""
    (log,) = folder.glob('*/*.log')
    lines = re.split(r'\n(?=\d{4}/)', log.read_text())
    return [line.split(' - ', 3)[-1] for line in lines if ' - WARNING - ' in line]


def of_mixing(messages):
    return [message for message in messages if 'RMHistoryHook' in message or 'mix' in message.lower()]


class TestShortEpochs:
    @pytest.mark.parametrize(
        'batch_size, share', [(10, 'no batch is ever mixed'), (4, '1 of 3 batches is not mixed')], ids=['one', 'three']
    )
    def test_said_once_with_the_way_out(self, tmp_path, batch_size, share):
        loader = dict(
            batch_size=batch_size, sampler=dict(type='DefaultSampler', shuffle=True), dataset=dict(type='RMToyDataset')
        )
        train(tmp_path, epochs=3, train_dataloader=loader)
        messages = of_mixing(warnings_of(tmp_path))
        (warning,) = [message for message in messages if share in message]
        assert warning is messages[0] and 'reset=None' in warning
        # One batch an epoch: nothing was mixed, and the end says so.
        assert any('ends without having mixed a single batch' in message for message in messages) == (batch_size == 10)

    @pytest.mark.parametrize(
        'settings',
        [
            dict(reset=None),
            dict(train_cfg=dict(by_epoch=False, max_iters=6)),
            dict(augments=dict(RM, with_history=False)),
        ],
        ids=['reset=None', 'iterations', 'without history'],
    )
    def test_nothing_to_say(self, tmp_path, settings):
        train(tmp_path, epochs=2, **settings)
        assert of_mixing(warnings_of(tmp_path)) == []

    def test_long_epochs(self, tmp_path):
        """1 of 40 is less than a few percent."""
        loader = dict(
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(type='RMToyDataset', num_samples=80),
        )
        train(tmp_path, epochs=1, train_dataloader=loader)
        assert of_mixing(warnings_of(tmp_path)) == []


class TestNothingMixed:
    def test_probability_zero(self, tmp_path):
        train(tmp_path, epochs=2, reset=None, augments=[RM, CUTMIX], probs=[0.0, 1.0])
        (message,) = of_mixing(warnings_of(tmp_path))
        assert re.search(r'ends without having mixed a single batch .*probs.*reset=None', message)

    def test_other_augments_in_the_preprocessor(self, tmp_path):
        """Mmpretrain takes them, and not those of train_cfg."""
        runner = build_runner(tmp_path)
        config = runner.cfg.model.to_dict()
        config['data_preprocessor']['batch_augments'] = dict(augments=CUTMIX)
        with pytest.raises(
            ValueError,
            match=r"batch augments are \['CutMix'\].*ignores model.train_cfg.augments: write data_preprocessor=",
        ):
            train(tmp_path / 'shadowed', model=config)

    def test_the_way_out_of_that_message(self, tmp_path):
        config = build_runner(tmp_path).cfg.model.to_dict()
        config['data_preprocessor']['batch_augments'] = dict(augments=dict(type='mmrmix.RecursiveMix'))
        _, steps = train(tmp_path / 'right', model=config)
        assert max(step['loss_consistency'].item() for step in steps) > 0

    def test_no_augments_at_all(self, tmp_path):
        config = build_runner(tmp_path).cfg.model.to_dict()
        config['train_cfg'] = None
        train(tmp_path / 'none', epochs=1, reset=None, model=config)
        (message,) = of_mixing(warnings_of(tmp_path / 'none'))
        assert 'The model has an RMHead, but no RecursiveMix: nothing is mixed' in message

    @pytest.mark.parametrize('augments', [None, dict(augments=CUTMIX)], ids=['none', 'CutMix'])
    def test_a_head_for_its_pooling_alone(self, tmp_path, augments):
        """As in our PVTv2 baseline."""
        config = build_runner(tmp_path).cfg.model.to_dict()
        config['train_cfg'] = augments
        config['head']['omega'] = 0
        train(tmp_path / 'pooling', epochs=1, reset=None, model=config)
        assert of_mixing(warnings_of(tmp_path / 'pooling')) == []

    @pytest.mark.parametrize('to_onehot', [False, True])
    @pytest.mark.parametrize('kind', ['ClsDataPreprocessor', 'mmrmix.BatchDataPreprocessor'])
    def test_switched_on_later(self, tmp_path, kind, to_onehot):
        config = build_runner(tmp_path).cfg.model.to_dict()
        config['train_cfg'] = None
        config['data_preprocessor'].update(type=kind, to_onehot=to_onehot)
        switch = dict(type='SwitchRecipeHook', schedule=[dict(action_epoch=2, batch_augments=dict(augments=RM))])
        _, steps = train(tmp_path / 'late', epochs=3, reset=None, model=config, hooks=[switch])
        mixed = [step['loss_consistency'].item() > 0 for step in steps]
        # The first batch of the second epoch has no history yet.
        assert mixed[:4] == [False] * 4 and sum(mixed[4:]) >= 4
        assert of_mixing(warnings_of(tmp_path / 'late')) == []


def test_two_hooks(tmp_path):
    """A config that inherits one and adds another: the first would clear what the second keeps."""
    with pytest.raises(ValueError, match=r'has 2 RMHistoryHooks, .*custom_hooks.0.reset=None'):
        train(tmp_path, hooks=[dict(type='mmrmix.RMHistoryHook', reset=None)])


class TestMetrics:
    def settings(self, topk):
        loader = dict(
            batch_size=4, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(type='RMToyDataset')
        )
        return dict(val_dataloader=loader, val_cfg=dict(), val_evaluator=dict(type='Accuracy', topk=topk))

    def test_more_classes_counted_than_there_are(self, tmp_path):
        with pytest.raises(ValueError, match=r'counts the top 5 of 4 classes, .*val_evaluator=dict\(.*topk=\(1,\)\)'):
            train(tmp_path, **FOUR_CLASSES, **self.settings((1, 5)))

    def test_as_many_as_there_are(self, tmp_path):
        build_runner(tmp_path, **FOUR_CLASSES, **self.settings((1, 4)))
        _, steps = train(tmp_path / 'ten', epochs=1, **self.settings((1, 5)))
        assert steps


def test_data_sets_without_meta_data(tmp_path):
    """Mmpretrain's vis_scheduler.py has one, with metainfo=None."""
    runner = build_runner(tmp_path, epochs=1)
    runner.train_loop.dataloader.dataset.metainfo = None
    runner.train()
    assert runner.iter == 3
