# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Two real processes with gloo on CPU; see ddp_worker.py for what they run."""

import pytest
import torch
import torch.distributed as dist

from tests.helpers.processes import run_workers
from tests.helpers.resuming import assert_same_bits, settings_for
from tests.helpers.runner import train

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason='torch was built without gloo')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('ddp')


@pytest.fixture(scope='module')
def ranks(folder):
    """What each of the two processes found."""
    run_workers('tests.helpers.ddp_worker', folder)
    return [torch.load(folder / f'rank{rank}.pth', weights_only=False) for rank in range(2)]


@pytest.mark.parametrize('run', ['rm', 'beside_cutmix', 'runner'])
def test_parameters_stay_equal_across_ranks(ranks, run):
    first, second = (rank[run]['parameters'] for rank in ranks)
    assert 'head.fc_roi.weight' in first
    assert all(first[name].equal(second[name]) for name in first)


def test_ranks_see_other_data_and_draw_other_boxes(ranks):
    first, second = (rank['rm']['steps'] for rank in ranks)
    assert len(first) == len(second) == 8
    # Numbers 0 and 4 are the first of an epoch: there is no history to paste.
    for i, (a, b) in enumerate(zip(first, second)):
        assert a['loss'] != b['loss']
        assert (a['ratio'] == b['ratio'] == 0) if i in (0, 4) else a['box'] != b['box']
    assert sum(step['ratio'] > 0 for step in first + second) >= 8


def test_boxes_can_be_repeated(ranks):
    for rank in ranks:
        assert rank['rm']['steps'] == rank['again']['steps']


def test_unequal_last_batches(ranks):
    sizes = [[step['size'] for step in rank['rm']['steps']] for rank in ranks]
    assert sizes == [[4, 4, 4, 4] * 2, [4, 4, 4, 2] * 2]


def test_ranks_may_draw_different_augments_in_one_step(ranks):
    drawn = [[step['rm'] for step in rank['beside_cutmix']['steps']] for rank in ranks]
    pairs = set(zip(*drawn))
    assert (True, False) in pairs
    assert (False, True) in pairs


def test_no_collective_beside_those_of_ddp(ranks):
    """Per step one all-reduce of the gradients, and the buffers of BatchNorm."""
    for rank in ranks:
        assert rank['plain_collectives']['c10d::allreduce_'] == 3
        assert rank['collectives'] == rank['plain_collectives']


def test_runner_with_the_hook(ranks):
    for rank in ranks:
        run = rank['runner']
        assert run['wrapped'] == 'MMDistributedDataParallel'
        # Five images a rank: batches of 4 and 1.
        assert run['iterations'] == [0, 1, 2, 3]
        assert run['seeds'] == [11] * 4
        assert run['sizes'] == [4, 1, 4, 1]


def test_no_collective_of_our_hooks(ranks):
    """Steps of a whole run with all hooks, between two checkpoints, against one without mmrmix."""
    for rank in ranks:
        assert rank['plain_run_collectives']['c10d::allreduce_'] == 2
        assert rank['run_collectives'] == rank['plain_run_collectives']


RESUMED = ['epochs', 'iterations', 'epochs, channels-last', 'iterations, channels-last']


@pytest.mark.parametrize('loop', RESUMED)
def test_resume_is_exact(ranks, loop):
    for rank in ranks:
        unbroken, broken = rank['resumed'][loop]
        assert_same_bits(broken, unbroken)
    # Each rank got its own history back, not the main one's.
    first, second = (rank['resumed'][loop][1] for rank in ranks)
    assert first['losses'] != second['losses']
    assert not first['triple']['inputs'].equal(second['triple']['inputs'])
    assert_same_bits(first['weights'], second['weights'])


def test_checkpoint_holds_the_history_of_every_rank(ranks, folder):
    checkpoint = torch.load(folder / 'iterations_unbroken/iter_12.pth', weights_only=False)
    entry = checkpoint['hook_msgs']['rm_history']
    assert entry['settings']['number of processes'] == 2
    for rank, saved in zip(ranks, entry['triples']):
        triple = rank['resumed']['iterations'][0]['triple']
        assert all(saved[name].equal(triple[name]) for name in triple)


def test_save_from_one_rank_does_not_hang(ranks, folder):
    """A hook that saves in the main process only: no history, and a warning instead of a deadlock."""
    assert 'hook_msgs' not in torch.load(folder / 'iterations_unbroken/anywhere.pth', weights_only=False)
    (log,) = (folder / 'iterations_unbroken').glob('*/*.log')
    assert log.read_text().count('WARNING - A checkpoint is saved without the RecursiveMix history') == 1


def test_resume_with_another_number_of_processes(ranks, folder, tmp_path):
    settings = settings_for('iterations')
    settings['train_cfg']['max_iters'] = 14
    load_from = str(folder / 'iterations_unbroken/iter_12.pth')
    _, steps = train(tmp_path, reset=None, resume=True, load_from=load_from, **settings)
    assert steps[0]['runner_iter'] == 12 and steps[0]['before'] is None
    (log,) = tmp_path.glob('*/*.log')
    assert 'iter_12.pth was dropped, because it belongs to another run: number of processes 2 → 1' in log.read_text()
