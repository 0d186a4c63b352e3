# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Locks a work dir, so that only one run at a time writes to it."""

import os
import socket
import tempfile
from pathlib import Path
from typing import IO, MutableMapping, Optional
from weakref import WeakValueDictionary

try:
    import fcntl
except ImportError:  # On Windows.
    fcntl = None

# Locks of this process, which may train in the same work dir repeatedly.
_locks: MutableMapping[Path, IO] = WeakValueDictionary()


def check_writable(work_dir: str) -> None:
    """Create a work dir (str), or raise an OSError if it is not writable."""
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir):
            pass
    except OSError as error:
        raise OSError(
            error.errno,
            f'The work dir {work_dir} is not writable ({error.strerror}): choose another one with --work-dir.',
        ) from error


def lock(work_dir: str) -> Optional[IO]:
    """Lock a work dir for this process.

    Args:
        work_dir (str): The folder.

    Returns:
        IO or None: The lock, released when it is closed or garbage-collected,
        or when the process ends or is killed. None if the file system does
        not support locks.

    Raises:
        RuntimeError: If another process has locked it.
    """
    if fcntl is None:
        return None
    path = Path(work_dir).resolve() / '.lock_training'
    if path not in _locks:
        # O_NOFOLLOW: a link planted here must not make us overwrite another file.
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), 'r+')
        try:
            # lockf, unlike flock, locks for this process alone: loader workers that survive a kill do not keep it.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            with file:
                raise RuntimeError(
                    f'Another run writes to {work_dir} ({file.read().strip()}): wait for it or stop it, or choose '
                    'another --work-dir.'
                ) from None
        except OSError:
            file.close()
            return None
        file.truncate(0)
        file.write(f'process {os.getpid()} on {socket.gethostname()}')
        file.flush()
        _locks[path] = file
    return _locks[path]
