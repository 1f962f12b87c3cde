"""Writing files so that nothing half-written is left behind; reading JSON and TOML."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import itertools
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brule.errors import DataError, OutputError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_NAME = 255  # bytes of a file's name, in nearly every file system

MAX_TEXT = 2**26  # bytes of a text that is read in one piece: a device such as /dev/zero never ends

_DIGITS = 308  # of a whole number that is certain to fit into a float
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
_ATTEMPTS = 20  # at a lock in a folder that vanishes again and again, or can't be made
_PAUSE = 0.1  # seconds between two attempts at a lock that another process holds
_NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)
_MAX_STEM = 40  # characters of a file's name in the name of its temporary file, which must not get too long
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
# Versions before this one didn't note when the process started.
_TEMPORARY = re.compile(r"\..*\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)(-s(?P<started>\d+))?-\d+\.part(\.[^.]*)?")
_count = itertools.count()
_cleaned: set[Path] = set()  # a folder is searched for stale files once a process, since it may hold a million


@contextmanager
def atomic_write(path: Path | str, *, flush: bool = False) -> Iterator[Path]:
    """A temporary path to write to, which takes the place of ``path`` when all is written, and vanishes on an error.

    A reader sees the old file or the whole new one. Missing folders are made, links are followed, and what isn't a file, such
    as ``/dev/null``, is written to directly. A new file gets the permissions of the process's umask, a file that is replaced
    keeps its own. Temporary files that a killed process left in the folder are removed.

    Args:
        path: the file to be.
        flush: have it on the disk before it takes its place, and its name too, against a power cut.

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
    _clean_once(place.parent)
    temporary = place.with_name(f".{place.stem[:_MAX_STEM]}.{_writer()}-{next(_count)}.part{place.suffix}")
    try:
        with wrap_oserror(path, temporary, place):
            mode = _mode_of(place, temporary)
            yield temporary
            temporary.chmod(mode)  # some writers choose permissions of their own
            if flush:
                sync(temporary)
            os.replace(temporary, place)
            if flush:
                sync(place.parent)
    finally:
        with wrap_oserror(path, temporary):
            temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A hidden folder for files that are to be moved into ``parent`` once they are whole; it vanishes in the end.

    One that a killed process left there is removed by the next call, or by :func:`atomic_write`.

    Args:
        parent: is made if it is missing.
    """
    make_folder(parent)
    _clean_once(parent)
    folder = parent / f".parts.{_writer()}-{next(_count)}.part"
    with wrap_oserror(folder):
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_stale(folder: Path) -> None:
    """Remove the temporary files and folders of this module in a folder whose process on this machine is gone."""
    with os.scandir(folder) as entries:
        found = [match for entry in entries if (match := _TEMPORARY.fullmatch(entry.name))]
    for match in found:
        if match["host"] == _HOST and not _is_running(int(match["pid"]), match["started"]):
            place = folder / match.string
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)


def _clean_once(folder: Path) -> None:
    if folder not in _cleaned:
        _cleaned.add(folder)
        with contextlib.suppress(OSError):  # such as a folder that may be written to and not listed
            remove_stale(folder)


def _writer() -> str:
    """This machine, this process, and when it started: numbers of processes are given again, on a busy machine soon."""
    started = _started(os.getpid())
    return f"{_HOST}-{os.getpid()}" + (f"-s{started}" if started else "")


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the machine did; None if the system doesn't state it."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    return None


def _is_running(pid: int, started: str | None) -> bool:
    if pid == os.getpid() and started in (None, _started(pid)):
        return True
    if sys.platform == "win32":  # which has no harmless signal to ask with
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs, for somebody else
    except (OSError, OverflowError):
        return True
    return None in (started, now := _started(pid)) or now == started


def _mode_of(place: Path, temporary: Path) -> int:
    """The permissions of the file that is there, else those that a new file gets."""
    if place.is_file():
        return place.stat().st_mode & 0o777
    temporary.touch()
    mode = temporary.stat().st_mode & 0o777
    temporary.unlink()
    return mode


def sync(path: Path) -> None:
    """Have a file's content on the disk; of a folder the names in it, where the system can promise that.

    Raises:
        OSError: the system can't.
    """
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path | str, text: str, *, flush: bool = False) -> None:
    r"""Write a text file in UTF-8, whole or not at all.

    A file's name that isn't UTF-8 is written as ``caf\udce9.png``, so that the rest can be read.

    Args:
        path: the file.
        text: its content.
        flush: as for :func:`atomic_write`.

    Raises:
        OutputError: it can't be written.
    """
    with atomic_write(path, flush=flush) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_image(path: Path | str, image: Image, **options: Any) -> None:
    """Write a Pillow image in the format of the path's suffix, whole or not at all.

    It is encoded in memory: where a disk takes a part of what it is given, Pillow's encoders take that for all of it.

    Args:
        path: the file.
        image: the image.
        options: of Pillow's encoder, such as ``quality``.

    Raises:
        OutputError: it can't be written.
        ValueError: the suffix is that of no format.
    """
    target, encoded = Path(path), io.BytesIO()
    encoded.name = target.name  # Pillow finds the format by it
    with atomic_write(target) as temporary:
        image.save(encoded, **options)
        temporary.write_bytes(encoded.getvalue())


@contextmanager
def file_lock(path: Path, *, waiting: Callable[[], object] = lambda: None) -> Iterator[bool]:
    """Advisory inter-process file lock.

    The system releases it when the process ends, however it ends. The holder may remove the file. Missing folders are made.

    Args:
        path: the lock's file.
        waiting: called again and again while another process holds the lock.

    Yields:
        Whether the file system has locks at all: some network file systems don't.

    Raises:
        OSError: the file can't be made.
    """
    from filelock import FileLock, Timeout

    lock, held, vanished = FileLock(path, timeout=0), True, 0
    while not lock.is_locked:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            waiting()
            time.sleep(_PAUSE)
        except FileNotFoundError:  # somebody removed the folder just now; or it can't be made, as in /proc
            vanished += 1
            if vanished == _ATTEMPTS:
                raise
        except (OSError, NotImplementedError) as error:  # the latter from filelock before version 4, without flock
            if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
                raise
            held = False
            break
    try:
        yield held
    finally:
        lock.release()


def check_name(path: Path | str) -> None:
    """Refuse a file's name that file systems don't take, before anything is written.

    Raises:
        OutputError: it is longer than :data:`MAX_NAME`.
    """
    name = Path(path).name
    if (size := len(os.fsencode(name))) > MAX_NAME:
        raise OutputError(
            f"{name[:40]}…{name[-20:]}: the name of a file to write has {size} bytes, file systems take {MAX_NAME}; give the "
            "image a shorter name"
        )


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
    """Convert an OSError into an OutputError that names ``path``, if it is about this file, its folder, or no file.

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
        broken = next((one for one in (path, *path.parents) if one.is_symlink() and not one.exists()), None)
        if broken is not None:
            return f"{broken} is a link that leads nowhere; remove it, or choose another place"
        above = next((one for one in (path, *path.parents) if one.exists()), path)
        return f"{above} is a file, not a folder; choose another place"
    return f"{reason}; choose another place or name"


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text, however it was made.

    Raises:
        ValueError: no JSON, lists or objects nested too deeply, or a whole number that no float can hold.
    """
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text, however it was made.

    Raises:
        ValueError: no TOML, or lists or tables nested too deeply.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("lists or tables are nested too deeply") from None


def _whole_number(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def read_text(path: Path | str) -> str:
    """The text of a file, in UTF-8.

    Raises:
        OSError: it can't be read.
        ValueError: it is longer than :data:`MAX_TEXT`, or no UTF-8.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_TEXT + 1)
    if len(content) > MAX_TEXT:
        raise ValueError(f"longer than {MAX_TEXT >> 20} MiB")
    return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path | str, expected: str) -> Any:
    """The content of a JSON file.

    Args:
        path: the file.
        expected: what it should hold, in words; the end of an error's message.

    Raises:
        DataError: it can't be read, or is no JSON.
    """
    try:
        return parse_json(read_text(path))
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}); expected {expected}") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); expected {expected}") from None


def json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is no such file, it can't be read, or it holds something else."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
