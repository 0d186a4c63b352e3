# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from mmrmix.utils import moved_to_contrib

from .clipped_lighting import ClippedLighting
from .imagenet import ImageNet

__all__ = ['ClippedLighting', 'ImageNet']
__getattr__ = moved_to_contrib(__name__)
