# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Gradients of two processes are the mean of each one's, whatever happened to the weights after they were built."""

import inspect

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from tests.helpers.gradients_worker import OPTIONS
from tests.helpers.paths import ROOT
from tests.helpers.processes import run_workers

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason='torch was built without gloo')
# The gradients are recorded by a communication hook.
keeps_communication_hooks = pytest.mark.skipif(
    '_comm_hooks' not in inspect.getsource(DistributedDataParallel.register_comm_hook),
    reason='DDP of torch 2.1 forgets communication hooks when its buckets are rebuilt',
)


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('gradients')
    run_workers('tests.helpers.gradients_worker', folder)
    return [torch.load(folder / f'rank{rank}.pth', weights_only=True) for rank in range(2)]


@keeps_communication_hooks
@pytest.mark.parametrize('start', ['fresh', 'resumed'])
@pytest.mark.parametrize('option', OPTIONS)
def test_reduced_gradient_is_the_mean(ranks, option, start):
    for rank in ranks:
        run, expected = rank[option][start], ranks[0]['plain']['fresh']
        assert len(run['reduced']) == len(run['means']) == (4 if start == 'fresh' else 2)
        # The steps of a process, of which DDP's first one is unlike the others.
        for reduced, mean, plain in zip(run['reduced'], run['means'], expected['reduced'][-len(run['means']) :]):
            assert reduced.keys() == mean.keys() == plain.keys() and 'head.fc_roi.weight' in plain
            for name, value in mean.items():
                assert value.any() or 'fc_roi' in name, name
                torch.testing.assert_close(reduced[name], value, rtol=0, atol=0, msg=lambda m, n=name: f'{n}: {m}')
                # The same training, computed otherwise.
                torch.testing.assert_close(value, plain[name], rtol=1e-3, atol=2e-5, msg=lambda m, n=name: f'{n}: {m}')


@pytest.mark.parametrize('option', OPTIONS)
def test_torch_does_not_warn_of_strides(ranks, option):
    assert not [message for rank in ranks for message in rank[option]['warnings'] if 'strides' in message]


def test_make_hides_no_warnings():
    """They are how torch tells of such gradients."""
    assert 'PYTHONWARNINGS' not in (ROOT / 'Makefile').read_text()


@keeps_communication_hooks
def test_communication_hooks_stay(ranks):
    assert [rank['communication hook'] for rank in ranks] == [[0, 0]] * 2
