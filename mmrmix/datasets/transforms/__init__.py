# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .clipped_lighting import ClippedLighting

__all__ = ['ClippedLighting']
