# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Which of BatchNorm's statistics several processes evaluate with."""

import pytest
import torch
import torch.distributed as dist

from tests.helpers.processes import run_workers

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason='torch was built without gloo')


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """Statistics of each process, and those in the checkpoint."""
    folder = tmp_path_factory.mktemp('statistics')
    run_workers('tests.helpers.statistics_worker', folder)
    ranks = [torch.load(folder / f'statistics{rank}.pth') for rank in range(2)]

    def of(run):
        saved = torch.load(folder / run / 'epoch_1.pth', weights_only=False)['state_dict']
        assert len(ranks[0][run]) >= 2
        return *(rank[run] for rank in ranks), {name: saved[name] for name in ranks[0][run]}

    return {run: of(run) for run in ('ours', 'mmengines')}


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_all_processes_evaluate_with_those_of_the_first(found):
    """As the authors' DistributedDataParallel does; so the logged accuracy is that of the checkpoint."""
    first, second, saved = found['ours']
    assert equal(first, second) and equal(first, saved)


def test_of_mmengine_each_process_has_its_own(found):
    """With its CheckpointHook; the checkpoint has those of the first."""
    first, second, saved = found['mmengines']
    assert equal(first, saved) and equal(first, found['ours'][0])
    assert not any(torch.equal(first[name], second[name]) for name in first)
