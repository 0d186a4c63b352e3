# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .download import DownloadExplained
from .fashion_mnist import FashionMNIST
from .label_batch import LabelBatch, PackedLabels
from .whole_batches import CIFAR10, CIFAR100, WholeBatches, collate_whole_batch

__all__ = [
    'CIFAR10',
    'CIFAR100',
    'DownloadExplained',
    'FashionMNIST',
    'LabelBatch',
    'PackedLabels',
    'WholeBatches',
    'collate_whole_batch',
]
