# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Checkpoint files: that survive a crash, finding those that did, comparing them."""

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


@register_backend('mmrmix_atomic', force=True)
class AtomicLocalBackend(LocalBackend):
    """Local files that are there completely or not at all.

    mmengine's ``local`` backend writes into the final file, so a process that
    is killed while it writes leaves half of it. This one writes a temporary
    file beside it, waits until that is on the disk, and renames it. A kill
    leaves the temporary one, see ``remove_leftovers``.

    Example:
        >>> default_hooks = dict(checkpoint=dict(
        ...     type='CheckpointHook', backend_args=dict(backend='mmrmix_atomic')))
    """

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes.

        Args:
            obj (bytes): What to write.
            filepath (str or Path): Where to; missing folders are made.

        Raises:
            OSError: If they cannot be written (disk full); an older file of
                that name is as it was.
        """
        path = Path(filepath)
        # A name of its own for every attempt, so that two processes cannot
        # take each other's half of a file for a whole one.
        temporary = path.with_name(f'.{path.name}.{uuid4().hex}.tmp')
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open('xb') as file:  # Fails on links, which lead elsewhere.
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise OSError(
                error.errno,
                f'{path} could not be written ({error.strerror}). What was saved before is whole: once there is room, '
                'resume from it.',
            ) from error


def remove_leftovers(folder: Union[str, Path]) -> None:
    """Remove what kills have left of files that were being written.

    Args:
        folder (str or Path): Nobody else may be writing to it.
    """
    for path in Path(folder).glob('.*.tmp'):
        if re.fullmatch(r'\..+\.[0-9a-f]{32}\.tmp', path.name):
            path.unlink()


def is_intact(path: Path) -> bool:
    """Whether a checkpoint file is complete: reads it, and checks its sums.

    Args:
        path (Path): A file that torch has saved.

    Returns:
        bool: False for what is cut off, overwritten in part, or missing.
    """
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        except (zipfile.BadZipFile, OSError, ValueError):
            return False
    # The format of torch < 1.6, or the first part of the other one.
    try:
        load_data(path)
    except Exception as error:
        # Nothing is wrong with a file that load_data refuses to run, as far as one can tell.
        return TRUST in str(error)
    return True


def last_checkpoint(work_dir: str, folder: Optional[str] = None) -> Optional[str]:
    """The checkpoint that mmengine's note ``last_checkpoint`` names.

    The note holds a path, which is wrong once the work dir is moved, and that
    of the original in a copy. So the file of that name in the folder counts,
    and the path only where the folder has no checkpoints at all.

    Args:
        work_dir (str): Where the note is.
        folder (str, optional): Where the checkpoints are. Defaults to None:
            in the work dir.

    Returns:
        str or None: None if there is no note, or an empty one: a kill while
        mmengine rewrites it leaves it so.
    """
    noted = find_latest_checkpoint(work_dir)
    if not noted or '://' in noted:
        return noted or None
    here = Path(folder or work_dir, Path(noted).name)
    is_elsewhere = Path(noted).is_file() and not any(here.parent.glob(f'*{here.suffix}'))
    return noted if is_elsewhere else str(here)


def find_intact_checkpoint(folder: str, filename_tmpl: str, last: Optional[str] = None) -> Optional[str]:
    """The checkpoint to resume from: the last one, or the newest before it that is intact, with a warning.

    Args:
        folder (str): Where the checkpoints are.
        filename_tmpl (str): Name of checkpoints, such as ``epoch_{}.pth``.
        last (str, optional): The last one, see :func:`last_checkpoint`.
            Defaults to None: the newest in the folder.

    Returns:
        str or None: None if there is nothing to resume from.

    Raises:
        RuntimeError: If there are checkpoints, and none can be read.
    """
    candidates = _checkpoints_until(last, Path(folder), filename_tmpl)
    damaged = []
    for path in candidates:
        if is_intact(path):
            if damaged or not last:
                reason = f'Cannot read {", ".join(damaged)} (missing, truncated or damaged)'
                if not last:
                    reason = f'{folder} has no last_checkpoint, or an empty one'
                print_log(f'{reason}: resuming from {path} instead.', logger='current', level=logging.WARNING)
            return str(path)
        damaged.append(str(path))
    if not candidates:
        return None
    raise RuntimeError(
        f'None of the checkpoints in {folder} can be read ({", ".join(damaged)}). Bring one back, or start from the '
        'beginning in another --work-dir.'
    )


def _checkpoints_until(last: Optional[str], folder: Path, filename_tmpl: str) -> List[Path]:
    """``last`` and the files of earlier steps beside it, newest first.

    Files of later steps are left over from another training.
    """
    pattern = re.compile(re.escape(filename_tmpl).replace(r'\{\}', r'(\d+)'))
    first = [Path(last)] if last else []
    this = pattern.fullmatch(first[0].name) if first else None
    steps = {path: pattern.fullmatch(path.name) for path in (first[0].parent if first else folder).glob('*')}
    steps = {path: int(match[1]) for path, match in steps.items() if match and path not in first}
    earlier = [path for path, step in steps.items() if this is None or step < int(this[1])]
    return first + sorted(earlier, key=steps.get, reverse=True)


# What a training goes on from; the rest of a checkpoint are dates and durations.
TRAINING_STATE = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers', 'hook_msgs')


def are_equal(first: Path, second: Path) -> bool:
    """Whether two checkpoints hold the same training state, to the bit.

    Args:
        first (Path): One checkpoint.
        second (Path): The other.

    Returns:
        bool: Weights, buffers, EMA, optimiser, schedulers, and what hooks
        keep; dates and durations do not count.
    """
    states = [load_data(path) for path in (first, second)]
    return all(_is_same(*(state.get(key) for state in states)) for key in TRAINING_STATE)


def _is_same(first: Any, second: Any) -> bool:
    """Whether nested dicts and lists of tensors and numbers are equal."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_is_same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(_is_same, first, second))
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    return first == second
