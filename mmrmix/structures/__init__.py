# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .label_batch import LabelBatch

__all__ = ['LabelBatch']
