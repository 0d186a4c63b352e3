# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from mmrmix.engine.hooks.rm_visualization_hook import denormalize

from .mixed_batches import MixedBatches, SeenBatch

__all__ = ['MixedBatches', 'SeenBatch', 'denormalize']
