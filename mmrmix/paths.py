# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Where the configs of mmrmix and of the other mm packages lie."""

from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path


def config_path(package: str, name: str) -> str:
    """Absolute path of a config that an mm package ships.

    The package is found through the import system, so it works for every
    distribution that imports under that name (``mmseg::…`` does not: mmengine
    maps it to one distribution name). In a config of any project::

        _base_ = [
            __import__('mmrmix').config_path('mmrmix', 'rm/resnet50_8xb64_imagenet.py')
        ]

    Args:
        package (str): Import name: mmrmix, mmpretrain, mmdet, mmseg, …
        name (str): Path below the package's ``configs`` folder.

    Returns:
        str: The absolute path.

    Raises:
        ModuleNotFoundError: If the package is not installed.
        FileNotFoundError: If it ships no such config; names the nearest ones.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f'Package "{package}" is not installed, so its config "{name}" cannot be found.')
    folder = Path(spec.origin).parent / '.mim' / 'configs'
    path = folder / name
    if not path.is_file():
        known = [file.relative_to(folder).as_posix() for file in folder.rglob('*.py')]
        similar = get_close_matches(name, known)
        hint = f'Similar ones: {", ".join(similar)}.' if similar else f'It ships {len(known)} configs.'
        raise FileNotFoundError(f'{package} ships no config "{name}" in {folder}. {hint}')
    return str(path)
