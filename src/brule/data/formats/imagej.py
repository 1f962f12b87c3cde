"""ImageJ's table of results of a point or multi-point selection: the image under ``Label``, x and y from the image's corner.

The points of an image are landmarks in the order of the rows; ``NaN`` is a missing one, and so is a row that can't be
used. *Display label* has to be ticked under Analyze ▸ Set Measurements, or the rows name no image. A table in units of a
calibrated image is remarked on.

A label may continue: with the name of a selection of the ROI Manager, of which each is a point (``a.png:0453-0222``), and
with the slice of a stack (``a.tif:0453-0222:3``, ``a.tif:3``), of which each is an object.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import numpy as np

from brule.coordinates import from_corner, to_corner
from brule.data.formats.format import Format, SizeOf
from brule.data.formats.record import Annotation, Annotations, Problems
from brule.data.formats.values import Table, cell, cells_point, load_table, text
from brule.data.images import IMAGE_SUFFIXES
from brule.errors import DataError
from brule.tables import csv_text

_STACKS = (".tif", ".tiff", ".gif", ".avi")  # suffixes of files that may hold several pictures
_SUFFIXES = "|".join(sorted(re.escape(suffix) for suffix in {*IMAGE_SUFFIXES, *_STACKS}))
_OF_IMAGE = re.compile(rf"(.*?(?:{_SUFFIXES})):(.*)", re.IGNORECASE)
_SELECTION = re.compile(r"[0-9]{4,}-[0-9]{4,}(?:-[0-9]{4,})?")  # the name that ImageJ gives: y and x, before them the slice


def _head(table: Table) -> dict[str, int]:
    return {name.lower(): i for i, name in reversed(list(enumerate(next(iter(table.head(1)), []))))}


def _recognises(table: Table) -> bool:
    names = next(iter(table.head(1)), [])
    return bool(names) and not names[0].strip() and {"label", "x", "y"} <= _head(table).keys()


def _parse(path: Path, table: Table, size_of: SizeOf) -> Annotations:
    head = _head(table)
    if lacking := [name for name in ("Label", "X", "Y") if name.lower() not in head]:
        raise DataError(
            f"{path}: no column {lacking[0]!r}; expected ImageJ's results with Label, X and Y (tick 'Display label' and "
            "'Centroid' under Analyze, Set Measurements)"
        )
    columns = [head[name] for name in ("label", "x", "y")]
    problems = Problems(path)
    labels: dict[str, list[tuple[float, float]]] = {}
    for position, row in enumerate(islice(table.rows(), 1, None), 2):
        where = f"{path}: row {position}"
        label, x, y = (row[column] if column < len(row) else "" for column in columns)
        # Not caught: whose landmarks would be counted without this row?
        points = labels.setdefault(text(label, where, "an image's name under 'Label'"), [])
        points.append((np.nan, np.nan))  # a row that can't be used has its place in the order, too
        with problems.caught():
            points[-1] = cells_point(x, y, f"{where} ({label})")
    objects = _objects(labels)
    counts = {len(points) for _, points in objects}
    notes = [f"the images have {min(counts)} to {max(counts)} points"] if len(counts) > 1 else []
    items = [Annotation(name, from_corner(np.array(points, dtype=np.float64)).astype(np.float32)) for name, points in objects]
    return Annotations(items, problems=problems, notes=notes)


def _objects(labels: dict[str, list[tuple[float, float]]]) -> list[tuple[str, list[tuple[float, float]]]]:
    """Images and the points of their objects, from the points by label.

    Selections of one point each are the points of one object; one of several points is an object itself.
    """
    selections: dict[tuple[str, str], list[list[tuple[float, float]]]] = {}
    for label, points in labels.items():
        image, slice_, _ = _taken_apart(label)
        selections.setdefault((image, slice_), []).append(points)
    found = []
    for (image, _), own in selections.items():
        single = all(len(points) == 1 for points in own)
        found += [(image, points) for points in ([[points[0] for points in own]] if single else own)]
    return found


def _taken_apart(label: str) -> tuple[str, str, str]:
    """Image, slice and selection of a label; empty where it has none."""
    image, more = label, ""
    if match := _OF_IMAGE.fullmatch(label):
        image, more = match[1], match[2]
    elif _SELECTION.fullmatch(label.rpartition(":")[2]):
        image, _, more = label.rpartition(":")
    elif "/" not in label and "\\" not in label and "." in label.partition(":")[0]:
        image, _, more = label.partition(":")
    selection, _, last = more.rpartition(":")
    if selection or (last.isdecimal() and image.lower().endswith(_STACKS)):
        return image, last, selection
    return image, "", last


def _dump(annotations: Annotations) -> str:
    if len({item.image for item in annotations.items}) < len(annotations):
        raise DataError("ImageJ's results hold one object per image; an image here has several")
    rows = [[" ", "Label", "X", "Y"]]
    for item in annotations.items:
        for x, y in to_corner(item.points.astype(np.float64)).tolist() if item.points is not None else ():
            rows.append([str(len(rows)), item.image, cell(x) or "NaN", cell(y) or "NaN"])
    return csv_text(rows)


IMAGEJ = Format(
    name="imagej",
    title="ImageJ results",
    suffixes=(".csv", ".txt"),
    load=load_table,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset({"images", "missing", "fractions"}),
)
