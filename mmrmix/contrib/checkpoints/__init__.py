# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .files import AtomicLocalBackend, remove_leftovers, write_atomically
from .safe_checkpoint_hook import SafeCheckpointHook

__all__ = ['AtomicLocalBackend', 'SafeCheckpointHook', 'remove_leftovers', 'write_atomically']
