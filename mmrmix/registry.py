# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Registries of mmrmix; configs of every mm project find them by the prefix ``mmrmix.``.

They are children of mmengine's *root* registries, not of mmpretrain's: a
foreign scope (mmdet, mmseg, …) resolves ``mmrmix.X`` only among the direct
children of the root. Unknown names are looked up in mmpretrain, because
mmengine puts everything that a config inherits by ``mmrmix::…`` into the
scope ``mmrmix``.
"""

from typing import Optional

import mmengine.registry
import mmpretrain.registry
from mmengine.registry import Registry

LOCATIONS = {
    'BATCH_AUGMENTS': ['mmrmix.models'],
    'DATASETS': ['mmrmix.datasets', 'mmrmix.contrib.batches'],
    'FUNCTIONS': ['mmrmix.contrib.batches'],
    'HOOKS': ['mmrmix.engine', 'mmrmix.contrib.hooks', 'mmrmix.contrib.checkpoints'],
    'MODELS': ['mmrmix.models', 'mmrmix.contrib.batch_data_preprocessor', 'mmrmix.contrib.backbones'],
    'PARAM_SCHEDULERS': ['mmrmix.engine'],
    'TRANSFORMS': ['mmrmix.contrib.resizing'],
    'WEIGHT_INITIALIZERS': ['mmrmix.contrib.backbones'],
}
__all__ = [*LOCATIONS]


class ExtensionRegistry(Registry):
    """Registry of scope ``mmrmix`` that extends the one of mmpretrain called ``name`` (str)."""

    def __init__(self, name: str) -> None:
        self._extended = getattr(mmpretrain.registry, name)
        # BATCH_AUGMENTS is mmpretrain's own and has no parent.
        parent = self._extended.parent or self._extended
        super().__init__(self._extended.name, parent=parent, scope='mmrmix', locations=LOCATIONS.get(name, []))

    def get(self, key: str) -> Optional[type]:
        """Look up a type here, then in mmpretrain; None if neither has it."""
        return super().get(key) or self._extended.get(key)


_registries = {name: ExtensionRegistry(name) for name in mmpretrain.registry.__all__}

BATCH_AUGMENTS = _registries['BATCH_AUGMENTS']
DATASETS = _registries['DATASETS']
# Collate functions; mmpretrain has no registry for them.
FUNCTIONS = Registry('function', parent=mmengine.registry.FUNCTIONS, scope='mmrmix', locations=LOCATIONS['FUNCTIONS'])
HOOKS = _registries['HOOKS']
MODELS = _registries['MODELS']
PARAM_SCHEDULERS = _registries['PARAM_SCHEDULERS']
TRANSFORMS = _registries['TRANSFORMS']
WEIGHT_INITIALIZERS = _registries['WEIGHT_INITIALIZERS']
