"""A lock that processes hold in turn: a file that the system gives to one of them."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.1  # seconds between two looks at a lock that another process holds
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def locked(path: Path, *, waiting: Callable[[], object] = lambda: None) -> Iterator[bool]:
    """Be the only one that holds the lock of a file; the system lets go of it when the process ends, however it ends.

    Whoever holds it may remove the file. Missing folders are made.

    Args:
        path: the file, which stays empty.
        waiting: called again and again while another has it.

    Yields:
        Whether there is a lock: some network file systems know none.

    Raises:
        OSError: the file can't be made, or what ``waiting`` raises.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("ab")
        except FileNotFoundError:  # somebody removed the folder just now
            continue
        with file:
            while (held := _try_lock(file.fileno())) is False:
                waiting()
                time.sleep(_PAUSE)
            try:
                current = os.path.samestat(os.fstat(file.fileno()), path.stat())
            except FileNotFoundError:
                current = False
            if current:
                yield bool(held)
                return


def _try_lock(descriptor: int) -> bool | None:
    """Whether the lock was free; None where there are no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True
