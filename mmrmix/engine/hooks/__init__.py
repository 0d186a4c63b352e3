# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .rm_history_hook import RMHistoryHook
from .rm_visualization_hook import RMVisualizationHook

__all__ = ['RMHistoryHook', 'RMVisualizationHook']
