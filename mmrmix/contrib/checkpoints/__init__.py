# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .files import AtomicLocalBackend
from .safe_checkpoint_hook import SafeCheckpointHook

__all__ = ['AtomicLocalBackend', 'SafeCheckpointHook']
