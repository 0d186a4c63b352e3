# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .hooks import EpochSeedHook, RMHistoryHook
from .schedulers import WarmupCosineLR

__all__ = ['EpochSeedHook', 'RMHistoryHook', 'WarmupCosineLR']
