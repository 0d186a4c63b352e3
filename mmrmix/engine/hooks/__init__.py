# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .rm_history_hook import RMHistoryHook

__all__ = ['RMHistoryHook']
