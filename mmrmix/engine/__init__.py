# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .hooks import RMHistoryHook
from .schedulers import WarmupCosineLR

__all__ = ['RMHistoryHook', 'WarmupCosineLR']
