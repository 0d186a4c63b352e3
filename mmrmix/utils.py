# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What mmengine expects of every mm package under this name."""

from importlib import import_module

from .registry import LOCATIONS


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import everything that registers itself.

    ``mmengine.hub.get_model('mmrmix::…')`` calls this before it builds, and so
    do registries of ours that hold nothing. Nobody else has to: the registries
    import what they hold when it is first asked for.

    Args:
        init_default_scope (bool): The mm packages make themselves the default
            scope. Ours never is: configs keep the scope of the library that
            they train. Not used. Defaults to True.
    """
    for location in sorted(set(LOCATIONS.values())):
        import_module(location)
