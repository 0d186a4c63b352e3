# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""tools/collect_env.py: a report that says what is there, also where it is broken."""

import subprocess
import sys
import types
from importlib.metadata import PackageNotFoundError

import pytest
import torch

import mmrmix
from mmrmix._requirements import installed_distribution
from tests.helpers.paths import ROOT
from tests.helpers.processes import load_script, tool

collect_env = load_script('tools/collect_env.py')


def git(folder, *arguments):
    identity = ['-c', 'user.name=a', '-c', 'user.email=a@example.org']
    command = ['git', '-C', str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_report():
    lines = tool('collect_env.py').strip().splitlines()
    # Warnings of torch and mmengine may come before it.
    start = lines.index('```text')
    assert '```' in lines[start + 1 :]
    entries = dict(line.split(': ', 1) for line in lines[start:] if ': ' in line)
    commit = collect_env.revision(ROOT)
    assert entries['mmrmix'] == f'{mmrmix.__version__} ({f"git {commit}" if commit else "not a git checkout"})'
    for name in ('mmengine', 'mmcv', 'mmpretrain'):
        assert ' '.join(installed_distribution(name)) in entries[name]
    assert entries['PyTorch'] == torch.__version__
    assert entries['mmcv operators'].split(',')[0].split(' ')[0] in ('yes', 'no')
    assert 'numpy_random_seed' not in entries


def test_revision(tmp_path):
    checkout = tmp_path / 'checkout'
    environment = checkout / '.venv'
    environment.mkdir(parents=True)
    (checkout / 'file').write_text('1')
    assert collect_env.revision(checkout) is None
    git(checkout, 'init', '-q')
    git(checkout, 'add', 'file')
    git(checkout, 'commit', '-qm', 'first')
    head = git(checkout, 'rev-parse', '--short', 'HEAD')
    assert collect_env.revision(checkout) == head
    # A tag of some other meaning does not hide the commit.
    git(checkout, 'tag', '-a', 'v9', '-m', 'v9')
    assert collect_env.revision(checkout) == head
    (checkout / 'file').write_text('2')
    assert collect_env.revision(checkout) == f'{head}-dirty'
    # What lies inside somebody's checkout has no revision of its own.
    assert collect_env.revision(environment) is None


@pytest.mark.parametrize(
    'found, expected',
    [
        (['onedl-mmcv'], 'onedl-mmcv 2.3.6 (fork)'),
        (['mmcv'], 'mmcv 2.1.0 (upstream)'),
        (
            ['onedl-mmcv', 'mmcv'],
            'mmcv 2.1.0 (upstream) and onedl-mmcv 2.3.6 (fork): they overwrite each other, uninstall all and '
            'install one',
        ),
        ([], 'not installed'),
    ],
)
def test_distributions(found, expected, monkeypatch):
    def version(name):
        if name not in found:
            raise PackageNotFoundError(name)
        return {'onedl-mmcv': '2.3.6', 'mmcv': '2.1.0'}[name]

    monkeypatch.setattr(collect_env, 'version', version)
    assert collect_env.describe_package('mmcv') == expected


def test_operators(monkeypatch):
    ops = types.ModuleType('mmcv.ops')
    ops.get_compiling_cuda_version = lambda: '12.8'
    monkeypatch.setitem(sys.modules, 'mmcv.ops', ops)
    assert collect_env.describe_operators() == 'yes, CUDA: 12.8'
    monkeypatch.setitem(sys.modules, 'mmcv.ops', None)
    assert collect_env.describe_operators().startswith('no (')


def test_a_broken_environment_is_reported(monkeypatch):
    """That mmrmix or mmengine cannot be imported is what the report is for."""
    monkeypatch.setitem(sys.modules, 'mmrmix', None)
    monkeypatch.setitem(sys.modules, 'mmengine.utils.dl_utils', None)
    info = collect_env.collect()
    assert info['mmrmix'].startswith('cannot be imported: ')
    assert info["mmengine's report"].startswith('failed: ')
    assert info['Python'] == sys.version
