"""Writing files so that nothing half-written is left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
