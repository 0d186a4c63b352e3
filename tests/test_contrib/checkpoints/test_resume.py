# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""A run that was interrupted and resumed ends with the bits of an unbroken one."""

import pytest
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmpretrain.registry import DATASETS, HOOKS

from mmrmix.contrib.checkpoints.files import are_equal
from tests.helpers.resuming import (
    ACCUMULATION,
    HOOKS_FOR_RESUME,
    NoisyToyDataset,
    assert_same_bits,
    settings_for,
    train_with_cuts,
)
from tests.helpers.runner import CUTMIX, RM

# The first cut comes before anything is saved; twice in the same part; at the end.
CUTS = dict(epochs=(1, 5, 7, 10), iterations=(2, 6, 8, 11))


@pytest.mark.parametrize('reset', ['epoch', None])
@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
@pytest.mark.parametrize('num_workers', [0, 2])
def test_resume_is_exact(tmp_path, loop, reset, num_workers):
    settings = dict(reset=reset, **settings_for(loop, num_workers))
    expected = train_with_cuts(tmp_path / 'unbroken', **settings)
    actual = train_with_cuts(tmp_path / 'broken', CUTS[loop], **settings)
    assert sorted(expected['losses']) == list(range(12))
    assert {key for _, key in expected['logs']} >= {'loss', 'loss_consistency', 'lr', 'accuracy/top1'}
    assert_same_bits(actual, expected)


@DATASETS.register_module(force=True)
class GrowingToyDataset(NoisyToyDataset):
    """Images with a border that the hook below sets, as SwitchRecipeHook sets pipelines."""

    padding = 0

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        sample['inputs'] = torch.nn.functional.pad(sample['inputs'], (self.padding,) * 4)
        return sample


@HOOKS.register_module(force=True)
class Grow(Hook):
    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner):
        runner.train_dataloader.dataset.padding = 4 * runner.epoch


def test_resume_at_a_switch_of_resolution(tmp_path):
    """The first batch after the switch gets the history of the old size, in an unbroken run as in a resumed one."""
    settings = dict(reset=None, **settings_for('epochs'))
    settings['train_dataloader']['dataset']['type'] = 'GrowingToyDataset'
    hooks = [*HOOKS_FOR_RESUME, dict(type='Grow')]
    expected = train_with_cuts(tmp_path / 'unbroken', hooks=hooks, **settings)
    actual = train_with_cuts(tmp_path / 'broken', CUTS['epochs'][1:3], hooks=hooks, **settings)
    assert expected['triple']['inputs'].shape[-2:] == (32, 32)
    assert_same_bits(actual, expected)


@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
@pytest.mark.parametrize('missing', ['history', 'seeds'])
def test_resume_is_not_exact_without(tmp_path, loop, missing):
    """Which shows that the tests above would notice."""
    settings = dict(reset=None, **settings_for(loop))
    settings.update(dict(save='none') if missing == 'history' else dict(hooks=()))
    expected = train_with_cuts(tmp_path / 'unbroken', **settings)
    actual = train_with_cuts(tmp_path / 'broken', CUTS[loop][1:2], **settings)
    resumed_at = 4 if loop == 'epochs' else 5
    is_same = [actual['losses'][i] == expected['losses'][i] for i in range(12)]
    assert is_same[:resumed_at] == [True] * resumed_at
    assert not any(is_same[resumed_at:])


