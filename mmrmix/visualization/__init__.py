# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .mixed_batches import MixedBatches, SeenBatch
from .pictures import denormalize, draw_grid

__all__ = ['MixedBatches', 'SeenBatch', 'denormalize', 'draw_grid']
