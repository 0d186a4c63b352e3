# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Which OpenMMLab is installed, and is it one that the tests have passed with?

Two families of distributions share the import names mmengine, mmcv and so on:
OpenMMLab's own and the maintained forks (onedl-…). No requirement line can
say "either", so pip cannot check what is checked here.
"""

import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import List, NamedTuple, Optional, Tuple

from packaging.version import Version


class Tested(NamedTuple):
    """A distribution, and the oldest and the newest version that the tests have passed with."""

    distribution: str
    lowest: str
    highest: str


# Import name → the fork's distribution, upstream's.
REQUIREMENTS = {
    'mmengine': (Tested('onedl-mmengine', '0.10.12', '0.10.12'), Tested('mmengine', '0.10.7', '0.10.7')),
    'mmcv': (Tested('onedl-mmcv', '2.3.6', '2.3.6'), Tested('mmcv', '2.1.0', '2.1.0')),
    'mmpretrain': (Tested('onedl-mmpretrain', '1.3.6', '1.3.6'), Tested('mmpretrain', '1.2.0', '1.2.0')),
}
LOWEST_TORCH = '2.1'
HIGHEST_TORCH = '2.8'
# With build isolation pip builds mmcv out of sight of torch, and then without
# any compiled operator.
PIP_OPTIONS = {'mmcv': ' --no-build-isolation'}


def installed_distribution(name: str) -> Optional[Tuple[str, str]]:
    """Distribution that provides an import name.

    Args:
        name (str): A key of ``REQUIREMENTS``.

    Returns:
        tuple[str, str], optional: Its name and version; None if there is
        none.
    """
    for tested in REQUIREMENTS[name]:
        try:
            return tested.distribution, version(tested.distribution)
        except PackageNotFoundError:
            pass
    return None


def is_above(present: str, highest: str) -> bool:
    """Whether a version is newer than the newest tested one.

    As many numbers count as the tested one has: 2.8.1 is not above 2.8, and
    neither is a build of the same release, such as 2.8.0+cpu.

    Args:
        present (str): What is installed.
        highest (str): The newest tested version.

    Returns:
        bool: True if it is newer.
    """
    bound = Version(highest).release
    return Version(present).release[: len(bound)] > bound


def check_torch() -> List[Tuple[str, str, str, str]]:
    """Compare torch with what mmrmix needs.

    Returns:
        list[tuple]: Empty, or one entry for ``warn_of_untested``.

    Raises:
        ImportError: If it is missing or too old.
    """
    try:
        present = version('torch')
    except PackageNotFoundError:
        raise ImportError(f'mmrmix needs torch >= {LOWEST_TORCH}: pip install torch torchvision') from None
    if Version(present) < Version(LOWEST_TORCH):
        raise ImportError(f'mmrmix needs torch >= {LOWEST_TORCH}, found {present}: pip install -U torch torchvision')
    if is_above(present, HIGHEST_TORCH):
        return [('torch', present, HIGHEST_TORCH, f'pip install "torch=={HIGHEST_TORCH}.*" torchvision')]
    return []


def warn_of_untested(untested: List[Tuple[str, str, str, str]]) -> None:
    """Say which packages are newer than what was tested; it is no reason to stop.

    Args:
        untested (list[tuple]): Distribution, its version, the newest tested
            one and the command that installs that.
    """
    if untested:
        found = ', '.join(f'{name} {present} (tested up to {highest})' for name, present, highest, _ in untested)
        commands = ' && '.join(command for *_, command in untested)
        warnings.warn(
            f'mmrmix has not been tested with {found}. It may well work; if something breaks, install what was '
            f'tested, {commands}, or report it with the output of tools/collect_env.py.',
            stacklevel=3,
        )


def check_requirements() -> None:
    """Compare what is installed with what mmrmix needs.

    Newer packages than the tested ones cause one warning.

    Raises:
        ImportError: If a package is missing or too old; names the command
            that fixes it.
    """
    untested = check_torch()
    found = {name: installed_distribution(name) for name in REQUIREMENTS}
    is_fork = any(entry and entry[0].startswith('onedl-') for entry in found.values())
    is_upstream = any(entry and not entry[0].startswith('onedl-') for entry in found.values())
    for name, (fork, upstream) in REQUIREMENTS.items():
        fork_command = f'pip install{PIP_OPTIONS.get(name, "")} "{fork.distribution}>={fork.lowest}"'
        upstream_command = f'mim install "{upstream.distribution}>={upstream.lowest}"'
        if found[name] is None:
            # A source tree on the path has no metadata to read a version from.
            if find_spec(name) is not None:
                continue
            if is_fork:
                fix = fork_command
            elif is_upstream:
                fix = upstream_command
            else:
                fix = f'{fork_command} (maintained forks) or {upstream_command} (upstream OpenMMLab)'
            raise ImportError(f'mmrmix needs {name}, which is not installed: {fix}')
        distribution, present = found[name]
        tested, fix = (fork, fork_command) if distribution == fork.distribution else (upstream, upstream_command)
        if Version(present) < Version(tested.lowest):
            raise ImportError(f'mmrmix needs {distribution} >= {tested.lowest}, found {present}: {fix}')
        if is_above(present, tested.highest):
            command = fix.replace(f'>={tested.lowest}', f'=={tested.highest}')
            untested.append((distribution, present, tested.highest, command))
    warn_of_untested(untested)
