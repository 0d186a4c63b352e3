# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Which OpenMMLab is installed, and is it new enough?

Two families of distributions share the import names mmengine, mmcv and so on:
OpenMMLab's own and the maintained forks (onedl-…). No requirement line can
say "either", so pip cannot check what is checked here.
"""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Optional, Tuple

from packaging.version import Version

# Import name → (fork's distribution, lowest, upstream's distribution, lowest):
# the oldest versions that the tests have passed with.
REQUIREMENTS = {
    'mmengine': ('onedl-mmengine', '0.10.12', 'mmengine', '0.10.7'),
    'mmcv': ('onedl-mmcv', '2.3.6', 'mmcv', '2.1.0'),
    'mmpretrain': ('onedl-mmpretrain', '1.3.6', 'mmpretrain', '1.2.0'),
}
LOWEST_TORCH = '2.1'
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
    fork, _, upstream, _ = REQUIREMENTS[name]
    for distribution in (fork, upstream):
        try:
            return distribution, version(distribution)
        except PackageNotFoundError:
            pass
    return None


def check_requirements() -> None:
    """Compare what is installed with what mmrmix needs.

    Raises:
        ImportError: If a package is missing or too old; names the command
            that fixes it.
    """
    try:
        torch_version = version('torch')
    except PackageNotFoundError:
        raise ImportError(f'mmrmix needs torch >= {LOWEST_TORCH}: pip install torch torchvision') from None
    if Version(torch_version) < Version(LOWEST_TORCH):
        raise ImportError(
            f'mmrmix needs torch >= {LOWEST_TORCH}, found {torch_version}: pip install -U torch torchvision'
        )

    found = {name: installed_distribution(name) for name in REQUIREMENTS}
    is_fork = any(entry and entry[0].startswith('onedl-') for entry in found.values())
    is_upstream = any(entry and not entry[0].startswith('onedl-') for entry in found.values())
    for name, (fork, fork_lowest, upstream, upstream_lowest) in REQUIREMENTS.items():
        fork_command = f'pip install{PIP_OPTIONS.get(name, "")} "{fork}>={fork_lowest}"'
        upstream_command = f'mim install "{upstream}>={upstream_lowest}"'
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
        lowest, fix = (fork_lowest, fork_command) if distribution == fork else (upstream_lowest, upstream_command)
        if Version(present) < Version(lowest):
            raise ImportError(f'mmrmix needs {distribution} >= {lowest}, found {present}: {fix}')
