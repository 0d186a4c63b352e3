# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .hooks import ChannelsLastHook, CompileHook, ReseedHook, RMHistoryHook, SafeCheckpointHook
from .schedulers import WarmupCosineLR

__all__ = ['ChannelsLastHook', 'CompileHook', 'RMHistoryHook', 'ReseedHook', 'SafeCheckpointHook', 'WarmupCosineLR']
