# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What in a checkpoint counts as a history."""

import re

import pytest
import torch

from mmrmix.engine.hooks.history_entry import check_history_entry
from tests.helpers.checkpoints import load, resume, saved_run


def triple(**changes):
    """Two images, three classes."""
    fields = dict(
        inputs=torch.rand(2, 3, 4, 4),
        scores=torch.eye(3)[:2],
        logits=torch.zeros(2, 3),
        is_finite=torch.tensor([True, False]),
    )
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def entry(*triples, **changes):
    settings = {'number of processes': len(triples), 'batch size': 2, 'augments': ['RecursiveMix']}
    return {**dict(format=1, settings=settings, triples=list(triples)), **changes}


GOOD = dict(
    one=entry(triple()),
    two=entry(triple(), None),
    bytes=entry(triple(inputs=torch.zeros(2, 3, 4, 4, dtype=torch.uint8))),
    half=entry(triple(inputs=torch.zeros(2, 3, 4, 4).half(), logits=torch.zeros(2, 3).bfloat16())),
)
NAN, INF = float('nan'), float('inf')
BAD = {
    'it is a str, not a dict': 'text',
    'its format is 2': entry(triple(), format=2),
    'its format is None': {},
    'its entries are format instead of format, settings, triples': dict(format=1),
    'its entries are format, settings, triples, more instead of format, settings, triples': entry(triple(), more=1),
    'its settings are None instead of a dict of number of processes, batch size, augments': entry(settings=None),
    "its settings are {'number of processes': 1, 'batch size': 2, 'augments': None} instead of a dict of number of "
    'processes, batch size, augments': entry(settings={'number of processes': 1, 'batch size': 2, 'augments': None}),
    "its settings are {'batch size': 2} instead of a dict of number of processes, batch size, augments": entry(
        settings={'batch size': 2}
    ),
    'it has 0 triples for 1 processes': entry(triple(), triples=[]),
    'it has 2 triples for 1 processes': entry(triple(), triples=[None, None]),
    'it has a dict for 1 processes': entry(triple(), triples={}),
    'in the triple of process 0, the fields are inputs, scores, logits': entry(triple(is_finite=None)),
    'in the triple of process 1, the fields are inputs, scores, logits, is_finite, more': entry(None, triple(more=1)),
    'in the triple of process 0, the fields are 3': entry(3),
    'in the triple of process 0, scores is a list': entry(triple(scores=[[1, 0, 0]] * 2)),
    'in the triple of process 0, inputs has the shape (2, 48) instead of (N, C, H, W)': entry(
        triple(inputs=torch.rand(2, 48))
    ),
    'in the triple of process 0, inputs has the shape (0, 3, 4, 4) instead of (N, C, H, W)': entry(
        triple(inputs=torch.rand(0, 3, 4, 4))
    ),
    'in the triple of process 0, scores has the shape (1, 3) instead of (2, K)': entry(triple(scores=torch.eye(3)[:1])),
    'in the triple of process 0, scores has the shape (2,) instead of (2, K)': entry(triple(scores=torch.ones(2))),
    'in the triple of process 0, logits has the shape (2, 4) instead of (2, 3)': entry(triple(logits=torch.ones(2, 4))),
    'in the triple of process 0, is_finite has the shape (3,) instead of (2,)': entry(
        triple(is_finite=torch.ones(3).bool())
    ),
    'in the triple of process 0, scores is of torch.int64': entry(triple(scores=torch.eye(3)[:2].long())),
    'in the triple of process 0, is_finite is of torch.float32 instead of torch.bool': entry(
        triple(is_finite=torch.ones(2))
    ),
    'in the triple of process 0, inputs has values that are not finite': entry(
        triple(inputs=torch.full((2, 3, 4, 4), NAN))
    ),
    'in the triple of process 0, scores has values that are not finite': entry(
        triple(scores=torch.tensor([[1, 0, 0], [NAN, 0, 1]]))
    ),
    'in the triple of process 0, logits has values that are not finite': entry(triple(logits=torch.full((2, 3), -INF))),
}


@pytest.mark.parametrize('name', GOOD)
def test_histories(name):
    check_history_entry(GOOD[name], 'epoch_1.pth')


@pytest.mark.parametrize('problem', BAD)
def test_what_is_none(problem):
    with pytest.raises(ValueError) as error:
        check_history_entry(BAD[problem], 'epoch_1.pth')
    assert str(error.value) == (
        'epoch_1.pth: hook_msgs["rm_history"] is no history that this version of mmrmix (format 1) can read: '
        f'{problem}. Upgrade mmrmix, or resume without it: custom_hooks=[dict(type="mmrmix.RMHistoryHook", save="none")].'
    )


def test_a_resume_looks(tmp_path):
    checkpoint, _ = saved_run(tmp_path)
    checkpoint['hook_msgs']['rm_history']['triples'][0]['scores'][1, 2] = NAN
    torch.save(checkpoint, tmp_path / 'iter_5.pth')
    text = re.escape('can read: in the triple of process 0, scores has values that are not finite. Upgrade mmrmix')
    with pytest.raises(ValueError, match=rf'iter_5\.pth.*{text}'):
        resume(tmp_path)
    steps, _ = resume(tmp_path, save='none')
    assert steps[0]['before'] is None
    assert load(tmp_path / 'iter_12.pth')['meta']['iter'] == 12
