# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from mmrmix.utils import moved_to_contrib

from .imagenet import ImageNet

__all__ = ['ImageNet']
__getattr__ = moved_to_contrib(__name__)
