# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""benchmark.py: that it runs, and that what it compares and computes is right; never how fast anything is."""

import json

import pytest
import torch
from comparisons import parts, steps, timing

from mmrmix import RMHistory
from mmrmix.history import mixing_of
from mmrmix.models import RecursiveMix
from tests.helpers.paths import PYTHON, ROOT
from tests.helpers.processes import load_script, run

PNG = b'\x89PNG\r\n'


@pytest.mark.slow
def test_everything_runs(tmp_path):
    output = run(PYTHON, ROOT / 'lab/benchmark.py', '--quick', '--out', tmp_path)
    content = json.loads((tmp_path / 'benchmarks/cpu.json').read_text())
    assert list(content['comparisons']) == ['augments', 'pooling', 'steps', 'memory', 'loops', 'costs', 'images']
    page = (tmp_path / 'benchmarks.md').read_text()
    for tables in content['comparisons'].values():
        assert tables
        for table in tables:
            assert f'**{table["title"]}**' in page and f'**{table["title"]}**' in output
            assert all(values and min(values) > 0 for values in table['values'].values())
            assert len({len(values) for values in table['values'].values()}) == 1
            assert {table['base'], *table['limits']} <= {*table['values']}
    assert (tmp_path / 'images/benchmark_cpu.png').read_bytes().startswith(PNG)
    assert 'torch 2.' in page and '## On a GPU\n\nNot measured.' in page
    # Deployed networks are the same; what fc_roi adds is known.
    parameters = next(t for t in content['comparisons']['costs'] if 'parameters' in t['title'])['values']
    assert parameters['RecursiveMix, deployed'] == parameters['baseline']
    added = parameters['RecursiveMix, training'][0] - parameters['baseline'][0]
    assert added * 1e6 == pytest.approx(64 * 100 + 100)


@pytest.mark.parametrize(
    'options, message',
    [
        (['speed'], 'unknown comparison speed: choose from augments, pooling'),
        (['--turns', '0'], '--turns 0 must be at least 1'),
        (['--device', 'cuda'], 'torch sees no GPU here'),
    ],
    ids=str,
)
def test_wrong_options_are_explained(options, message, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['benchmark.py', *options])
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    with pytest.raises(SystemExit):
        load_script('lab/benchmark.py').parse_args()
    assert message in capsys.readouterr().err


def test_make_benchmark():
    commands = run('make', '-n', '-C', ROOT, 'benchmark', 'VENV=/venv', 'DEVICE=cuda')
    assert 'lab/benchmark.py --device cuda --out docs' in commands


def test_table():
    values = dict(a=[1.0, 2.0, 4.0], b=[2.0, 2.0, 10.0])
    table = timing.Table('b against a', 'ms', 'a', values, limits=dict(b=2.0))
    assert table.ratios('b') == [2, 1, 2.5]
    assert table.is_met('b') is True and table.is_met('a') is None
    table.limits['b'] = 1.9
    assert table.is_met('b') is False
    table.more_is_better = True
    assert table.is_met('b') is True


def test_contenders_have_turns():
    calls = []
    settings = timing.Settings(torch.device('cpu'), turns=3, is_quick=False)
    contenders = {name: lambda name=name: calls.append(name) for name in 'AB'}
    times = timing.times('test', contenders, settings, number=2)
    assert calls == ['A', 'A', 'B', 'B'] * 4
    assert {name: len(values) for name, values in times.items()} == dict(A=3, B=3)


def test_the_plain_implementation_is_recursive_mix():
    plain, augment = parts.CloneAndInterpolate(), RecursiveMix()
    augment.history = history = RMHistory(seed=4)
    for iteration in range(6):
        history.begin_step(iteration)
        other = RMHistory(seed=4)
        other.begin_step(iteration)
        plain.generator = other.generator
        images, scores = torch.rand(3, 2, 9, 12), torch.rand(3, 5)
        expected_images, expected_scores = plain(images, scores)
        mixed_images, mixed_scores = augment(images.clone(), scores)
        assert torch.equal(mixed_images, expected_images)
        torch.testing.assert_close(mixed_scores, expected_scores)
        history.commit(mixing_of(mixed_scores), mixed_scores, mixed_scores)


def test_the_augment_mixes_as_long_as_it_is_measured():
    """At 32² a turn is 100 calls, after which a history without any commit is an error."""
    mix = parts.recursive_mix(2, torch.device('cpu'))
    images, scores = torch.rand(2, 1, 8, 8), torch.eye(2)
    mixed = [mix(images.clone(), scores)[0] for _ in range(130)]
    assert sum(not torch.equal(each, images) for each in mixed) > 100


def test_peak_memory():
    """8 KiB stay, 4 KiB come and go in every step."""
    kept = []

    def step():
        if not kept:
            kept.append(torch.empty(8 * 1024, dtype=torch.uint8))
        torch.empty(4 * 1024, dtype=torch.uint8)

    peak = steps.peak_bytes(step, torch.device('cpu'), number=3)
    assert 12 * 1024 <= peak < 12 * 1024 + 512
