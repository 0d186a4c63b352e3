# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""docs/method.md walks through an iteration by links: they lead somewhere, and in the order of the calls."""

import inspect
import re
import sys
from functools import reduce
from importlib import import_module

import pytest

from mmrmix.contrib import ReseedHook
from tests.helpers.paths import ROOT
from tests.helpers.runner import build_runner

PAGE = (ROOT / 'docs/method.md').read_text()
WALK = PAGE[PAGE.index('## One image, call by call') : PAGE.index('A reader holds')]
TABLE = PAGE[PAGE.index('| | concept |') : PAGE.index('## Eq. 1')]
LINK = re.compile(r'\[`([\w.]+)`\]\(\.\./(mmrmix/[\w/]+)\.py\)')


def target(name, module):
    """The function or class that a link names."""
    return inspect.unwrap(reduce(getattr, name.split('.'), import_module(module.replace('/', '.'))))


# Read alone: equations, and labels of a batch as tensors.
PURE = {
    'sample_box',
    'box_area_ratio',
    'fill_box',
    'resize',
    'mix_labels',
    'batch_labels',
    'stack_rows',
    'mixing_of',
    'check_linked',
    'gap_and_roi_pool',
    'roi_align_weights',
    'consistency_loss',
    'finite_batch',
    'seed_everything',
}


def calls_of_a_step(tmp_path):
    """Code of the functions of mmrmix in the order in which the second iteration of a run first calls them."""
    runner = build_runner(tmp_path, epochs=1, hooks=[dict(type='mmrmix.ReseedHook')])
    first, steps = ReseedHook.before_train_iter.__code__, []

    def note(frame, event, _):
        code = frame.f_code
        if event == 'call' and code is first:
            steps.append({})
        if event == 'call' and steps and f'{ROOT}/mmrmix/' in code.co_filename:
            steps[-1].setdefault(code)

    sys.setprofile(note)
    try:
        runner.train()
    finally:
        sys.setprofile(None)
    return list(steps[1])


@pytest.fixture(scope='module')
def calls(tmp_path_factory):
    return calls_of_a_step(tmp_path_factory.mktemp('run'))


def test_links_follow_the_calls_of_an_iteration(calls):
    targets = {name: target(name, module) for name, module in LINK.findall(WALK)}
    names = {each.__code__: name for name, each in targets.items() if not inspect.isclass(each)}
    assert len(names) > 15
    assert [names[code] for code in calls if code in names] == list(names.values())


def test_every_call_is_a_concept_or_a_pure_function(calls):
    """Named by its class or itself; methods of a class and private helpers count as it."""
    if sys.version_info < (3, 11):
        pytest.skip('Python 3.10 does not know the class of a running method')
    concepts = set(re.findall(r'`(\w+)`', TABLE))
    for code in calls:
        owner = code.co_qualname.split('.')[0]
        name = code.co_name
        if name.startswith(('_', '<')) or owner in ('RecursiveMix', 'RMHead', 'RMHistoryHook', 'ReseedHook'):
            continue
        assert name in concepts | PURE, code.co_qualname


def test_concepts_exist():
    rows = [row.split('|')[1:-1] for row in TABLE.strip().splitlines()[2:]]
    assert [int(row[0]) for row in rows] == list(range(1, 18))
    assert sum('demo:' in row[3] for row in rows) == 2
    for _, concept, where, _ in rows:
        (name,) = re.findall(r'`(\w+)`', concept)
        link = re.search(r'\(\.\./(mmrmix/[\w/]+\.py)\)', where)
        module = import_module(link[1][:-3].replace('/', '.')) if link else import_module('mmpretrain.models')
        others = [import_module('mmpretrain.structures'), import_module('mmpretrain.models.utils.batch_augments')]
        assert any(hasattr(owner, name) for owner in (module, getattr(module, 'RMHistory', None), *others)), name
