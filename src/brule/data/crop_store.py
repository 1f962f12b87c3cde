"""A store of decoded crops on disk, which grows at its end and can be continued after an interruption.

A store is a folder:

* ``images.u8``: the crops, ``(size, size, 3)`` bytes each, one after the other; read memory-mapped as one array,
* ``boxes.f4``: ``(left, top, right, bottom)`` of each, float32,
* ``log.jsonl``: a line with the purpose of the store, then one for each finished block: the number of samples read until
  then, the number kept, which of the block are bad, and checksums of its crops, of its boxes and of the line,
* ``lock``: held by the process that writes.

A line of the log is written once its block is on the disk. What follows the last whole line doesn't count and is
written again, so a process may be killed at any moment. A store is complete when its log covers all samples. Before it is used
its checksums are compared: from the first block on that a disk, or somebody, has changed it is decoded again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from brule.data.samples import Box
from brule.errors import DataError
from brule.files import file_lock, parse_json

# Part of the names of stores: raise it when the same files would give other crops, or other files, than before.
STORE_VERSION = 4
# Samples from one line of the log to the next: about a second of work, which is what a killed process loses.
BLOCK = 512

_IMAGES, _BOXES, LOG, LOCK = "images.u8", "boxes.f4", "log.jsonl", "lock"
_BOX = np.dtype("<f4")
_CHUNK = 2**20  # bytes that a checksum is taken of at a time
_ATTEMPTS = 5  # at putting a store in its place where there are no locks
_ADVICE = "make room, or set the environment variable BRULE_CACHE to another folder"


class Done(NamedTuple):
    """How far a store is.

    Attributes:
        read: how many samples were decoded, good or bad.
        kept: how many of them are in the store.
        bad: index and reason of the others.
        log_end: offset of the next line in the log, in bytes.
        sums: CRC-32 of the crops and of the boxes of the last block.
    """

    read: int = 0
    kept: int = 0
    bad: tuple[tuple[int, str], ...] = ()
    log_end: int = 0
    sums: tuple[int, int] = (0, 0)


class Crops(NamedTuple):
    """What a complete store holds: ``images (n, size, size, 3)`` uint8, memory-mapped, and ``boxes (n, 4)``."""

    images: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True)
class Store:
    """The store in a folder, which may not be there yet.

    Args:
        folder: the folder.
        total: how many samples it is for.
        size: side of the crops in pixels.
    """

    folder: Path
    total: int
    size: int

    def done(self, *, verify: bool = False) -> Done:
        """What its finished blocks hold; nothing if there is no such store, or another one.

        Args:
            verify: read all of them and end before the first whose checksums differ.
        """
        done = Done()
        try:
            lines = (self.folder / LOG).read_bytes().splitlines(keepends=True)
            room = min(self._n_rows(_IMAGES, self._row), self._n_rows(_BOXES, 4 * _BOX.itemsize))
        except OSError:
            return done
        if not lines or lines[0] != self.head:
            return done
        done = Done(log_end=len(lines[0]))
        for line in lines[1:]:
            block = _block(line, done)
            if block is None or block.kept > room or block.read > self.total:
                break
            if verify and self._sums(done.kept, block.kept) != block.sums:
                break
            done = block
        return done

    def _sums(self, start: int, end: int) -> tuple[int, int]:
        """CRC-32 of the crops and of the boxes from row ``start`` to ``end``."""
        images = _crc32(self.folder / _IMAGES, start * self._row, end * self._row)
        return images, _crc32(self.folder / _BOXES, start * 4 * _BOX.itemsize, end * 4 * _BOX.itemsize)

    def open(self) -> Crops:
        """Its crops.

        Raises:
            DataError: it isn't complete, or has no crop at all.
        """
        done = self.done()
        shape = (done.kept, self.size, self.size, 3)
        try:
            if done.read < self.total:
                raise ValueError("a part is missing")
            images = np.memmap(self.folder / _IMAGES, dtype=np.uint8, mode="r", shape=shape)
            boxes = np.fromfile(self.folder / _BOXES, dtype=_BOX, count=4 * done.kept).reshape(done.kept, 4)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.folder}: the crops were written but can't be read back ({error}); is the disk full or damaged?"
            ) from error
        with contextlib.suppress(OSError):  # when it was used last; a folder that is read only does no harm
            os.utime(self.folder / LOG)
        return Crops(images, boxes.astype(np.float32, copy=False))

    @contextmanager
    def writer(self, waiting: Callable[[], object]) -> Iterator[Writer]:
        """Continues the store, in one process at a time.

        A store without a single crop is removed if writing ends in an error.

        Args:
            waiting: called again and again while another process writes.

        Raises:
            DataError: the folder can't be written, or has no room.
        """
        with contextlib.ExitStack() as stack:
            with _explained(self.folder.parent):
                if self.folder.is_file():
                    self.folder.unlink()
                held = stack.enter_context(file_lock(self.folder / LOCK, waiting=waiting))
                store = self if held else stack.enter_context(self._aside())
                writer = stack.enter_context(contextlib.closing(Writer(store)))
            try:
                yield writer
            except BaseException:
                if not store.done().kept:
                    writer.close()
                    remove(store.folder)
                raise

    @property
    def head(self) -> bytes:
        """The first line of the log."""
        return _line({"version": STORE_VERSION, "samples": self.total, "size": self.size})

    @property
    def _row(self) -> int:
        return self.size * self.size * 3

    def _n_rows(self, name: str, row: int) -> int:
        return (self.folder / name).stat().st_size // row

    @contextmanager
    def _aside(self) -> Iterator[Store]:
        """Where there are no locks: a folder of this process alone, which takes the store's place when it is complete."""
        own = Store(Path(tempfile.mkdtemp(prefix=f"{self.folder.name}-", dir=self.folder.parent)), self.total, self.size)
        try:
            yield own
            for _ in range(_ATTEMPTS):
                if self.done().read >= self.total or own.done().read < self.total:
                    break
                self._empty_unless_complete()
                with contextlib.suppress(OSError):  # another process was faster: with a store, or only with the lock's file
                    own.folder.rename(self.folder)
        finally:
            shutil.rmtree(own.folder, ignore_errors=True)

    def _empty_unless_complete(self) -> None:
        """Remove what is in the folder, but never what another process puts in its place meanwhile."""
        if os.unlink not in os.supports_dir_fd:
            remove(self.folder)
            return
        with contextlib.suppress(OSError):
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                if self.done().read < self.total:
                    for name in os.listdir(folder):
                        os.unlink(name, dir_fd=folder)
            finally:
                os.close(folder)


