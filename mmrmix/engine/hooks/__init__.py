# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .channels_last_hook import ChannelsLastHook
from .compile_hook import CompileHook
from .reseed_hook import ReseedHook
from .rm_history_hook import RMHistoryHook
from .rm_visualization_hook import RMVisualizationHook
from .safe_checkpoint_hook import SafeCheckpointHook

__all__ = [
    'ChannelsLastHook',
    'CompileHook',
    'RMHistoryHook',
    'RMVisualizationHook',
    'ReseedHook',
    'SafeCheckpointHook',
]
