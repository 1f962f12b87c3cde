"""HDF5 files of DeepLabCut and SLEAP, read with h5py (extra ``hdf5``) into plain arrays.

Files come from strangers: nothing outside of a file is opened, nothing in it is unpickled, and no array is read whose size
isn't known to be bounded.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brule.data.formats.values import Table
from brule.errors import DataError
from brule.tables import csv_text

READABLE = importlib.util.find_spec("h5py") is not None
MAX_BYTES = 2**28  # of an array
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
    import h5py

    with _wrapped(path), h5py.File(path, "r") as file:
        names = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
        if "metadata" in names and set(_SLEAP) <= set(names):
            return _sleap(path, file)
        groups = [file[name] for name in names]
        frames = [
            group for group in groups if isinstance(group, h5py.Group) and _text(group.attrs.get("pandas_type")) == "frame"
        ]
        return _table(path, frames[0]) if len(frames) == 1 else None


@contextmanager
def _wrapped(path: Path) -> Iterator[None]:
    """Whatever h5py raises comes out as a DataError."""
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path}: an array in it is too large to be read") from error
    except Exception as error:  # OSError, KeyError, RuntimeError, TypeError, … by what is damaged
        first = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise DataError(f"{path}: not HDF5, or damaged ({first}); instead, {ADVICE}") from error


def _array(path: Path, group: Any, name: str) -> np.ndarray:
    """An array in a group, of the file itself and of a bounded size.

    Raises:
        DataError: it is elsewhere, or too large.
    """
    import h5py

    node = group[name]
    if not isinstance(group.get(name, getlink=True), h5py.HardLink) or not isinstance(node, h5py.Dataset):
        raise DataError(f"{path}: expected {name} to be an array")
    if node.is_virtual or node.external:
        raise DataError(f"{path}: keeps {name} in another file, which isn't opened")
    if node.size * max(node.dtype.itemsize, 1) > MAX_BYTES:
        raise DataError(f"{path}: {name} has {node.size:,} values, more than any annotation")
    return np.asarray(node[()])


def _table(path: Path, group: Any) -> Table | None:
    """A data frame that pandas wrote, as DeepLabCut's table; None for one with other columns."""
    columns, rows = _index(path, group, "axis0"), _index(path, group, "axis1")
    header = _DLC_HEADERS.get(len(columns[0]) if columns else 0)
    if header is None or columns[0][-1] not in ("x", "y", "likelihood"):
        return None
    place = {column: i for i, column in enumerate(columns)}
    if len(place) < len(columns):
        raise DataError(f"{path}: two columns are called {'/'.join(columns[0])} or the like; expected different ones")
    values = np.full((len(rows), len(columns)), np.nan)
    for block in range(int(group.attrs["nblocks"])):
        items = _index(path, group, f"block{block}_items")
        found = _array(path, group, f"block{block}_values").astype(np.float64)
        found = found if found.shape == (len(rows), len(items)) else found.T
        values[:, [place[item] for item in items]] = found
    first = max((len(row) for row in rows), default=1)
    head = [[name, *[""] * (first - 1), *(column[level] for column in columns)] for level, name in enumerate(header)]
    body = [[*row, *("" if np.isnan(one) else repr(float(one)) for one in own)] for row, own in zip(rows, values, strict=True)]
    return Table(path, csv_text([*head, *body]))


def _index(path: Path, group: Any, name: str) -> list[tuple[str, ...]]:
    """The entries of an index of pandas: their levels, one or several."""
    if _text(group.attrs.get(f"{name}_variety")) != "multi":
        return [(_text(one),) for one in _array(path, group, name).tolist()]
    levels = []
    for level in range(int(group.attrs[f"{name}_nlevels"])):
        known = [_text(one) for one in _array(path, group, f"{name}_level{level}").tolist()]
        levels.append(["" if one < 0 else known[one] for one in _array(path, group, f"{name}_label{level}").tolist()])
    return list(zip(*levels, strict=True))


def _sleap(path: Path, file: Any) -> SleapLabels:
    about = file["metadata"].attrs
    tables = {name: _array(path, file, name) for name in _SLEAP}
    for name, wanted in _SLEAP.items():
        if lacking := [one for one in wanted if one not in (tables[name].dtype.names or ())]:
            raise DataError(f"{path}: {name} has no column {lacking[0]!r}; instead, {ADVICE}")
    metadata = json.loads(_text(about["json"]))
    videos = [json.loads(_text(one)) for one in _array(path, file, "videos_json").tolist()] if "videos_json" in file else []
    if not isinstance(metadata, dict) or not all(isinstance(video, dict) for video in videos):
        raise DataError(f"{path}: expected objects as metadata and videos; instead, {ADVICE}")
    return SleapLabels(float(about.get("format_id", 1.0)), metadata, videos, tables)


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value.item()
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
