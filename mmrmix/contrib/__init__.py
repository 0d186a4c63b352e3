# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What works in every mmengine project, with RecursiveMix or without.

Nothing here imports the method, and the method imports nothing of this.
Configs reach the classes by the prefix ``mmrmix.``; a class is imported when it
is first asked for.
"""

from importlib import import_module
from typing import Any

_MODULES = {
    'AtomicLocalBackend': 'checkpoints',
    'BatchDataPreprocessor': 'batch_data_preprocessor',
    'CIFAR10': 'batches',
    'CIFAR100': 'batches',
    'ChannelsLastHook': 'hooks',
    'CompileHook': 'hooks',
    'DownloadExplained': 'batches',
    'FashionMNIST': 'batches',
    'LabelBatch': 'batches',
    'PackedLabels': 'batches',
    'PretrainedBackbone': 'backbones',
    'ReseedHook': 'hooks',
    'SafeCheckpointHook': 'checkpoints',
    'TorchRandomResizedCrop': 'resizing',
    'TorchResizeEdge': 'resizing',
    'WholeBatches': 'batches',
    'collate_whole_batch': 'batches',
    'initialized_backbone': 'backbones',
    'pyramid_vision_transformer_v2': 'backbones',
    'remove_leftovers': 'checkpoints',
    'write_atomically': 'checkpoints',
}
__all__ = [*_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
