# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .mixed_batches import MixedBatches, SeenBatch
from .pictures import as_loaded, as_pictures, caption, class_names, denormalize, show

__all__ = [
    'MixedBatches',
    'SeenBatch',
    'as_loaded',
    'as_pictures',
    'caption',
    'class_names',
    'denormalize',
    'show',
]
