# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What mmengine expects of every mm package under this name."""

from importlib import import_module

from .registry import LOCATIONS


def register_all_modules() -> None:
    """Import everything that registers itself.

    ``mmengine.hub.get_model('mmrmix::…')`` calls this before it builds.
    Nobody else has to: the registries import what they hold when it is first
    asked for.
    """
    for location in sorted(set(LOCATIONS.values())):
        import_module(location)
