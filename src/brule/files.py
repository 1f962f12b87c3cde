"""Writing files so that nothing half-written is left behind, and one process at a time."""

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
def written_whole(path: Path | str, *, flush: bool = False) -> Iterator[Path]:
    """A temporary path to write to, which takes the place of ``path`` when all is written, and vanishes on an error.

    A reader sees the old file or the whole new one. Missing folders are made.

    Args:
        path: the file to be.
        flush: have it on the disk before it takes its place, against a power cut.

    Yields:
        A path in the same folder, since renaming is atomic only within one file system, and with the same suffix, since
        that often says the format.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        if flush:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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
