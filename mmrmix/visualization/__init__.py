# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .mixed_batches import MixedBatches, SeenBatch, build_classifier, load_classifier_config
from .pictures import as_loaded, as_pictures, caption, class_names, show

__all__ = [
    'MixedBatches',
    'SeenBatch',
    'as_loaded',
    'as_pictures',
    'build_classifier',
    'caption',
    'class_names',
    'load_classifier_config',
    'show',
]
