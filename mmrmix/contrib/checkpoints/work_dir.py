# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""One work dir, one training."""

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

# Locks of this process, which may train in one work dir again and again.
_locks: MutableMapping[Path, IO] = WeakValueDictionary()


def check_writable(work_dir: str) -> None:
    """Make a work dir, and see whether files can be written to it.

    Args:
        work_dir (str): The folder.

    Raises:
        OSError: If not.
    """
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir):
            pass
    except OSError as error:
        raise OSError(
            error.errno, f'The work dir {work_dir} cannot be written to ({error.strerror}): choose one with --work-dir.'
        ) from error


def lock(work_dir: str) -> Optional[IO]:
    """Keep other processes from training in a work dir.

    Args:
        work_dir (str): The folder.

    Returns:
        IO or None: Closing it, or the end of the process (a kill as well),
        gives the folder free. None where the file system has no locks.

    Raises:
        RuntimeError: If another process trains there.
    """
    if fcntl is None:
        return None
    path = Path(work_dir).resolve() / '.lock_training'
    if path not in _locks:
        # O_NOFOLLOW: whoever can write here must not choose what is overwritten.
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), 'r+')
        try:
            # Of the process (flock's is of the file): loader workers that outlive a kill do not hold it.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            with file:
                raise RuntimeError(
                    f'Another training writes to {work_dir} ({file.read().strip()}): wait for it or end it, or choose '
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
