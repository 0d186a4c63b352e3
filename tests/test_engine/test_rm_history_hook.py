# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""RMHistoryHook inside real runs of mmengine's Runner."""

import pytest
import torch

from mmrmix.engine import RMHistoryHook
from mmrmix.models import RecursiveMix
from tests.helpers.runner import (
    CUTMIX,
    RM,
    VALIDATION,
    build_runner,
    train,
)


def link_lines(tmp_path):
    text = ''.join(path.read_text() for path in tmp_path.rglob('*.log'))
    return [line for line in text.splitlines() if 'share one history' in line]


class TestEpochs:
    @pytest.mark.parametrize('reset', ['epoch', None])
    def test_reset(self, tmp_path, reset):
        _, steps = train(tmp_path, epochs=3, reset=reset)
        assert [step['epoch'] for step in steps] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        empty = [step['runner_iter'] for step in steps if step['before'] is None]
        assert empty == ([0, 3, 6] if reset == 'epoch' else [0])
        for last, step in zip(steps, steps[1:]):
            if step['before'] is not None:
                assert step['before'] is last['after']
        assert all(step['after'] is not step['before'] for step in steps)
        assert [len(step['after'].inputs) for step in steps] == [4, 4, 2] * 3

    def test_iteration_and_seed_are_the_runners(self, tmp_path):
        runner, steps = train(tmp_path, epochs=3)
        assert runner.seed == 11
        assert [step['seed'] for step in steps] == [11] * 9
        assert [step['iteration'] for step in steps] == list(range(9))
        assert len({id(step['history']) for step in steps}) == 1

    def test_a_run_can_be_repeated(self, tmp_path):
        first, second = (train(tmp_path / name)[1] for name in 'ab')
        for a, b in zip(first, second):
            assert a['after'].inputs.equal(b['after'].inputs)
            assert a['loss'] == b['loss']

    def test_validation_inside_leaves_the_history(self, tmp_path):
        _, plain = train(tmp_path / 'plain', reset=None, epochs=3)
        _, steps = train(tmp_path / 'val', reset=None, epochs=3, **VALIDATION)
        assert [step['loss'].item() for step in steps] == [step['loss'].item() for step in plain]

    def test_link_is_logged_once(self, tmp_path):
        train(tmp_path, epochs=3, reset=None)
        (line,) = link_lines(tmp_path)
        assert 'RecursiveMix(alpha=0.5' in line
        assert 'RMHead(omega=0.1, share_fc=False)' in line
        assert 'reset=None, seed=11' in line


class TestSwitchRecipe:
    def test_rm_off_other_rm(self, tmp_path):
        schedule = [
            dict(action_epoch=2, batch_augments=None),
            dict(action_epoch=3, batch_augments=dict(augments=dict(RM, alpha=0.9))),
        ]
        _, steps = train(tmp_path, epochs=4, reset=None, hooks=[dict(type='SwitchRecipeHook', schedule=schedule)])
        mixed = [step['after'] is not step['before'] for step in steps]
        assert mixed == [True] * 3 + [False] * 3 + [True] * 6
        assert [step['iteration'] for step in steps] == list(range(12))
        assert len({id(step['history']) for step in steps}) == 1
        # The swapped-in augment mixes with what the first one left.
        assert steps[6]['before'] is steps[2]['after']
        # λ > 0: labels are no longer one-hot.
        assert (steps[7]['after'].scores.max(1).values < 1).any()
        lines = link_lines(tmp_path)
        assert [line.count('RecursiveMix(') for line in lines] == [1, 0, 1]
        assert 'alpha=0.5' in lines[0]
        assert 'alpha=0.9' in lines[2]

    def test_switched_on_later(self, tmp_path):
        schedule = [dict(action_epoch=2, batch_augments=dict(augments=RM))]
        _, steps = train(tmp_path, augments=CUTMIX, hooks=[dict(type='SwitchRecipeHook', schedule=schedule)], epochs=2)
        assert [step['after'] is None for step in steps] == [True] * 3 + [False] * 3
        assert 'alpha=0.5' in link_lines(tmp_path)[-1]


