# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""docs/method.md walks through an iteration by links: they lead somewhere, and in the order of the calls."""

import inspect
import re
import sys
from functools import reduce
from importlib import import_module

from tests.helpers.paths import ROOT
from tests.helpers.runner import build_runner

PAGE = (ROOT / 'docs/method.md').read_text()
WALK = PAGE[PAGE.index('## One image, call by call') : PAGE.index('| | concept |')]
TABLE = PAGE[PAGE.index('| | concept |') : PAGE.index('## Eq. 1')]
LINK = re.compile(r'\[`([\w.]+)`\]\(\.\./(mmrmix/[\w/]+)\.py\)')


def target(name, module):
    """The function or class that a link names."""
    return inspect.unwrap(reduce(getattr, name.split('.'), import_module(module.replace('/', '.'))))


def calls_of_a_step(tmp_path, functions):
    """Names of the functions, in the order in which the second iteration of a run first calls them."""
    names = {function.__code__: name for name, function in functions.items()}
    runner = build_runner(tmp_path, epochs=1, hooks=[dict(type='mmrmix.ReseedHook')])
    steps = []

    def note(frame, event, _):
        if event == 'call' and frame.f_code in names:
            name = names[frame.f_code]
            if name == next(iter(functions)):
                steps.append({})
            if steps:
                steps[-1].setdefault(name)

    sys.setprofile(note)
    try:
        runner.train()
    finally:
        sys.setprofile(None)
    return list(steps[1])


def test_links_follow_the_calls_of_an_iteration(tmp_path):
    targets = {name: target(name, module) for name, module in LINK.findall(WALK)}
    functions = {name: each for name, each in targets.items() if not inspect.isclass(each)}
    assert len(functions) > 15
    assert calls_of_a_step(tmp_path, functions) == list(functions)


def test_concepts():
    rows = [row.split('|')[1:-1] for row in TABLE.strip().splitlines()[2:]]
    assert [int(row[0]) for row in rows] == list(range(1, 19))
    assert sum('demo:' in row[3] for row in rows) == 3
    for _, concept, where, _ in rows:
        link = re.search(r'\(\.\./(mmrmix/[\w/]+\.py)\)', where)
        module = import_module(link[1][:-3].replace('/', '.')) if link else import_module('mmpretrain.models')
        for name in re.findall(r'`(\w+)`', concept):
            owners = [module, getattr(module, 'RMHistory', None), import_module('mmpretrain.structures')]
            if name == 'RandomBatchAugment':
                owners.append(import_module('mmpretrain.models.utils.batch_augments'))
            assert any(hasattr(owner, name) for owner in owners), name
