"""HDF5 files of DeepLabCut and SLEAP, read with h5py (extra ``hdf5``) in a process of its own."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brule.data.formats import hdf5_arrays
from brule.data.formats.values import Table
from brule.errors import DataError
from brule.tables import csv_text

READABLE = importlib.util.find_spec("h5py") is not None
MAX_SECONDS = 8.0  # for a small file; on damaged ones the library may never end
_stuck_in: set[tuple[str, int, int]] = set()  # path, size and time of files in which it did; several steps may read one
_BYTES_PER_SECOND = 2**22  # a large one has more time: slow disks read faster than this
ADVICE = "give DeepLabCut's CSV of the same name, or export COCO from SLEAP (`sio convert labels.slp -o labels.json --to coco`)"

_DLC_HEADERS = {3: ("scorer", "bodyparts", "coords"), 4: ("scorer", "individuals", "bodyparts", "coords")}
_SLEAP = {
    "frames": ("video", "frame_idx", "instance_id_start", "instance_id_end"),
    "instances": ("instance_type", "skeleton", "point_id_start", "point_id_end"),
    "points": ("x", "y", "visible"),
    "pred_points": ("x", "y", "visible"),
}


@dataclass(frozen=True, eq=False)
class SleapLabels:
    """What a SLEAP file holds.

    Args:
        version: of the layout (``format_id``).
        metadata: skeletons and the names of nodes.
        videos: each with its ``backend``.
        tables: structured arrays ``frames``, ``instances``, ``points`` and ``pred_points``.
    """

    version: float
    metadata: dict[str, Any]
    videos: list[dict[str, Any]]
    tables: dict[str, np.ndarray]


def load_hdf5(path: Path) -> Table | SleapLabels | None:
    """The content of an HDF5 file: DeepLabCut's table, SLEAP's labels, or None for anything else.

    Raises:
        DataError: h5py isn't installed, or the file is damaged.
    """
    if not READABLE:
        raise DataError(f"{path}: HDF5 needs the package h5py: pip install 'brule-landmarks[hdf5]'; or {ADVICE}")
    if not path.is_file():
        raise DataError(f"{path}: expected an annotation, but there is no such file")
    with np.load(io.BytesIO(_archive(path)), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    facts = json.loads(arrays.pop("facts").tobytes())
    if (error := facts.get("error")) is not None:
        raise DataError(f"{path}: {error}" + (f"; instead, {ADVICE}" if facts.get("damaged") else ""))
    if facts["kind"] == "sleap":
        return _sleap(path, facts, arrays)
    return _table(path, facts, arrays) if facts["kind"] == "frame" else None


def seconds_for(path: Path) -> float:
    """How long reading a file may take."""
    return MAX_SECONDS + path.stat().st_size / _BYTES_PER_SECOND


def _archive(path: Path) -> bytes:
    """The arrays of a file as an archive, by :mod:`brule.data.formats.hdf5_arrays` in a process of its own.

    Raises:
        DataError: the process crashed, or took too long.
    """
    stuck = f"{path}: damaged, the HDF5 library gets stuck in it; instead, {ADVICE}"
    status = path.stat()
    own = (os.path.abspath(path), status.st_size, status.st_mtime_ns)
    if own in _stuck_in:
        raise DataError(stuck)
    command = [sys.executable, hdf5_arrays.__file__, str(path)]
    environment = os.environ | hdf5_arrays.ONE_THREAD
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=seconds_for(path), check=False
        )
    except subprocess.TimeoutExpired as error:
        _stuck_in.add(own)
        raise DataError(stuck) from error
    if done.returncode or not done.stdout:
        raise DataError(f"{path}: damaged, the HDF5 library fails on it; instead, {ADVICE}")
    return done.stdout


def _table(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Table | None:
    """A data frame that pandas wrote, as DeepLabCut's table; None for one with other columns."""
    columns, rows = [tuple(column) for column in facts["columns"]], facts["rows"]
    header = _DLC_HEADERS.get(len(columns[0]) if columns else 0)
    if header is None or columns[0][-1] not in ("x", "y", "likelihood"):
        return None
    place = {column: i for i, column in enumerate(columns)}
    if len(place) < len(columns):
        raise DataError(f"{path}: two columns have one name; expected different ones")
    values = np.full((len(rows), len(columns)), np.nan)
    for block, items in enumerate(facts["items"]):
        found = arrays[f"block{block}"]
        found = found if found.shape == (len(rows), len(items)) else found.T
        if found.shape != (len(rows), len(items)) or any(tuple(item) not in place for item in items):
            raise DataError(f"{path}: damaged, a block of {found.shape} values isn't that of its columns; instead, {ADVICE}")
        values[:, [place[tuple(item)] for item in items]] = found
    first = max((len(row) for row in rows), default=1)
    head = [[name, *[""] * (first - 1), *(column[level] for column in columns)] for level, name in enumerate(header)]
    body = [[*row, *("" if np.isnan(one) else repr(float(one)) for one in own)] for row, own in zip(rows, values, strict=True)]
    return Table(path, csv_text([*head, *body]))


def _sleap(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> SleapLabels:
    for name, wanted in _SLEAP.items():
        if arrays[name].ndim != 1 or (lacking := [one for one in wanted if one not in (arrays[name].dtype.names or ())]):
            what = f"column {lacking[0]!r}" if arrays[name].ndim == 1 else "rows"
            raise DataError(f"{path}: {name} has no {what}; instead, {ADVICE}")
    metadata, videos = facts["metadata"], facts["videos"]
    if not isinstance(metadata, dict) or not all(isinstance(video, dict) for video in videos):
        raise DataError(f"{path}: expected objects as metadata and videos; instead, {ADVICE}")
    return SleapLabels(facts["version"], metadata, videos, dict(arrays))
