# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .hooks import ReseedHook, RMHistoryHook, SafeCheckpointHook
from .schedulers import WarmupCosineLR

__all__ = ['RMHistoryHook', 'ReseedHook', 'SafeCheckpointHook', 'WarmupCosineLR']
