# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .recursive_mix import RecursiveMix

__all__ = ['RecursiveMix']
