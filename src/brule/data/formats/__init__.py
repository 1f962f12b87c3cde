"""Annotation formats: one file each, and one line here. ``docs/formats.md`` has the table of what they hold.

:data:`FORMATS` are read and written, :data:`READABLE` are those and the ones that are only read.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brule.data.formats.coco import COCO
from brule.data.formats.cvat import CVAT
from brule.data.formats.dlc import DLC, DLC_HDF5
from brule.data.formats.format import Format, SizeOf
from brule.data.formats.hdf5 import READABLE as HAS_HDF5
from brule.data.formats.imagej import IMAGEJ
from brule.data.formats.imglab import IMGLAB
from brule.data.formats.labelme import LABELME
from brule.data.formats.labelstudio import LABELSTUDIO
from brule.data.formats.morphoj import MORPHOJ
from brule.data.formats.pts import PTS, read_pts, write_pts
from brule.data.formats.record import Annotation, Annotations
from brule.data.formats.sleap import SLEAP
from brule.data.formats.slicer import FCSV, SLICER
from brule.data.formats.supervisely import SUPERVISELY
from brule.data.formats.table import TABLE
from brule.data.formats.tps import TPS
from brule.data.formats.via import VIA
from brule.data.formats.yolo import YOLO
from brule.errors import ConfigError, DataError

# Of formats that share a suffix, the first that recognises a file has it: plain CSV recognises nearly any table.
FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        *(PTS, COCO, DLC, TPS, LABELME, CVAT, LABELSTUDIO, IMGLAB),
        *(YOLO, VIA, SUPERVISELY, SLICER, FCSV, IMAGEJ, MORPHOJ, TABLE),
    )
}
READABLE = FORMATS | ({format.name: format for format in (SLEAP, DLC_HDF5)} if HAS_HDF5 else {})
ANNOTATION_SUFFIXES = frozenset(suffix for format in READABLE.values() for suffix in format.suffixes)


def formats_of(path: Path) -> list[Format]:
    """The formats that are read and whose files have the suffix of this one."""
    return [format for format in READABLE.values() if path.suffix.lower() in format.suffixes]


def format_named(name: str, *, to_read: bool = False, also: Sequence[str] = ()) -> Format:
    """The format of a name, to write it, or ``to_read``.

    Args:
        name: of the format.
        also: further names that the message may propose.

    Raises:
        ConfigError: there is none.
    """
    known = READABLE if to_read else FORMATS
    if name not in known:
        only = f"{name} is only read; " if name in READABLE else ""
        names = dict.fromkeys([*also, *known])
        near = difflib.get_close_matches(name.lower(), names, n=1)
        meant = f", did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{only}expected a format, one of {', '.join(names)}; got {name!r}{meant}")
    return known[name]


def format_for(path: Path) -> Format:
    """The format to write a file in, by its suffix.

    Raises:
        ConfigError: no format, or several, have this suffix.
    """
    found = [format for format in FORMATS.values() if path.suffix.lower() in format.suffixes]
    if not found:
        suffixes = ", ".join(sorted({suffix for format in FORMATS.values() for suffix in format.suffixes}))
        raise ConfigError(f"{path}: expected a file that ends in {suffixes}, or the name of a format")
    if len(found) > 1:
        names = ", ".join(format.name for format in found)
        raise ConfigError(f"{path}: several formats end in {path.suffix.lower()}: choose one ({names})")
    return found[0]


def load(path: Path) -> tuple[Format | None, Any]:
    """Read an annotation file far enough to recognise its format, from the suffix and the content.

    Returns:
        The format, None if the file is of no known one, and the content for ``format.parse``.

    Raises:
        DataError: it can't be read, or is damaged.
    """
    candidates = formats_of(path)
    if not candidates:
        suffixes = ", ".join(sorted(ANNOTATION_SUFFIXES))
        raise DataError(f"{path}: expected an annotation ({suffixes}), got {path.suffix or 'no suffix'!r}")
    content = candidates[0].load(path)  # formats that share a suffix share the loader
    if len(candidates) == 1:
        return candidates[0], content
    return next((format for format in candidates if format.recognises(content)), None), content


__all__ = [
    "ANNOTATION_SUFFIXES",
    "FORMATS",
    "READABLE",
    "Annotation",
    "Annotations",
    "Format",
    "SizeOf",
    "format_for",
    "format_named",
    "formats_of",
    "load",
    "read_pts",
    "write_pts",
]
