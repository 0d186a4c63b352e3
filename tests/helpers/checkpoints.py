# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Checkpoints of tiny runs: made, read and resumed from."""

import torch

from tests.helpers.resuming import settings_for
from tests.helpers.runner import train


def load(path):
    return torch.load(path, weights_only=False)


def messages(tmp_path, word='history'):
    """Lines of the newest log that mention it."""
    path = max(tmp_path.glob('*/*.log'), key=lambda path: path.stat().st_mtime_ns)
    return [line for line in path.read_text().splitlines() if word in line and ' - mmengine - ' in line]


def saved_run(tmp_path, loop='iterations', stop=5, **settings):
    """Train until the checkpoint of iteration 5 (epoch 1); returns it and the last step."""
    settings = {**settings_for(loop), **settings}
    if loop == 'iterations':
        settings['train_cfg'] = dict(by_epoch=False, max_iters=stop, val_interval=100)
    else:
        settings['epochs'] = 1
    _, steps = train(tmp_path, **settings)
    return load(tmp_path / ('iter_5.pth' if loop == 'iterations' else 'epoch_1.pth')), steps


def resume(tmp_path, **settings):
    """Resume it; returns the steps and the log lines about the history."""
    _, steps = train(tmp_path, **{**settings_for('iterations'), 'resume': True, **settings})
    assert steps[0]['runner_iter'] == 5
    return steps, messages(tmp_path)


def save(path, **kwargs):
    torch.save(dict(state_dict=dict(weight=torch.full((1000,), 1.5))), path, **kwargs)
    return path


def note(work_dir, last):
    (work_dir / 'last_checkpoint').write_text(str(last))
