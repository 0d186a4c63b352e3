# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What mmengine expects of every mm package under this name, and old import paths."""

from importlib import import_module
from typing import Any, Callable


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import everything that registers itself; ``mmengine.hub`` calls it.

    Args:
        init_default_scope (bool): Not used: configs keep the scope of the
            library that they train. Defaults to True.
    """
    from .registry import LOCATIONS

    for location in sorted({location for locations in LOCATIONS.values() for location in locations}):
        import_module(location)


def moved_to_contrib(module: str) -> Callable[[str], Any]:
    """``__getattr__`` of a module that finds the names that it had up to version 0.1.

    Args:
        module (str): Its name.

    Returns:
        Callable: Looks a name up in :mod:`mmrmix.contrib`.
    """

    def find(name: str) -> Any:
        contrib = import_module('mmrmix.contrib')
        if name in contrib.__all__:
            return getattr(contrib, name)
        raise AttributeError(f'module {module!r} has no attribute {name!r}')

    return find
