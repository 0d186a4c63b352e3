# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Print the environment for a bug report.

python tools/collect_env.py

Also works in broken environments, where it is needed most.
"""

import argparse
import platform
import subprocess
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Dict, Optional

# Import name → distributions that provide it. In Python 3.10, importlib.metadata
# knows this only of distributions with a top_level.txt.
DISTRIBUTIONS = {
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'mmcv-full', 'mmcv-lite', 'onedl-mmcv'),
    'mmpretrain': ('mmpretrain', 'onedl-mmpretrain'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'mmseg': ('mmsegmentation', 'onedl-mmsegmentation'),
}


def revision(folder: Path) -> Optional[str]:
    """Git revision of a checkout.

    Args:
        folder (Path): Top folder of the checkout. A folder inside another
            checkout, such as an environment inside a project, has no revision.

    Returns:
        str, optional: The short hash, with "-dirty" after uncommitted
        changes; None without a repository or without git.
    """
    if not (folder / '.git').exists():
        return None
    command = ['git', '-C', str(folder), 'describe', '--always', '--dirty', '--exclude=*']
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def describe_mmrmix() -> str:
    """Version and origin of mmrmix, or the reason why it cannot be imported."""
    try:
        import mmrmix
    except Exception as error:
        return f'cannot be imported: {error}'
    commit = revision(Path(mmrmix.__file__).resolve().parents[1])
    return f'{mmrmix.__version__} ({f"git {commit}" if commit else "not a git checkout"})'


def describe_package(name: str) -> str:
    """Distributions that an import name comes from, with versions.

    Args:
        name (str): Import name of an mm package.

    Returns:
        str: For example "onedl-mmcv 2.3.6 (fork)".
    """
    found = []
    for distribution in DISTRIBUTIONS[name]:
        try:
            kind = 'fork' if distribution.startswith('onedl-') else 'upstream'
            found.append(f'{distribution} {version(distribution)} ({kind})')
        except PackageNotFoundError:
            pass
    text = ' and '.join(found)
    if len(found) > 1:
        return f'{text}: they overwrite each other, uninstall all and install one'
    return text or 'not installed'


def describe_operators() -> str:
    """Whether mmcv has compiled operators, and for which CUDA."""
    try:
        ops = import_module('mmcv.ops')
        return f'yes, CUDA: {ops.get_compiling_cuda_version()}'
    except Exception as error:
        return f'no ({error})'


def collect() -> Dict[str, str]:
    """Collect the entries of the report: ours, then those of mmengine."""
    info = {'mmrmix': describe_mmrmix()}
    info.update({name: describe_package(name) for name in DISTRIBUTIONS})
    info['mmcv operators'] = describe_operators()
    try:
        theirs = import_module('mmengine.utils.dl_utils').collect_env()
    except Exception as error:
        theirs = {'Python': sys.version, 'platform': platform.platform(), "mmengine's report": f'failed: {error}'}
    # The distributions above say more than MMEngine, and a random seed says nothing.
    info.update({name: str(value) for name, value in theirs.items() if name not in ('MMEngine', 'numpy_random_seed')})
    return info


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    lines = [f'{name}: {value.strip()}' for name, value in collect().items()]
    print('\n'.join(['```text', *lines, '```']))


if __name__ == '__main__':
    main()
