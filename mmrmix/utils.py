# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Functions that mmengine looks for in every mm package, and old import paths."""

from importlib import import_module
from typing import Any, Callable


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import all modules that register classes; ``mmengine.hub`` calls it.

    Args:
        init_default_scope (bool): Ignored: configs keep the scope of the
            library that they train with. Defaults to True.
    """
    from .registry import LOCATIONS

    for location in sorted({location for locations in LOCATIONS.values() for location in locations}):
        import_module(location)


def moved_to_contrib(module: str) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module whose names moved to :mod:`mmrmix.contrib` after version 0.1."""

    def find(name: str) -> Any:
        contrib = import_module('mmrmix.contrib')
        if name in contrib.__all__:
            return getattr(contrib, name)
        raise AttributeError(f'module {module!r} has no attribute {name!r}')

    return find
