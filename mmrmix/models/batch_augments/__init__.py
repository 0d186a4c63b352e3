# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from mmrmix.placement import CLASSIFIERS_ONLY
from mmrmix.registry import MODELS

from .recursive_mix import RecursiveMix


@MODELS.register_module(name='RecursiveMix')
def _not_for_detectors(**_) -> None:
    """Mmdet looks for batch augments among the models."""
    raise ValueError(CLASSIFIERS_ONLY.format(where='this data_preprocessor.batch_augments', library='mmdet or mmseg'))


__all__ = ['RecursiveMix']
