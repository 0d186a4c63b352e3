# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Checkpoint files: that survive a crash, finding those that did, comparing them."""

import logging
import os
import re
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, List, Optional, Union

import torch
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader, find_latest_checkpoint


@register_backend('mmrmix_atomic', force=True)
class AtomicLocalBackend(LocalBackend):
    """Local files that are there completely or not at all.

    mmengine's ``local`` backend writes into the final file, so a process that
    is killed while it writes leaves half of it. This one writes a temporary
    file beside it, waits until that is on the disk, and renames it.

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
        path.parent.mkdir(parents=True, exist_ok=True)
        # One name for all attempts: the next one replaces what a kill left.
        temporary = path.with_name(f'.{path.name}.tmp')
        try:
            with temporary.open('wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise


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
        CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    except Exception:
        return False
    return True


def find_intact_checkpoint(work_dir: str, filename_tmpl: str, load_from: Optional[str] = None) -> Optional[str]:
    """The checkpoint to resume from.

    Args:
        work_dir (str): Where mmengine notes the last checkpoint.
        filename_tmpl (str): Name of checkpoints, such as ``epoch_{}.pth``.
        load_from (str, optional): A checkpoint that was asked for; no other
            is taken instead. Defaults to None: the last one, or the newest
            before it that is intact, with a warning.

    Returns:
        str or None: None if there is nothing to resume from.

    Raises:
        RuntimeError: If there are checkpoints, and none can be read.
    """
    if load_from is not None:
        # What is not there, or at a URL, is mmengine's business.
        if Path(load_from).is_file() and not is_intact(Path(load_from)):
            raise RuntimeError(
                f'{load_from} is truncated or damaged: resume from another checkpoint, or use --resume without a '
                'path, which takes the newest one that is intact.'
            )
        return load_from
    last = find_latest_checkpoint(work_dir)
    if last is None:
        return None
    # A kill while mmengine rewrites that note leaves it empty.
    candidates = _checkpoints_until(Path(last or Path(work_dir, 'none')), filename_tmpl)
    damaged = []
    for path in candidates:
        if is_intact(path):
            if damaged:
                message = (
                    f'Cannot read {", ".join(damaged)} (missing, truncated or damaged): resuming from {path} instead.'
                )
                print_log(message, logger='current', level=logging.WARNING)
            return str(path)
        damaged.append(str(path))
    raise RuntimeError(
        f'None of the checkpoints in {work_dir} can be read ({", ".join(damaged) or "last_checkpoint is empty"}). '
        'Bring one back, or remove last_checkpoint to start from the beginning.'
    )


def _checkpoints_until(last: Path, filename_tmpl: str) -> List[Path]:
    """``last`` and the files of earlier steps beside it, newest first.

    Files of later steps are left over from another training.
    """
    pattern = re.compile(re.escape(filename_tmpl).replace(r'\{\}', r'(\d+)'))
    steps = {path: pattern.fullmatch(path.name) for path in last.parent.glob('*')}
    steps = {path: int(match[1]) for path, match in steps.items() if match}
    this = pattern.fullmatch(last.name)
    earlier = [path for path, step in steps.items() if this is None or step < int(this[1])]
    first = [last] if this else []
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
    states = [torch.load(path, map_location='cpu', weights_only=False) for path in (first, second)]
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
