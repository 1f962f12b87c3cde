"""Annotation formats: one file each, and one line here.

A reader takes the path of an annotation and returns ``(N, 2)`` float32 points in pixels; it raises
:class:`~brule.errors.DataError`, starting with the file's name, for anything that isn't right.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from brule.data.formats.pts import read_pts, write_pts
from brule.errors import DataError

READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".pts": read_pts,
}


def read_points(path: Path | str) -> np.ndarray:
    """Read one annotation file of any known format.

    Returns:
        ``(N, 2)`` float32 in pixels, the centre of the first pixel at (0, 0).

    Raises:
        DataError: the format isn't known, or the file is bad.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: expected an annotation ({', '.join(READERS)}), got {path.suffix or 'no suffix'!r}")
    return reader(path)


__all__ = ["READERS", "read_points", "read_pts", "write_pts"]
