# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .batch_augments import RecursiveMix
from .heads import RMHead

__all__ = ['RMHead', 'RecursiveMix']
