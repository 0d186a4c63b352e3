# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Files that would run code when they are loaded."""

import argparse
import os
import pickle

import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmrmix.contrib.checkpoints import data_only
from mmrmix.contrib.checkpoints.data_only import load_data
from mmrmix.contrib.checkpoints.files import are_equal, is_intact
from tests.helpers.processes import tool
from tests.helpers.resuming import ACCUMULATION, HOOKS_FOR_RESUME, assert_same_bits, settings_for
from tests.helpers.runner import train


class Evil:
    """Leaves a trace of having been run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(params=['torch', 'listed names'])
def load(request):
    """What ``load_data`` does with this torch, and with one that is older than 2.5."""
    return load_data if request.param == 'torch' else data_only._load_listed


def full_run(tmp_path, **settings):
    """A run that leaves everything in its checkpoint that one can hold."""
    return train(
        tmp_path,
        reset=None,
        hooks=[*HOOKS_FOR_RESUME, dict(type='EMAHook')],
        optim_wrapper=ACCUMULATION,
        param_scheduler=dict(type='CosineAnnealingLR', T_max=12, by_epoch=False, end=12),
        **{**settings_for('iterations', interval=4), **settings},
    )


def test_our_own_files_are_data(tmp_path, load):
    runner, _ = full_run(tmp_path)
    saved = torch.load(tmp_path / 'iter_8.pth', weights_only=False)
    loaded = load(tmp_path / 'iter_8.pth')
    assert saved.keys() == loaded.keys() >= {'ema_state_dict', 'optimizer', 'hook_msgs', 'message_hub'}
    assert saved['hook_msgs'].keys() == loaded['hook_msgs'].keys() == {'rm_history', 'accumulated_grads'}
    assert_same_bits(loaded['state_dict'], saved['state_dict'])
    buffers = [each['message_hub']['log_scalars']['train/loss'] for each in (saved, loaded)]
    assert all(isinstance(buffer, HistoryBuffer) for buffer in buffers)
    assert buffers[0].data[0].tolist() == buffers[1].data[0].tolist()
    assert buffers[1].statistics('mean') == buffers[0].mean()
    assert runner.iter == 12


@pytest.mark.parametrize('is_zip', [True, False])
@pytest.mark.parametrize('where', ['meta', 'hook_msgs'])
def test_code_is_not_run(tmp_path, load, where, is_zip):
    path = tmp_path / 'evil.pth'
    content = dict(state_dict=dict(weight=torch.ones(1)), **{where: dict(value=Evil(tmp_path / 'trace'))})
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(pickle.UnpicklingError, match=r'posix\.mkdir'):
        load(path)
    # It is whole, and looking at that runs nothing either.
    assert is_intact(path)
    assert not (tmp_path / 'trace').exists()


def test_getattr_reaches_nothing(tmp_path):
    """The one function that a message hub calls, and with which one could reach all others."""

    class Reach:
        def __reduce__(self):
            return getattr, (HistoryBuffer, '__init__')

    torch.save(dict(value=Reach()), tmp_path / 'a.pth')
    with pytest.raises(pickle.UnpicklingError, match=r'getattr\(.*HistoryBuffer.*__init__'):
        data_only._load_listed(tmp_path / 'a.pth')


def test_a_plain_pickle_is_not_run(tmp_path):
    (tmp_path / 'a.pth').write_bytes(pickle.dumps(Evil(tmp_path / 'trace')))
    is_intact(tmp_path / 'a.pth')
    with pytest.raises(Exception, match=r'.'):
        load_data(tmp_path / 'a.pth')
    assert not (tmp_path / 'trace').exists()


def test_trust(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    torch.save(dict(args=argparse.Namespace(lr=0.5)), path)
    text = (
        f'{path} holds more than data (argparse.Namespace), and loading it could run code that it contains. If you trust '
        'its source, set TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 in the environment.'
    )
    with pytest.raises(pickle.UnpicklingError) as error:
        load_data(path)
    assert str(error.value) == text
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    assert load_data(path)['args'].lr == 0.5
    assert are_equal(path, path)


@pytest.mark.parametrize('how', ['resume', 'resume from a path', 'load_from'])
def test_a_training_does_not_run_it(tmp_path, how):
    """Mmengine would, after a warning."""
    full_run(tmp_path)
    path = tmp_path / 'iter_12.pth'
    checkpoint = torch.load(path, weights_only=False)
    checkpoint['hook_msgs']['rm_history'] = Evil(tmp_path / 'trace')
    torch.save(checkpoint, path)
    load_from = None if how == 'resume' else str(path)
    with pytest.raises(RuntimeError, match=r'iter_12\.pth holds more than data \(posix\.mkdir\), and loading it could'):
        full_run(tmp_path, resume=how != 'load_from', load_from=load_from)
    assert not (tmp_path / 'trace').exists()


def test_publishing_does_not_run_it(tmp_path):
    torch.save(dict(state_dict={}, meta=Evil(tmp_path / 'trace')), tmp_path / 'a.pth')
    output = tool('model_converters/publish_model.py', tmp_path / 'a.pth', tmp_path / 'b.pth', expect=1)
    assert output.strip().endswith('set TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 in the environment.')
    assert 'Traceback' not in output
    assert not (tmp_path / 'trace').exists()
