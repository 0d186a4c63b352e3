# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .warmup_cosine import WarmupCosineLR

__all__ = ['WarmupCosineLR']
