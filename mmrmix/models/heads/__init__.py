# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .rm_head import RMHead

__all__ = ['RMHead']
