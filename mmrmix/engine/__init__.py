# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from mmrmix.utils import moved_to_contrib

from .hooks import RMHistoryHook, RMVisualizationHook
from .schedulers import WarmupCosineLR

__all__ = ['RMHistoryHook', 'RMVisualizationHook', 'WarmupCosineLR']
__getattr__ = moved_to_contrib(__name__)
