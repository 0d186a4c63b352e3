# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .transforms import ClippedLighting

__all__ = ['ClippedLighting']
