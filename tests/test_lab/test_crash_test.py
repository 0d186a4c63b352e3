# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""lab/crash_test.py, with one kill."""

import pytest

from tests.helpers.paths import DEMO, PYTHON, ROOT
from tests.helpers.processes import options, run


@pytest.mark.slow
def test_crash_test(data, tmp_path):
    """The soak script itself, with one kill."""
    command = [PYTHON, ROOT / 'lab/crash_test.py', DEMO, '--kills', 1, '--seed', 3]
    command += ['--work-dir', tmp_path / 'run', '--out', tmp_path / 'table.md', *options(data, epochs=25)]
    assert 'Kills: 1. Everything is equal.' in run(*command, 'custom_hooks.0.reset=None')
    _, _, *rows = (tmp_path / 'table.md').read_text().splitlines()
    assert [row.split(' | ')[0] for row in rows] == ['| 1', '| end', '| end']
    assert all('| yes |' in row for row in rows)
    assert 'exists already: remove it, or choose another' in run(*command, expect=1)
