# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .reseed_hook import ReseedHook
from .rm_history_hook import RMHistoryHook
from .safe_checkpoint_hook import SafeCheckpointHook

__all__ = ['RMHistoryHook', 'ReseedHook', 'SafeCheckpointHook']
