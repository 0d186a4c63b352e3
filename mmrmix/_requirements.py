# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Checks that torch and OpenMMLab are installed in versions that the tests have passed with.

Two families of distributions share the import names mmengine, mmcv and
mmpretrain: OpenMMLab's own and the maintained forks (onedl-…). No requirement
line can say "either", so pip cannot check this.
"""

import warnings
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import NamedTuple, Optional, Tuple

from packaging.version import Version


class Tested(NamedTuple):
    """A distribution, its oldest and newest tested version, and the commands that install them."""

    distribution: str
    lowest: str
    highest: str
    upgrade: str
    downgrade: str


def _tested(command: str, distribution: str, release: str) -> Tested:
    commands = (f'{command} "{distribution}{relation}{release}"' for relation in ('>=', '=='))
    return Tested(distribution, release, release, *commands)


TORCH = Tested('torch', '2.1', '2.8', 'pip install -U torch torchvision', 'pip install "torch==2.8.*" torchvision')
# In pip's build isolation mmcv does not see torch and is built without compiled operators.
MMCV = _tested('pip install --no-build-isolation', 'onedl-mmcv', '2.3.6')
# Import name → the fork's distribution, upstream's.
REQUIREMENTS = {
    'mmengine': (_tested('pip install', 'onedl-mmengine', '0.10.12'), _tested('mim install', 'mmengine', '0.10.7')),
    'mmcv': (MMCV, _tested('mim install', 'mmcv', '2.1.0')),
    'mmpretrain': (_tested('pip install', 'onedl-mmpretrain', '1.3.6'), _tested('mim install', 'mmpretrain', '1.2.0')),
}


def installed_distribution(name: str) -> Optional[Tuple[str, str]]:
    """Return name and version of the distribution that provides an import name, if any."""
    for tested in REQUIREMENTS[name]:
        with suppress(PackageNotFoundError):
            return tested.distribution, version(tested.distribution)
    return None


def check_requirements() -> None:
    """Raise an ImportError that names the fix if a package is missing or too old; warn of untested newer ones."""
    try:
        found = [(TORCH, version('torch'))]
    except PackageNotFoundError:
        raise ImportError(f'mmrmix needs torch >= {TORCH.lowest}: pip install torch torchvision') from None
    missing = []
    for name, family in REQUIREMENTS.items():
        installed = installed_distribution(name)
        if installed:
            found += [(tested, installed[1]) for tested in family if tested.distribution == installed[0]]
        elif find_spec(name) is None:  # A source tree on the path has no version to compare.
            missing.append(name)
    for tested, present in found:
        if Version(present) < Version(tested.lowest):
            needed = f'{tested.distribution} >= {tested.lowest}'
            raise ImportError(f'mmrmix needs {needed}, found {present}: {tested.upgrade}')
    if missing:
        fork, upstream = (tested.upgrade for tested in REQUIREMENTS[missing[0]])
        fix = f'{fork} (maintained forks) or {upstream} (upstream OpenMMLab)'
        if len(found) > 1:  # Stay with the family of what is installed.
            fix = fork if any(tested.distribution.startswith('onedl-') for tested, _ in found) else upstream
        raise ImportError(f'mmrmix needs {missing[0]}, which is not installed: {fix}')
    newer = [(tested, present) for tested, present in found if _is_above(present, tested.highest)]
    if newer:
        packages = ', '.join(f'{each.distribution} {present} (tested up to {each.highest})' for each, present in newer)
        warnings.warn(
            f'mmrmix has not been tested with {packages}. It may well work; if something breaks, install what was '
            f'tested, {" && ".join(tested.downgrade for tested, _ in newer)}, or report it with the output of '
            'tools/collect_env.py.',
            stacklevel=2,
        )


def _is_above(present: str, highest: str) -> bool:
    """Compare as many numbers as ``highest`` has: neither 2.8.1 nor 2.8.0+cpu is above 2.8."""
    bound = Version(highest).release
    return Version(present).release[: len(bound)] > bound
