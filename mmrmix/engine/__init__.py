# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .hooks import (
    ChannelsLastHook,
    CompileHook,
    ReseedHook,
    RMHistoryHook,
    RMVisualizationHook,
    SafeCheckpointHook,
)
from .schedulers import WarmupCosineLR

__all__ = [
    'ChannelsLastHook',
    'CompileHook',
    'RMHistoryHook',
    'RMVisualizationHook',
    'ReseedHook',
    'SafeCheckpointHook',
    'WarmupCosineLR',
]
