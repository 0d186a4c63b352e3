# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .fashion_mnist import FashionMNIST
from .transforms import ClippedLighting

__all__ = ['ClippedLighting', 'FashionMNIST']
