# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from mmrmix.utils import moved_to_contrib

from .rm_history_hook import RMHistoryHook
from .rm_visualization_hook import RMVisualizationHook

__all__ = ['RMHistoryHook', 'RMVisualizationHook']
__getattr__ = moved_to_contrib(__name__)
