# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Paths of the configs that mm packages ship."""

from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path


def config_path(package: str, name: str) -> str:
    """Return the absolute path of a config that an mm package ships.

    It locates the package by its import name, so it works for every
    distribution of it (``mmseg::…`` does not: mmengine maps it to one
    distribution). In a config of any project::

        _base_ = [
            __import__('mmrmix').config_path('mmrmix', 'rm/resnet50_8xb64_imagenet.py')
        ]

    Args:
        package (str): Import name: mmrmix, mmpretrain, mmdet, mmseg, …
        name (str): Path relative to the package's ``configs`` folder.

    Raises:
        ModuleNotFoundError: If the package is not installed.
        FileNotFoundError: If it has no such config; suggests similar ones.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f'Package "{package}" is not installed, so its config "{name}" cannot be found.')
    folder = Path(spec.origin).parent / '.mim' / 'configs'
    if not (folder / name).is_file():
        known = [file.relative_to(folder).as_posix() for file in folder.rglob('*.py')]
        similar = get_close_matches(name, known)
        hint = f'Similar ones: {", ".join(similar)}.' if similar else f'It ships {len(known)} configs.'
        raise FileNotFoundError(f'{package} ships no config "{name}" in {folder}. {hint}')
    return str(folder / name)