class TestLoopsAndHooks:
    def test_iterations(self, tmp_path):
        """One epoch to the hook: cleared at the start only."""
        _, steps = train(
            tmp_path,
            train_cfg=dict(by_epoch=False, max_iters=7, val_interval=3),
            train_dataloader=dict(
                batch_size=4,
                num_workers=0,
                sampler=dict(type='InfiniteSampler', shuffle=True),
                dataset=dict(type='RMToyDataset'),
            ),
            **VALIDATION,
        )
        assert [step['iteration'] for step in steps] == list(range(7))
        assert steps[0]['before'] is None
        assert all(step['before'] is last['after'] for last, step in zip(steps, steps[1:]))

    def test_ema(self, tmp_path):
        """Its averaged copy of the model validates, and never touches the history."""
        _, plain = train(tmp_path / 'plain', reset=None, epochs=3)
        ema = [dict(type='EMAHook', momentum=0.5)]
        runner, steps = train(tmp_path / 'ema', reset=None, epochs=3, hooks=ema, **VALIDATION)
        assert [step['loss'].item() for step in steps] == [step['loss'].item() for step in plain]
        assert steps[-1]['history'] is runner.model.head.history

    def test_bfloat16(self, tmp_path):
        runner, steps = train(
            tmp_path, optim_wrapper=dict(type='BFloat16OptimWrapper', optimizer=dict(type='SGD', lr=0.05))
        )
        assert steps[1]['after'].logits.dtype == torch.bfloat16
        assert steps[1]['after'].scores.dtype == torch.float32
        assert steps[1]['loss_consistency'] > 0
        assert all(parameter.dtype == torch.float32 for parameter in runner.model.parameters())

    def test_gradient_accumulation(self, tmp_path):
        """History moves with every forward, not with every update."""
        optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05), accumulative_counts=2)
        _, steps = train(tmp_path, epochs=1, optim_wrapper=optim_wrapper)
        assert [step['iteration'] for step in steps] == [0, 1, 2]
        assert all(step['after'] is not step['before'] for step in steps)

    def test_beside_cutmix(self, tmp_path):
        _, steps = train(tmp_path, augments=[RM, CUTMIX], probs=[0.5, 0.4], epochs=8, reset=None)
        mixed = [step['after'] is not step['before'] for step in steps]
        # 24 draws at 0.5 each: outside of this once in 100,000 runs, and the seed is fixed.
        assert 3 <= sum(mixed) <= 21
        assert all((step['loss_consistency'] == 0).item() for step, rm in zip(steps, mixed) if not rm)
        assert [step['iteration'] for step in steps] == list(range(24))

    def test_mixing_inside_the_batch_with_a_plain_head(self, tmp_path):
        runner = build_runner(
            tmp_path,
            augments=dict(RM, with_history=False),
            custom_hooks=[dict(type='mmrmix.RMHistoryHook')],
            head=dict(type='LinearClsHead', num_classes=10, in_channels=8),
        )
        runner.model.neck = torch.nn.Sequential()
        runner.model.neck.forward = lambda feats: (feats[-1].mean((2, 3)),)
        runner.train()
        (line,) = link_lines(tmp_path)
        assert 'with_history=False' in line
        assert 'RMHead' not in line


class TestErrors:
    def test_hook_missing(self, tmp_path):
        runner = build_runner(tmp_path, custom_hooks=[])
        with pytest.raises(
            RuntimeError, match=r'RecursiveMix has no history: add dict\(type="mmrmix\.RMHistoryHook"\)'
        ):
            runner.train()

    def test_other_number_of_classes_than_the_data_set(self, tmp_path):
        head = dict(type='mmrmix.RMHead', num_classes=12, in_channels=8)
        runner = build_runner(tmp_path, head=head)
        with pytest.raises(ValueError, match=r'training set has 10 classes, RMHead 12: set model\.head\.num_classes'):
            runner.train()

    def test_nothing_to_link(self, tmp_path):
        head = dict(type='LinearClsHead', num_classes=10, in_channels=8)
        runner = build_runner(tmp_path, augments=CUTMIX, head=head)
        with pytest.raises(ValueError, match='remove RMHistoryHook from custom_hooks'):
            runner.train()

    def test_unknown_reset(self):
        with pytest.raises(ValueError, match=r"reset='iter' must be \"epoch\" .* or None"):
            RMHistoryHook(reset='iter')


def test_repr_is_what_the_log_shows():
    assert repr(RecursiveMix(alpha=0.25, with_history=False)) == (
        "RecursiveMix(alpha=0.25, interpolation='nearest', with_history=False)"
    )
