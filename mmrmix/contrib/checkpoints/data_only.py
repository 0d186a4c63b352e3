# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Loads checkpoints without running code that a file may contain.

A checkpoint is a pickle, and a pickle can call any function. Checkpoints of
mmengine need the few harmless ones listed here; files that name others are
rejected.
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

# Types that mmengine's message hub needs in addition to tensors. torch lets a
# file name getattr but does not call its results.
MESSAGE_HUB = [
    HistoryBuffer,
    getattr,
    slice,
    np.ndarray,
    np.dtype,
    # Functions that construct arrays and scalars; NumPy 2 has moved them.
    np.zeros(1).__reduce__()[0],
    np.float64().__reduce__()[0],
    *{type(np.dtype(each)) for each in np.sctypeDict.values()},
]
# torch's own switch, which applies where mmengine leaves weights_only unset.
TRUST = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


def load_data(path: Union[str, Path]) -> Any:
    """Load a file of ``torch.save`` that contains tensors, numbers, strings and containers of them.

    Args:
        path (str or Path): The file. If ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1``
            is set in the environment, its code is trusted and runs.

    Returns:
        Any: The saved object, on the CPU.

    Raises:
        UnpicklingError: If it contains more than data; its code has not run.
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
            raise  # Truncated, or no checkpoint at all.
        raise pickle.UnpicklingError(
            f'{path} holds more than data{f" ({name[1]})" if name else ""}, and loading it could run code that it '
            f'contains. If you trust its source, set {TRUST}=1 in the environment.'
        ) from error


def _load_listed(path: Union[str, Path]) -> Any:
    """Fallback for torch < 2.5, whose ``weights_only`` accepts no additional names."""
    return torch.load(path, map_location='cpu', pickle_module=_ListedPickle, weights_only=False)


class _ListedUnpickler(pickle.Unpickler):
    """Restricts a pickle to the names that checkpoints of mmengine need."""

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
    """The part of a pickle module that torch uses."""

    Unpickler = _ListedUnpickler

    @staticmethod
    def load(file: Any, **kwargs: Any) -> Any:
        return _ListedUnpickler(file, **kwargs).load()


def _statistic(owner: Any, name: str) -> Any:
    """Restrict getattr to what a message hub needs; otherwise it could reach any function."""
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'GLOBAL builtins.getattr({owner!r}, {name!r})')
