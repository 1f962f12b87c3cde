"""The arrays that DeepLabCut and SLEAP keep in an HDF5 file, read by a process of its own: ``python hdf5_arrays.py FILE``.

The HDF5 library may hang or crash on damaged files; then only this process does. It needs nothing of brule. Standard output
gets an ``.npz`` archive with the arrays and with ``facts``, JSON: ``{"kind": "sleap" | "frame" | "", …}`` or ``{"error": …}``.
Nothing outside of the file is opened, nothing in it is unpickled, all arrays together have at most :data:`MAX_BYTES`, and the
process takes at most :data:`MAX_MEMORY`.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

import numpy as np

MAX_BYTES = 2**28  # of all arrays; a small file may hold a large one that is compressed, and may hold it many times
MAX_MEMORY = 2**30
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # others take memory, and do nothing here
SLEAP = ("frames", "instances", "points", "pred_points")


class Unusable(Exception):
    """What is wrong with a file, in words for its user."""


class Room:
    """Bytes that are left for arrays."""

    def __init__(self) -> None:
        self.left = MAX_BYTES

    def take(self, node: Any, name: str) -> None:
        """Less of it, for an array.

        Raises:
            Unusable: it hasn't got so much.
        """
        self.left -= node.size * max(node.dtype.itemsize, 1)
        if self.left < 0:
            raise Unusable(f"{name} has {node.size:,} values, more than any annotation")


def read(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Facts and arrays of a file.

    Raises:
        Unusable: it holds what isn't read on purpose.
        Exception: whatever h5py raises on damage.
    """
    import h5py

    room = Room()
    with h5py.File(name, "r") as file:
        names = [one for one in file if isinstance(file.get(one, getlink=True), h5py.HardLink)]
        if {"metadata", *SLEAP} <= set(names):
            return _sleap(file, room)
        groups = [file[one] for one in names if isinstance(file[one], h5py.Group)]
        frames = [group for group in groups if _text(group.attrs.get("pandas_type")) == "frame"]
        return _frame(frames[0], room) if len(frames) == 1 else ({"kind": ""}, {})


def _array(group: Any, name: str, room: Room) -> np.ndarray:
    import h5py

    node = group[name]
    if not isinstance(group.get(name, getlink=True), h5py.HardLink) or not isinstance(node, h5py.Dataset):
        raise Unusable(f"expected {name} to be an array")
    if node.is_virtual or node.external:
        raise Unusable(f"keeps {name} in another file, which isn't opened")
    room.take(node, name)
    return np.asarray(node[()])


def _sleap(file: Any, room: Room) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    about = file["metadata"].attrs
    videos = [json.loads(_text(one)) for one in _array(file, "videos_json", room).tolist()] if "videos_json" in file else []
    facts = {"version": float(about.get("format_id", 1.0)), "metadata": json.loads(_text(about["json"])), "videos": videos}
    return {"kind": "sleap", **facts}, {name: _array(file, name, room) for name in SLEAP}


def _frame(group: Any, room: Room) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A data frame as pandas writes it: two indices, and blocks of columns of one type."""
    columns, rows = _index(group, "axis0", room), _index(group, "axis1", room)
    blocks = range(int(group.attrs["nblocks"]))
    items = [_index(group, f"block{block}_items", room) for block in blocks]
    arrays = {f"block{block}": _array(group, f"block{block}_values", room).astype(np.float64) for block in blocks}
    return {"kind": "frame", "columns": columns, "rows": rows, "items": items}, arrays


def _index(group: Any, name: str, room: Room) -> list[list[str]]:
    """The entries of an index: their levels, one or several."""
    if _text(group.attrs.get(f"{name}_variety")) != "multi":
        return [[_text(one)] for one in _array(group, name, room).tolist()]
    levels = []
    for level in range(int(group.attrs[f"{name}_nlevels"])):
        known = [_text(one) for one in _array(group, f"{name}_level{level}", room).tolist()]
        levels.append(["" if one < 0 else known[one] for one in _array(group, f"{name}_label{level}", room).tolist()])
    return [list(entry) for entry in zip(*levels, strict=True)]


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value.item()
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def archive(name: str) -> bytes:
    """What :func:`read` gives, or what went wrong, as an ``.npz`` archive."""
    arrays: dict[str, np.ndarray] = {}
    try:
        facts, arrays = read(name)
    except Unusable as error:
        facts = {"error": str(error)}
    except Exception as error:  # OSError, KeyError, RuntimeError, TypeError, … by what is damaged
        facts = {
            "error": f"not HDF5, or damaged ({(str(error).splitlines() or [type(error).__name__])[0][:100]})",
            "damaged": True,
        }
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, facts=np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8), **arrays)
    return content.getvalue()


def _limit_memory() -> None:
    """Of this process, where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))


if __name__ == "__main__":
    _limit_memory()
    sys.stdout.buffer.write(archive(sys.argv[1]))
