# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Checkpoint files: write them atomically, find the intact ones, compare them."""

import logging
import os
import re
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, List, Optional, Union
from uuid import uuid4

import torch
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log
from mmengine.runner import find_latest_checkpoint

from .data_only import TRUST, load_data


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file completely or not at all, even if the process is killed.

    The data go to a temporary file in the same folder, which is flushed to the
    disk and renamed. A kill leaves it behind, see :func:`remove_leftovers`.

    Args:
        path (Path): The file; its folder is created if needed.
        data (bytes): The content.

    Raises:
        OSError: If writing fails (disk full); an older file stays unchanged.
    """
    # A unique name, so that two processes cannot rename each other's half-written file.
    temporary = path.with_name(f'.{path.name}.{uuid4().hex}.tmp')
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open('xb') as file:  # Fails on links, which lead elsewhere.
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


@register_backend('mmrmix_atomic', force=True)
class AtomicLocalBackend(LocalBackend):
    """Local files that are written completely or not at all.

    mmengine's ``local`` backend writes to the final file, so that a kill
    leaves it half-written. See :func:`write_atomically`.

    Example:
        >>> default_hooks = dict(checkpoint=dict(
        ...     type='CheckpointHook', backend_args=dict(backend='mmrmix_atomic')))
    """

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes to a file.

        Args:
            obj (bytes): The content.
            filepath (str or Path): The file; its folder is created if needed.

        Raises:
            OSError: If writing fails (disk full); an older file stays unchanged.
        """
        try:
            write_atomically(Path(filepath), obj)
        except OSError as error:
            raise OSError(
                error.errno,
                f'{Path(filepath)} could not be written ({error.strerror}). Earlier checkpoints are intact: free some '
                'space and resume from the last one.',
            ) from error


def remove_leftovers(folder: Union[str, Path]) -> None:
    """Remove the temporary files that killed processes left in a folder that nobody else writes to."""
    for path in Path(folder).glob('.*.tmp'):
        if re.fullmatch(r'\..+\.[0-9a-f]{32}\.tmp', path.name):
            path.unlink()


def is_intact(path: Path) -> bool:
    """Read a file of ``torch.save`` and verify its checksums.

    Args:
        path (Path): The file.

    Returns:
        bool: False if it is missing, truncated or damaged.
    """
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        except (zipfile.BadZipFile, OSError, ValueError):
            return False
    # The format of torch < 1.6, or a truncated zip file.
    try:
        load_data(path)
    except Exception as error:
        # A file that load_data refuses for safety may well be intact.
        return TRUST in str(error)
    return True


def last_checkpoint(work_dir: str, folder: Optional[str] = None) -> Optional[str]:
    """Find the checkpoint that mmengine's ``last_checkpoint`` file names.

    That file holds a path, which is stale once the work dir is moved or
    copied. The checkpoint of that name in ``folder`` takes precedence; the path
    itself counts only if the folder contains no checkpoints.

    Args:
        work_dir (str): Folder of ``last_checkpoint``.
        folder (str, optional): Folder of the checkpoints. Defaults to None:
            the work dir.

    Returns:
        str or None: Path of the checkpoint; None if ``last_checkpoint`` is
        missing or empty (mmengine was killed while writing it).
    """
    noted = find_latest_checkpoint(work_dir)
    if not noted or '://' in noted:
        return noted or None
    here = Path(folder or work_dir, Path(noted).name)
    is_elsewhere = Path(noted).is_file() and not any(here.parent.glob(f'*{here.suffix}'))
    return noted if is_elsewhere else str(here)


def find_intact_checkpoint(folder: str, filename_tmpl: str, last: Optional[str] = None) -> Optional[str]:
    """Find the checkpoint to resume from: the last one, or else the newest intact one before it, with a warning.

    Args:
        folder (str): Folder of the checkpoints.
        filename_tmpl (str): Name of checkpoints, such as ``epoch_{}.pth``.
        last (str, optional): The last checkpoint, see :func:`last_checkpoint`.
            Defaults to None: the newest in the folder.

    Returns:
        str or None: None if there are no checkpoints.

    Raises:
        RuntimeError: If there are checkpoints but none is intact.
    """
    candidates = _checkpoints_until(last, Path(folder), filename_tmpl)
    damaged = []
    for path in candidates:
        if is_intact(path):
            if damaged or not last:
                reason = f'Cannot read {", ".join(damaged)} (missing, truncated or damaged)'
                if not last:
                    reason = f'{folder} has no last_checkpoint file, or an empty one'
                print_log(f'{reason}: resuming from {path} instead.', logger='current', level=logging.WARNING)
            return str(path)
        damaged.append(str(path))
    if not candidates:
        return None
    raise RuntimeError(
        f'None of the checkpoints in {folder} can be read ({", ".join(damaged)}). Restore one, or start from '
        'scratch in another --work-dir.'
    )


def _checkpoints_until(last: Optional[str], folder: Path, filename_tmpl: str) -> List[Path]:
    """List ``last`` and the checkpoints of earlier steps beside it, newest first.

    Checkpoints of later steps are leftovers of another run.
    """
    pattern = re.compile(re.escape(filename_tmpl).replace(r'\{\}', r'(\d+)'))
    first = [Path(last)] if last else []
    this = pattern.fullmatch(first[0].name) if first else None
    steps = {path: pattern.fullmatch(path.name) for path in (first[0].parent if first else folder).glob('*')}
    steps = {path: int(match[1]) for path, match in steps.items() if match and path not in first}
    earlier = [path for path, step in steps.items() if this is None or step < int(this[1])]
    return first + sorted(earlier, key=steps.get, reverse=True)


# The entries that a resumed run depends on; the others are dates and durations.
TRAINING_STATE = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers', 'hook_msgs')


def are_equal(first: Path, second: Path) -> bool:
    """Compare the training states of two checkpoints bit by bit.

    Args:
        first (Path): One checkpoint.
        second (Path): The other one.

    Returns:
        bool: Whether weights, buffers, EMA, optimizer, schedulers and the
        hooks' messages are equal; dates and durations are ignored.
    """
    states = [load_data(path) for path in (first, second)]
    return all(_is_same(*(state.get(key) for state in states)) for key in TRAINING_STATE)


def _is_same(first: Any, second: Any) -> bool:
    """Compare nested dicts and lists of tensors and numbers."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_is_same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(_is_same, first, second))
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    return first == second
