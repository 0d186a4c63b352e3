# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .mixed_batches import MixedBatches, SeenBatch
from .pictures import denormalize

__all__ = ['MixedBatches', 'SeenBatch', 'denormalize']
