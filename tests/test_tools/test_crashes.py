# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Processes that die or hang, and two nodes: real ones, started as a user starts them."""

import signal
import time

import pytest
import torch

from tests.helpers.paths import DEMO, PYTHON, ROOT
from tests.helpers.processes import free_port, options, running

TIMEOUT = 6
LOCAL = dict(MASTER_ADDR='127.0.0.1', GLOO_SOCKET_IFNAME='lo')


def wait_for(path, text, process, seconds=60):
    end = time.monotonic() + seconds
    while text not in path.read_text():
        assert process.poll() is None, path.read_text()[-4000:]
        assert time.monotonic() < end, f'no "{text}" in {path.read_text()[-4000:]}'
        time.sleep(0.05)


@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGSTOP], ids=['dies', 'hangs'])
def test_a_lost_rank_stops_the_others(how, data, tmp_path):
    """Without torchrun, which would kill them: the process group's time-out has to do it."""
    command = [PYTHON, ROOT / 'tools/train.py', DEMO, '--launcher', 'pytorch', '--work-dir', tmp_path / 'run']
    command += [*options(data, epochs=1000), f'env_cfg.dist_cfg.timeout={TIMEOUT}']
    port = free_port()
    environments = [
        dict(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE='2', MASTER_PORT=port, **LOCAL) for rank in ('0', '1')
    ]  # fmt: skip
    with running(command, environments, tmp_path) as processes:
        wait_for(tmp_path / '0.txt', 'Epoch(train)', processes[0])
        processes[1].send_signal(how)
        begin = time.monotonic()
        assert processes[0].wait(timeout=60) > 0
        assert time.monotonic() - begin < TIMEOUT + 10
    output = (tmp_path / '0.txt').read_text()
    assert 'RuntimeError' in output
    assert ('Timed out' if how == signal.SIGSTOP else 'Connection') in output


@pytest.mark.slow
def test_two_nodes(data, tmp_path):
    """Two launchers with one process each, as on two machines that share their work dir."""
    command = ['bash', ROOT / 'tools/dist_train.sh', DEMO, 1, '--work-dir', tmp_path / 'run', *options(data, epochs=1)]
    port = free_port()
    environments = [dict(NNODES='2', NODE_RANK=rank, PORT=port, **LOCAL) for rank in ('0', '1')]
    with running(command, environments, tmp_path) as processes:
        codes = [process.wait(timeout=120) for process in processes]
    output = (tmp_path / '0.txt').read_text()
    assert codes == [0, 0], output[-4000:]
    # 200 images in batches of 64 by two processes.
    assert 'Epoch(train) [1][2/2]' in output
    assert torch.load(tmp_path / 'run/epoch_1.pth', weights_only=False)['meta']['iter'] == 2
    # One log folder: both nodes agree on its name.
    assert len(list((tmp_path / 'run').glob('2*'))) == 1
