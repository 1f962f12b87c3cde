"""What stores of decoded crops there are in a folder, and clearing them."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from brule.data.crop_store import LOCK, LOG, Store, remove
from brule.files import file_lock, parse_json

# The second kind is what a process left that was killed where there are no locks, the last what versions before 3 left.
_NAME = re.compile(r"\d+px-[0-9a-f]{24}(-\w+)?|\.building-\w+")


@dataclass(frozen=True)
class StoreInfo:
    """What a store's folder alone reveals.

    Attributes:
        folder: the folder.
        n_bytes: how large it is on the disk.
        used: when it was used last, seconds since 1970.
        samples: how many samples it is for; 0 if another version of brule made it.
        read: how many of them were decoded.
    """

    folder: Path
    n_bytes: int
    used: float
    samples: int = 0
    read: int = 0


def list_stores(directory: Path) -> list[StoreInfo]:
    """The stores in a folder, the largest first: complete, unfinished, and what older versions left; nothing else."""
    found = []
    for folder in sorted(directory.glob("*")):
        with contextlib.suppress(OSError):  # somebody cleared it just now
            if _NAME.fullmatch(folder.name) and folder.is_dir():
                found.append(_info(folder))
    return sorted(found, key=lambda info: -info.n_bytes)


def clear_store(folder: Path) -> bool:
    """Remove a store; returns whether that was done: not while a process writes it.

    Processes that read it keep what they have open.
    """

    def busy() -> None:
        raise BlockingIOError

    try:
        with file_lock(folder / LOCK, waiting=busy):
            remove(folder)
    except OSError:
        return False
    return not folder.exists()


def _info(folder: Path) -> StoreInfo:
    files = [path.stat() for path in folder.glob("*")]
    n_bytes = sum(file.st_size for file in files)
    used = max([folder.stat().st_mtime, *(file.st_mtime for file in files)])
    try:
        with (folder / LOG).open("rb") as file:
            head = parse_json(file.readline())
        store = Store(folder, int(head["samples"]), int(head["size"]))
        if min(store.total, store.size) < 1:
            raise ValueError("no store has no size")
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return StoreInfo(folder, n_bytes, used)
    return StoreInfo(folder, n_bytes, used, store.total, store.done().read)
