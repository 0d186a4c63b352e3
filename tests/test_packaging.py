# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What can be said of the package without installing it; the rest is in test_install.py."""

import re

import pytest

import mmrmix
from tests.helpers.installing import call, copy_checkout
from tests.helpers.paths import PYTHON, ROOT


def test_the_version_is_the_same_everywhere():
    (cited,) = re.findall(r'^version: (.+)$', (ROOT / 'CITATION.cff').read_text(), re.MULTILINE)
    assert cited == mmrmix.__version__


@pytest.mark.parametrize('name', ['configs', 'tools'])
def test_a_checkout_without_links_is_not_packed(name, tmp_path):
    """Git writes links as text files where the file system has none; a wheel of them would lack the folder."""
    checkout = copy_checkout(tmp_path / 'checkout')
    assert call(PYTHON, 'setup.py', '--version', cwd=checkout).splitlines()[-1] == mmrmix.__version__
    link = checkout / 'mmrmix/.mim' / name
    link.unlink()
    link.write_text(f'../../{name}')
    output = call(PYTHON, 'setup.py', '--version', cwd=checkout, expect=1)
    assert f'mmrmix/.mim/{name} is not a link to the folder {name}' in output
    assert 'git clone -c core.symlinks=true' in output
