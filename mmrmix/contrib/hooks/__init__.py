# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .channels_last_hook import ChannelsLastHook
from .compile_hook import CompileHook
from .reseed_hook import ReseedHook

__all__ = ['ChannelsLastHook', 'CompileHook', 'ReseedHook']
