# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .epoch_seed_hook import EpochSeedHook
from .rm_history_hook import RMHistoryHook

__all__ = ['EpochSeedHook', 'RMHistoryHook']
