# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The best checkpoint, and results of validations, after a kill at every moment between them."""

import json
import time
from contextlib import suppress

import pytest
import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmrmix.contrib.checkpoints.files import AtomicLocalBackend, are_equal
from mmrmix.contrib.logs import read_log
from tests.helpers.resuming import HOOKS_FOR_RESUME, PowerCutError, settings_for
from tests.helpers.runner import build_runner


@HOOKS.register_module(force=True)
class Scores(Hook):
    """Validations with known results."""

    priority = 'HIGHEST'

    def __init__(self, values, every):
        self.values = values
        self.every = every

    def after_val_epoch(self, runner, metrics=None):
        metrics['score'] = self.values[runner.iter // self.every - 1]


@HOOKS.register_module(force=True)
class CutAfterLogging(Hook):
    """Ends the process, so to speak, when a result is logged and CheckpointHook has not seen it yet."""

    priority = 'LOW'

    def __init__(self, at):
        self.at = at

    def after_val_epoch(self, runner, metrics=None):
        if runner.iter == self.at:
            raise PowerCutError


def run(work_dir, loop, scores, cut=None, monkeypatch=None, **checkpoint):
    """Train with a validation after every fourth of 12 iterations; ``cut`` is a file, and what happens to it."""
    settings = settings_for(loop, interval=1 if loop == 'epochs' else 4)
    settings['default_hooks']['checkpoint'].update(save_best='score', rule='greater', **checkpoint)
    hooks = [*HOOKS_FOR_RESUME, dict(type='Scores', values=scores, every=4)]
    hooks += [dict(type='CutAfterLogging', at=cut)] if isinstance(cut, int) else []
    # A start names its logs by the second, and no two processes start in the same one.
    while (work_dir / time.strftime('%Y%m%d_%H%M%S')).exists():
        time.sleep(0.05)
    runner = build_runner(work_dir, reset=None, hooks=hooks, resume=True, **settings)
    if not isinstance(cut, tuple):
        with suppress(PowerCutError):
            runner.train()
        return
    action, name, times = cut
    original, seen = getattr(AtomicLocalBackend, action), []

    def acting(self, *args):
        seen.extend([args[-1]] if str(args[-1]).endswith(name) else [])
        if len(seen) == times and action == 'remove':
            raise PowerCutError
        original(self, *args)
        if len(seen) == times and seen[-1] == args[-1]:
            raise PowerCutError

    with monkeypatch.context() as patch, pytest.raises(PowerCutError):
        patch.setattr(AtomicLocalBackend, action, acting)
        runner.train()


def hub(path):
    """What the message hub of a checkpoint says about validations."""
    content = torch.load(path, weights_only=False)['message_hub']
    values = {key: value.data for key, value in content['log_scalars'].items() if key.startswith('val/score')}
    info = {key: content['runtime_info'].get(key) for key in ('best_score', 'last_validated', 'outdated_ckpts')}
    return {key: [part.tolist() for part in value] for key, value in values.items()}, info


def assert_same_runs(broken, unbroken):
    names = [sorted(path.name for path in folder.glob('*.pth')) for folder in (broken, unbroken)]
    assert names[0] == names[1]
    for name in names[0]:
        assert are_equal(broken / name, unbroken / name)
        assert hub(broken / name) == hub(unbroken / name)
    logs = [
        [{k: v for k, v in entry.items() if not k.endswith(('time', 'memory'))} for entry in read_log(folder)]
        for folder in (broken, unbroken)
    ]
    assert json.dumps(logs[0]) == json.dumps(logs[1])


SCORES = [1.0, 2.0, 3.0]


def cuts(loop, step):
    """Moments from the log entry of a validation, the ``step``-th, to the next step of training."""
    name = f'epoch_{step}.pth' if loop == 'epochs' else f'iter_{4 * step}.pth'
    before = f'best_score_epoch_{step - 1}.pth' if loop == 'epochs' else f'best_score_iter_{4 * step - 4}.pth'
    return {
        'before the best file': 4 * step,
        'between the best file and the checkpoint': ('put', f'best_score_{name}', 1),
        'between the checkpoint and the removal': ('put', f'/{name}', 2),
        'before the removal': ('remove', before, 1),
    }


@pytest.mark.parametrize('moment', cuts('epochs', 2))
@pytest.mark.parametrize('loop, step', [('epochs', 3), ('iterations', 2)])
def test_a_kill_changes_nothing(tmp_path, monkeypatch, loop, step, moment):
    run(tmp_path / 'unbroken', loop, SCORES)
    run(tmp_path / 'broken', loop, SCORES, cuts(loop, step)[moment], monkeypatch)
    # There is a best file at every moment.
    assert list((tmp_path / 'broken').glob('best_*'))
    run(tmp_path / 'broken', loop, SCORES)
    assert_same_runs(tmp_path / 'broken', tmp_path / 'unbroken')
    (best,) = (tmp_path / 'broken').glob('best_*')
    assert best.name == ('best_score_epoch_3.pth' if loop == 'epochs' else 'best_score_iter_12.pth')


def test_a_result_that_is_not_the_best(tmp_path):
    """Every checkpoint has all results until then; the best file is the first one's."""
    run(tmp_path / 'unbroken', 'epochs', SCORES[::-1])
    for step in (1, 2, 3):
        values, info = hub(tmp_path / f'unbroken/epoch_{step}.pth')
        assert values['val/score'][0] == SCORES[::-1][:step]
        assert info['last_validated'] == step
    results = [entry for entry in read_log(tmp_path / 'unbroken') if 'iter' not in entry]
    assert all({*entry} == {'step', 'accuracy/top1', 'score', 'time', 'data_time'} for entry in results)
    assert [path.name for path in (tmp_path / 'unbroken').glob('best_*')] == ['best_score_epoch_1.pth']
    run(tmp_path / 'broken', 'epochs', SCORES[::-1], cut=8)
    run(tmp_path / 'broken', 'epochs', SCORES[::-1])
    assert_same_runs(tmp_path / 'broken', tmp_path / 'unbroken')
    # All of it is there: a further resume does nothing.
    logs = len(read_log(tmp_path / 'broken'))
    run(tmp_path / 'broken', 'epochs', SCORES[::-1])
    assert len(read_log(tmp_path / 'broken')) == logs
    (newest,) = sorted((tmp_path / 'broken').glob('*/*.log'), key=lambda path: path.stat().st_mtime_ns)[-1:]
    assert 'validating' not in newest.read_text()


def test_two_metrics(tmp_path):
    """One improves, the other one does not: of each the best stays."""

    @HOOKS.register_module(name='SecondScore', force=True)
    class SecondScore(Scores):
        def after_val_epoch(self, runner, metrics=None):
            metrics['loss'] = self.values[runner.iter // self.every - 1]

    settings = settings_for('epochs')
    settings['default_hooks']['checkpoint'].update(save_best=['score', 'loss'], rule=['greater', 'less'])
    hooks = [dict(type='Scores', values=[1, 2, 1], every=4), dict(type='SecondScore', values=[1, 2, 0], every=4)]
    build_runner(tmp_path, hooks=hooks, **settings).train()
    assert sorted(path.name for path in tmp_path.glob('best_*')) == ['best_loss_epoch_3.pth', 'best_score_epoch_2.pth']


def test_in_a_copy_of_the_work_dir(tmp_path):
    """A new best replaces the copy's file, and never the original's."""
    run(tmp_path / 'original', 'epochs', [1, 2, 2], cut=12)
    (tmp_path / 'original').rename(tmp_path / 'copy')
    (tmp_path / 'original').mkdir()
    old = tmp_path / 'original/best_score_epoch_2.pth'
    old.write_bytes((tmp_path / 'copy/best_score_epoch_2.pth').read_bytes())
    run(tmp_path / 'copy', 'epochs', [1, 2, 3])
    assert [path.name for path in (tmp_path / 'copy').glob('best_*')] == ['best_score_epoch_3.pth']
    assert old.is_file()
