# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Registries of mmrmix, found from every mm project by the prefix ``mmrmix.``.

They are children of mmengine's *root* registries and not of mmpretrain's: a
foreign scope (mmdet, mmseg, …) resolves ``mmrmix.X`` only among the direct
children of the root. What they do not hold themselves they look up in
mmpretrain, because mmengine puts whatever a config inherited as ``mmrmix::…``
mentions into the scope ``mmrmix``.
"""

from typing import Optional

import mmengine.registry
import mmpretrain.registry
from mmengine.registry import Registry

__all__ = [
    'BATCH_AUGMENTS',
    'DATASETS',
    'FUNCTIONS',
    'HOOKS',
    'MODELS',
    'PARAM_SCHEDULERS',
    'TRANSFORMS',
    'WEIGHT_INITIALIZERS',
]

LOCATIONS = {
    'BATCH_AUGMENTS': ['mmrmix.models'],
    'DATASETS': ['mmrmix.datasets', 'mmrmix.contrib.batches'],
    'FUNCTIONS': ['mmrmix.contrib.batches'],
    'HOOKS': ['mmrmix.engine', 'mmrmix.contrib.hooks', 'mmrmix.contrib.checkpoints'],
    'MODELS': ['mmrmix.models', 'mmrmix.contrib.batch_data_preprocessor'],
    'PARAM_SCHEDULERS': ['mmrmix.engine'],
    'TRANSFORMS': ['mmrmix.datasets'],
    'WEIGHT_INITIALIZERS': ['mmrmix.models'],
}


class ExtensionRegistry(Registry):
    """A registry of scope ``mmrmix`` that extends one of mmpretrain's.

    Args:
        name (str): Name of mmpretrain's registry.
    """

    def __init__(self, name: str) -> None:
        self._extended = getattr(mmpretrain.registry, name)
        # BATCH_AUGMENTS is mmpretrain's own and has no parent.
        parent = self._extended.parent or self._extended
        super().__init__(self._extended.name, parent=parent, scope='mmrmix', locations=LOCATIONS.get(name, []))

    def get(self, key: str) -> Optional[type]:
        """Look a type up here, then in mmpretrain.

        Args:
            key (str): Name of the type, with or without a scope.

        Returns:
            type, optional: None if there is none of that name.
        """
        return super().get(key) or self._extended.get(key)


_registries = {name: ExtensionRegistry(name) for name in mmpretrain.registry.__all__}

# What data loaders collate with; mmpretrain has no registry for it.
FUNCTIONS = Registry('function', parent=mmengine.registry.FUNCTIONS, scope='mmrmix', locations=LOCATIONS['FUNCTIONS'])
BATCH_AUGMENTS = _registries['BATCH_AUGMENTS']
DATASETS = _registries['DATASETS']
HOOKS = _registries['HOOKS']
MODELS = _registries['MODELS']
PARAM_SCHEDULERS = _registries['PARAM_SCHEDULERS']
TRANSFORMS = _registries['TRANSFORMS']
WEIGHT_INITIALIZERS = _registries['WEIGHT_INITIALIZERS']
