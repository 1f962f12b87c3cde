"""Writing files so that nothing half-written is left behind."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brule.errors import OutputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)


@contextmanager
def atomic_write(path: Path | str, *, flush: bool = False) -> Iterator[Path]:
    """A temporary path to write to, which takes the place of ``path`` when all is written, and vanishes on an error.

    A reader sees the old file or the whole new one. Missing folders are made, links are followed, and what isn't a file, such
    as ``/dev/null``, is written to directly.

    Args:
        path: the file to be.
        flush: have it on the disk before it takes its place, against a power cut.

    Yields:
        A path in the same folder, since renaming is atomic only within one file system, and with the same suffix, since
        that often says the format.

    Raises:
        OutputError: it can't be written: no room, no permission, no such folder.
    """
    path = Path(path)
    with wrap_oserror(path):
        place = Path(os.path.realpath(path)) if path.is_symlink() else path
        direct = place.exists() and not place.is_file() and not place.is_dir()
    if direct:  # a device or a pipe must not be replaced by a file
        with wrap_oserror(path, place):
            yield place
        return
    make_folder(place.parent)
    temporary = place.with_name(f".{place.stem}.{os.getpid()}.part{place.suffix}")
    try:
        with wrap_oserror(path, temporary, place):
            yield temporary
            if flush:
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
            os.replace(temporary, place)
    finally:
        with wrap_oserror(path, temporary):
            temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    r"""Write a text file in UTF-8, whole or not at all.

    A file's name that isn't UTF-8 stands in it as ``caf\udce9.png``, so that the rest can be read.

    Raises:
        OutputError: it can't be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def make_folder(path: Path | str) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        OutputError: it can't be made.
    """
    path = Path(path)
    with wrap_oserror(path, *path.parents):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def wrap_oserror(path: Path, *instead: Path) -> Iterator[None]:
    """Say of a file that it can't be written, where the system says so of it, of another in its folder, or of none.

    Args:
        path: the file to be.
        instead: paths elsewhere that stand for it.

    Raises:
        OutputError: what went wrong, and what to do.
    """
    try:
        yield
    except OSError as error:
        named = None if error.filename is None else Path(os.fsdecode(error.filename))
        if named is not None and named not in (path, *instead) and named.parent != path.parent:
            raise
        raise OutputError(f"{path}: can't be written: {_why(path, error)}") from error


def _why(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return f"the disk is full ({reason}); make room, or write to another place"
    if error.errno in _FORBIDDEN:
        return f"{reason}; choose a folder that you may write to"
    if path.is_dir():
        return "it is a folder; give the name of a file"
    if error.errno in _NO_FOLDER:
        above = next((one for one in (path, *path.parents) if one.exists()), path)
        return f"{above} is a file, not a folder; choose another place"
    return f"{reason}; choose another place or name"