@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
@pytest.mark.parametrize(
    'extra',
    [
        dict(augments=[RM, CUTMIX], probs=[0.5, 0.4]),
        dict(hooks=[*HOOKS_FOR_RESUME, dict(type='EMAHook')]),
        dict(optim_wrapper=ACCUMULATION),
        dict(randomness=dict(seed=None)),
        dict(randomness=dict(seed=5, diff_rank_seed=True)),
    ],
    ids=['beside CutMix', 'EMA', 'accumulation', 'no seed', 'diff_rank_seed'],
)
def test_resume_is_exact_with(tmp_path, loop, extra):
    settings = dict(reset=None, **settings_for(loop), **extra)
    # Before anything is saved, a run without a seed starts with another one.
    cuts = CUTS[loop][1:] if extra.get('randomness') == dict(seed=None) else CUTS[loop]
    actual = train_with_cuts(tmp_path / 'broken', cuts, **settings)
    if extra.get('randomness') == dict(seed=None):
        (seed,) = actual['seeds']
        settings['randomness'] = dict(seed=seed)
    expected = train_with_cuts(tmp_path / 'unbroken', **settings)
    assert_same_bits(actual, expected)


@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
def test_number_of_workers_does_not_matter(tmp_path, loop):
    runs = dict(none={}, two=dict(num_workers=2), three=dict(num_workers=3))
    if loop == 'epochs':
        runs['persistent'] = dict(num_workers=3, persistent_workers=True)
    results = {name: train_with_cuts(tmp_path / name, **settings_for(loop, **run)) for name, run in runs.items()}
    expected = results.pop('none')
    for result in results.values():
        if loop == 'epochs' or hasattr(InfiniteSampler, 'skip'):
            assert_same_bits(result, expected)
        else:
            # Upstream's IterBasedTrainLoop starts workers before any hook can seed them.
            assert result['losses'] != expected['losses']


def test_resume_is_exact_with_persistent_workers(tmp_path):
    settings = settings_for('epochs', num_workers=2, persistent_workers=True)
    expected = train_with_cuts(tmp_path / 'unbroken', **settings)
    assert_same_bits(train_with_cuts(tmp_path / 'broken', CUTS['epochs'], **settings), expected)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_resume_is_exact_where_iterations_go_through_a_finite_sampler(tmp_path, monkeypatch, num_workers):
    """Mmengine starts its loader again at the end of the data; workers load all batches since then again."""
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)
    settings = settings_for('iterations', num_workers, sampler='DefaultSampler')
    expected = train_with_cuts(tmp_path / 'unbroken', **settings)
    assert_same_bits(train_with_cuts(tmp_path / 'broken', CUTS['iterations'], **settings), expected)


@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
def test_validation_that_was_prevented_comes_first(tmp_path, loop):
    """Power is lost after the save and before the validation: twice in the middle, and at the very end."""
    settings = dict(reset=None, optim_wrapper=ACCUMULATION, **settings_for(loop, interval=1 if loop == 'epochs' else 4))
    settings['default_hooks']['checkpoint'].update(save_best='auto')
    expected = train_with_cuts(tmp_path / 'unbroken', **settings)
    actual = train_with_cuts(tmp_path / 'broken', (-4, 6, -8, -12), **settings)
    assert_same_bits(actual, expected)
    steps = (1, 2, 3) if loop == 'epochs' else (4, 8, 12)
    assert [(step, 'accuracy/top1') in actual['logs'] for step in steps] == [True] * 3
    names = [sorted(path.name for path in (tmp_path / run).glob('*.pth')) for run in ('unbroken', 'broken')]
    assert names[0] == names[1]
    for name in names[0]:
        assert are_equal(tmp_path / 'broken' / name, tmp_path / 'unbroken' / name)
    # Not after the cut in iteration 6: the result for the checkpoint before is there by then.
    assert (
        sum(path.read_text().count('was saved before its validation') for path in (tmp_path / 'broken').glob('*/*.log'))
        == 3
    )


def test_cut_in_the_middle_of_an_epoch_repeats_it(tmp_path):
    """What mmengine does with a checkpoint inside an epoch: its batches come again, under new numbers."""
    settings = settings_for('epochs')
    settings['default_hooks']['checkpoint'].update(by_epoch=False, interval=6)
    result = train_with_cuts(tmp_path, (6,), **settings)
    # Six iterations were saved; the second of three epochs then starts anew.
    assert sorted(result['losses']) == list(range(6 + 8))
