# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Clean environments, and copies of the checkout to install from."""

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import List, Sequence

from tests.helpers.paths import ROOT

# torch and the mm packages: what a clean environment shares with this one.
SHARED = Path(sysconfig.get_paths()['purelib'])
# Nothing but the installation may lead to mmrmix.
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key not in ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV')},
    'PYTHONNOUSERSITE': '1',
    'OMP_NUM_THREADS': '1',
    'CUDA_VISIBLE_DEVICES': '',
}


class Environment:
    """A virtual environment that sees the packages of the running one behind its own.

    Args:
        folder (Path): Where to create it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / 'venv/bin/python'
        self.empty = folder / 'empty'
        self.empty.mkdir(parents=True)
        call(sys.executable, '-m', 'venv', '--without-pip', folder / 'venv', cwd=self.empty)
        (self.packages,) = (folder / 'venv/lib').glob('python*/site-packages')
        self.share(SHARED)

    def share(self, packages: Path) -> None:
        """See a further folder of packages, behind all others."""
        with (self.packages / 'shared.pth').open('a') as file:
            # Other than a plain path, this also heeds the .pth files there:
            # Python 3.12 gets distutils from the one of setuptools.
            file.write(f'import site; site.addsitedir({str(packages)!r})\n')

    def install(self, *what: object) -> None:
        """Install with pip; what is shared already is neither installed again nor touched."""
        self.run('-m', 'pip', 'install', '--disable-pip-version-check', *what)

    def distributions(self) -> List[str]:
        """Names of what is installed here and not shared."""
        return sorted(path.name.split('-')[0] for path in self.packages.glob('*.dist-info'))

    def run(self, *arguments: object, expect: int = 0) -> str:
        """Run Python in an empty folder; returns what it printed."""
        return call(self.python, *arguments, cwd=self.empty, expect=expect)


def call(*command: object, cwd: Path, expect: int = 0, **environment: str) -> str:
    """Run a command without any trace of the checkout; returns stdout and stderr."""
    result = subprocess.run(
        [str(part) for part in command],
        env={**ENVIRONMENT, **environment},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert result.returncode == expect, result.stdout[-4000:]
    return result.stdout


def tracked(*folders: str) -> List[str]:
    """Files of the checkout that git does not ignore."""
    command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard', '--', *folders]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    # A file that was deleted is listed until its deletion is staged.
    return sorted({name for name in names.split('\0') if name and os.path.lexists(ROOT / name)})


def copy_checkout(folder: Path) -> Path:
    """The checkout without what was built, trained or downloaded in it; links stay links."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def missing(packages: Sequence[str]) -> List[str]:
    """Those of the packages that the running environment lacks."""
    return [name for name in packages if find_spec(name) is None]
