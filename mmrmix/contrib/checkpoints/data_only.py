# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Reading checkpoints without running the code that a file may hold.

A checkpoint is a pickle, and a pickle can call any function. Those that
mmengine writes name a few harmless ones, which are listed here; a file that
names another is refused.
"""

import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

# What mmengine's message hub needs beside tensors: numbers over time. torch
# lets a file name getattr but calls nothing that comes out of it.
MESSAGE_HUB = [
    HistoryBuffer,
    getattr,
    slice,
    np.ndarray,
    np.dtype,
    # Functions that build arrays and numbers; NumPy 2 has moved them.
    np.zeros(1).__reduce__()[0],
    np.float64().__reduce__()[0],
    *{type(np.dtype(each)) for each in np.sctypeDict.values()},
]
# torch's own switch, which it reads where mmengine says nothing about weights_only.
TRUST = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


def load_data(path: Union[str, Path]) -> Any:
    """Read a file of ``torch.save`` as tensors, numbers, texts and containers of them.

    Args:
        path (str or Path): The file. With ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1``
            in the environment it may hold anything, and its code runs.

    Returns:
        Any: What was saved, on the CPU.

    Raises:
        UnpicklingError: If it holds more than data; none of its code was run.
    """
    if os.environ.get(TRUST, '').lower() in ('1', 'y', 'yes', 'true'):
        return torch.load(path, map_location='cpu', weights_only=False)
    try:
        if hasattr(torch.serialization, 'safe_globals'):
            with torch.serialization.safe_globals(MESSAGE_HUB):
                return torch.load(path, map_location='cpu', weights_only=True)
        return _load_listed(path)
    except pickle.UnpicklingError as error:
        name = re.search(r'GLOBAL ([\w.]+)', str(error))
        if name is None and not zipfile.is_zipfile(path):
            raise  # Cut off, or no checkpoint at all.
        raise pickle.UnpicklingError(
            f'{path} holds more than data{f" ({name[1]})" if name else ""}, and loading it could run code that it '
            f'brings along. If you know where it comes from and trust it, set {TRUST}=1 in the environment.'
        ) from error


def _load_listed(path: Union[str, Path]) -> Any:
    """The same for torch < 2.5, whose ``weights_only`` takes no further names."""
    return torch.load(path, map_location='cpu', pickle_module=_ListedPickle, weights_only=False)


class _ListedUnpickler(pickle.Unpickler):
    """Calls nothing but what a checkpoint of mmengine needs."""

    NAMES = {
        '_codecs': ['encode'],
        'collections': ['OrderedDict'],
        'numpy': ['dtype', 'ndarray'],
        'numpy.core.multiarray': ['_reconstruct', 'scalar'],
        'numpy._core.multiarray': ['_reconstruct', 'scalar'],
        'torch': ['Size', 'device', *(name for name, value in vars(torch).items() if isinstance(value, torch.dtype))],
        'torch._utils': ['_rebuild_parameter', '_rebuild_tensor_v2'],
        'mmengine.logging.history_buffer': ['HistoryBuffer'],
    }

    def find_class(self, module: str, name: str) -> Any:
        if name == 'getattr' and module in ('builtins', '__builtin__'):
            return _statistic
        if name in self.NAMES.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'GLOBAL {module}.{name}')


class _ListedPickle:
    """What torch needs of a pickle module."""

    Unpickler = _ListedUnpickler

    @staticmethod
    def load(file: Any, **kwargs: Any) -> Any:
        return _ListedUnpickler(file, **kwargs).load()


def _statistic(owner: Any, name: str) -> Any:
    """All that a message hub asks getattr for; unlimited, it would reach everything."""
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'GLOBAL builtins.getattr({owner!r}, {name!r})')
