# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Where LabelBatch was up to version 0.1."""

from .utils import moved_to_contrib

__getattr__ = moved_to_contrib(__name__)
