# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Registries of mmrmix, found from every mm project by the prefix ``mmrmix.``.

They are children of mmengine's *root* registries and not of mmpretrain's: a
foreign scope (mmdet, mmseg, …) resolves ``mmrmix.X`` only among the direct
children of the root. ``BATCH_AUGMENTS`` exists in mmpretrain alone, which is
the only place that builds batch augments.
"""

from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry
from mmpretrain.registry import BATCH_AUGMENTS as MMPRETRAIN_BATCH_AUGMENTS

__all__ = ['BATCH_AUGMENTS', 'HOOKS', 'MODELS', 'PARAM_SCHEDULERS', 'TRANSFORMS']


def _registry(name: str, parent: Registry, location: str) -> Registry:
    return Registry(name, parent=parent, scope='mmrmix', locations=[location])


BATCH_AUGMENTS = _registry('batch augment', MMPRETRAIN_BATCH_AUGMENTS, 'mmrmix.models')
HOOKS = _registry('hook', MMENGINE_HOOKS, 'mmrmix.engine')
MODELS = _registry('model', MMENGINE_MODELS, 'mmrmix.models')
PARAM_SCHEDULERS = _registry('parameter scheduler', MMENGINE_PARAM_SCHEDULERS, 'mmrmix.engine')
TRANSFORMS = _registry('transform', MMENGINE_TRANSFORMS, 'mmrmix.datasets')