class Writer:
    """Writes crops to the end of a store.

    Args:
        store: the store; what follows its finished blocks is written over.

    Attributes:
        read: how many samples were taken, good or bad.
        kept: how many crops there are.
        bad: index and reason of the images that were bad before this writer started.

    Raises:
        DataError: there is no room for the rest.
    """

    def __init__(self, store: Store) -> None:
        done = store.done(verify=True)
        self._directory, self._total = store.folder.parent, store.total
        self.read, self.kept, self.bad = done.read, done.kept, done.bad
        self._committed = done.read
        self._block_bad: list[tuple[int, str]] = []
        self._sums = {_IMAGES: 0, _BOXES: 0}
        _check_room(store.folder, (store.total - done.read) * store._row)
        sizes = {_IMAGES: done.kept * store._row, _BOXES: done.kept * 4 * _BOX.itemsize, LOG: done.log_end}
        self._files = {name: _open_at(store.folder / name, size) for name, size in sizes.items()}
        self._files[LOG].truncate()
        if not done.log_end:
            self._files[LOG].write(store.head)

    def add(self, crop: np.ndarray, box: Box) -> None:
        """Write the crop of the next sample; :class:`DataError` if the disk is full or gone."""
        with _explained(self._directory):
            for name, data in ((_IMAGES, np.asarray(crop, dtype=np.uint8)), (_BOXES, np.asarray(box, dtype=_BOX))):
                content = data.tobytes()
                self._files[name].write(content)
                self._sums[name] = zlib.crc32(content, self._sums[name])
        self.kept += 1
        self._count()

    def reject(self, reason: str) -> None:
        """Note that the next sample is bad."""
        self._block_bad.append((self.read, reason))
        self._count()

    def commit(self) -> None:
        """Finish a block: everything written so far is kept, whatever happens later."""
        if self.read == self._committed:
            return
        with _explained(self._directory):
            for name in (_IMAGES, _BOXES):
                self._files[name].flush()
                if self.read == self._total:
                    self._files[name].truncate()
                os.fsync(self._files[name].fileno())
            block = {"read": self.read, "kept": self.kept, "bad": self._block_bad, "crc32": list(self._sums.values())}
            self._files[LOG].write(_line(block | {"line": _line_sum(block)}))
            self._files[LOG].flush()
        self._committed, self._block_bad, self._sums = self.read, [], {_IMAGES: 0, _BOXES: 0}

    def close(self) -> None:
        """Close the files; what isn't committed is lost."""
        for file in self._files.values():
            with contextlib.suppress(OSError):  # of a full disk: what was buffered isn't committed anyway
                file.close()

    def _count(self) -> None:
        self.read += 1
        if self.read - self._committed == BLOCK:
            self.commit()


def remove(folder: Path) -> None:
    """Remove a store's folder as far as that can be done; the lock last, so that nobody who gets it meets remains."""
    names = [path.name for path in folder.glob("*")]
    for name in sorted(names, key=lambda name: name == LOCK):
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _block(line: bytes, before: Done) -> Done | None:
    """What a line of the log adds to those before it; None if it is damaged."""
    try:
        content = parse_json(line)
        if content.pop("line") != _line_sum(content):
            return None
        read, kept = int(content["read"]), int(content["kept"])
        bad = before.bad + tuple((int(i), str(reason)) for i, reason in content["bad"])
        images, boxes = map(int, content["crc32"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not line.endswith(b"\n") or not read > before.read or kept < before.kept or kept + len(bad) != read:
        return None
    return Done(read, kept, bad, before.log_end + len(line), (images, boxes))


def _line_sum(content: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(content).encode())


def _crc32(path: Path, start: int, end: int) -> int:
    """That of a part of a file; of less where the file can't be read to there."""
    found = 0
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(start)
        while chunk := file.read(min(_CHUNK, end - file.tell())):
            found = zlib.crc32(chunk, found)
    return found


def _open_at(path: Path, size: int) -> Any:
    """A file open for writing from a place on; what follows is only written over, since somebody may have it mapped."""
    if size == 0:
        path.unlink(missing_ok=True)  # whoever has the old one mapped keeps it
        return path.open("wb")
    file = path.open("r+b")
    file.seek(size)
    return file


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder.parent}: {needed >> 20} MiB are needed there for the decoded images, {free >> 20} MiB are free; {_ADVICE}"
        )


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{directory}: decoded images can't be kept there ({error.strerror or error}); {_ADVICE}") from error
