"""Plain CSV. Pixels count from the centre of the first one; an empty cell, ``nan`` or ``NA`` is a missing point.

Wide, one row per object: ``image,x0,y0,x1,y1,…`` or ``image,nose_x,nose_y,…``, if you like with
``left,top,right,bottom`` (box) and ``width,height`` (of the image). Long, one row per point: ``image,point,x,y``, the box
in one of an object's rows or in all. The wide form is written. Other headings are understood too
(:mod:`brule.data.formats.columns`), among them those of ml-morph, which counts y from the lower edge; and the points of
makesense.ai, which writes no headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from brule.data.formats.columns import BOX, PIXEL, SIZE, Columns, columns_of, lacking, looks_like_file
from brule.data.formats.format import FEATURES, Format, SizeOf
from brule.data.formats.grouping import outside_notes
from brule.data.formats.marks import MissingMarks
from brule.data.formats.record import Annotation, Annotations, NamedPoints, Problems, from_named, natural_order
from brule.data.formats.values import Table, box, cell, cells_point, load_table, number, shown, size, text
from brule.data.samples import Box, Layout
from brule.errors import DataError
from brule.tables import csv_text

_SAMPLE_ROWS = 5  # rows
_TRIED = 20  # rows whose image is looked for
_Value = TypeVar("_Value")
_HEADLESS = ("landmark", "x", "y", "image", "width", "height")  # as makesense.ai writes points, without a first row
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_EXPECTED = "expected a first row image,x0,y0,x1,y1,… or image,nose_x,nose_y,… or image,point,x,y"


def _recognises(table: Table) -> bool:
    head, *rows = table.head(1 + _SAMPLE_ROWS) or [[]]
    try:
        columns = _columns(table, "")
    except DataError:  # of this format, and broken
        return bool(head) and head[0].lower() == "image"
    image = columns.image
    if image is None or not (columns.pairs or columns.xy or columns.box):
        return False
    # Which names of images lack a suffix, and which are no images at all, shows where the images are looked for.
    points = bool(columns.pairs) or (columns.xy is not None and columns.point is not None)
    return columns.certain or points or any(len(row) > image and looks_like_file(row[image]) for row in rows)


def _columns(table: Table, where: str) -> Columns:
    """The columns by the first row, or those that makesense.ai writes without one.

    Raises:
        DataError: as for :func:`columns_of`.
    """
    rows = table.head(1 + _SAMPLE_ROWS) or [[]]
    headless = all(len(row) == len(_HEADLESS) and _is_point_of_file(row) for row in rows)
    return replace(columns_of(_HEADLESS, where), headless=True) if headless else columns_of(rows[0], where)


def _is_point_of_file(row: list[str]) -> bool:
    numbers = (row[1], row[2], row[4], row[5])
    return looks_like_file(row[3]) and all(_NUMBER.fullmatch(one) for one in numbers)


def _parse(path: Path, table: Table, size_of: SizeOf) -> Annotations:
    head = next(iter(table.head(1)), [])
    columns = _columns(table, str(path))
    if columns.image is None or not (columns.pairs or columns.xy or columns.box):
        raise DataError(f"{path}: {lacking(head)}; {_EXPECTED}, got {', '.join(head[:4])[:80]}")
    if not columns.certain and not _names_images(table, columns.image, size_of):
        heading = repr(columns.head[columns.image]) if columns.head[columns.image] else "without a heading"
        what = f"a table whose first column, {heading}, names no image that is here; if it does, call it 'image'"
        return Annotations(problems=[what], notes=[what], predicted=True)
    marks = MissingMarks()
    if columns.xy is not None and not columns.pairs:
        found = _parse_long(path, table, columns, marks=marks)
    else:
        found = _parse_wide(path, table, columns, size_of=size_of, marks=marks)
    found.notes.extend(marks.notes())
    found.notes.extend(outside_notes((item.image, item.points, item.box) for item in found.items))
    return found


def _names_images(table: Table, column: int, size_of: SizeOf) -> bool:
    """Whether one of the first cells of a column looks like a file, or names an image without its suffix."""
    cells = [row[column] for row in table.head(1 + _TRIED)[1:] if len(row) > column and row[column].strip()]
    return any(map(looks_like_file, cells[:_SAMPLE_ROWS])) or any(_is_there(cell, size_of) for cell in cells)


def _is_there(image: str, size_of: SizeOf) -> bool:
    try:
        size_of(image)
    except DataError:
        return False
    return True


def _parse_wide(path: Path, table: Table, columns: Columns, *, size_of: SizeOf, marks: MissingMarks) -> Annotations:
    problems = Problems(path)
    items = []
    for where, row in _rows(path, table, columns):
        with problems.caught():
            items.append(_item(where, _filled(where, row, columns), columns, size_of=size_of, marks=marks))
    return Annotations(items, Layout(columns.names), problems, _notes(columns), predicted=bool(columns.predicted))


def _notes(columns: Columns) -> list[str]:
    """What the columns show, and which of them nothing is made of."""
    notes = []
    if columns.predicted:
        notes.append(f"predictions, not labels: there is a column {columns.predicted[0]!r}")
    elif columns.unused:
        more = f" and {len(columns.unused) - 10} more" if len(columns.unused) > 10 else ""
        notes.append(f"columns passed over: {', '.join(name or '(no name)' for name in columns.unused[:10])}{more}")
    if columns.upwards:
        notes.append(
            "y is counted from the lower edge upwards, as in ml-morph's tables (id,X1,Y1…); if not, name the first column image"
        )
    return notes


def _rows(path: Path, table: Table, columns: Columns) -> Iterator[tuple[str, list[str]]]:
    """The rows below the headings, with the words for errors."""
    headings = 0 if columns.headless else 1
    for position, row in enumerate(islice(table.rows(), headings, None), 1 + headings):
        yield f"{path}: row {position}", row


def _filled(where: str, row: list[str], columns: Columns) -> list[str]:
    """A row with a cell for each column."""
    width = len(columns.head)
    if len(row) > width:
        raise DataError(f"{where}: has {len(row)} cells under {width} column names; is the file damaged?")
    return row + [""] * (width - len(row))


def _item(where: str, row: list[str], columns: Columns, *, size_of: SizeOf, marks: MissingMarks) -> Annotation:
    image = text(row[columns.image or 0], where, "an image's name")
    where = f"{where} ({image})"
    height = size_of(image)[1] if columns.upwards else 0
    points = np.full((len(columns.pairs), 2), np.nan, dtype=np.float32)
    for i, (x, y) in enumerate(columns.pairs):
        place = cells_point(row[x], row[y], f"{where}: {columns.head[x]}")
        if not marks.missing(*place, f"{columns.names[i] if columns.names else i} of {image}"):
            points[i] = (place[0], height - place[1]) if columns.upwards else place
    known = size(row[columns.size[0]] or None, row[columns.size[1]] or None, where) if columns.size else None
    if columns.upwards and known is None and height:
        known = size_of(image)
    spacing = _spacing(where, row, columns)
    own = Annotation(
        image, points if len(points) else None, _box(where, row, columns), known, spacing=spacing, upwards=columns.upwards
    )  # fmt: skip
    return own if own.labelled else Annotation(image, None, own.box, own.size, spacing=spacing)


def _parse_long(path: Path, table: Table, columns: Columns, *, marks: MissingMarks) -> Annotations:
    problems = Problems(path)
    objects: dict[tuple[str, str], _LongObject] = {}
    names: dict[str, None] = {}
    x_column, y_column = columns.xy or (0, 0)
    for where, cells in _rows(path, table, columns):
        with problems.caught() if columns.point is not None else nullcontext():
            # Not caught where points are counted: whose would be counted without this row?
            one = _object_of(where, cells, columns, objects=objects)
            name = str(one.count) if columns.point is None else ""
            one.count += 1  # a row that can't be used has its place in the order, too
            with problems.caught():
                row = _filled(where, cells, columns)
                one.add_stated(where, row, columns)
                name = name or text(row[columns.point or 0], where, "a point's name")
                names.setdefault(name)
                x, y = cells_point(row[x_column], row[y_column], where)
                missing = not np.isfinite((x, y)).all() or marks.missing(x, y, f"{name} of {one.points.image}")
                one.points.mark(name, None if missing else (x, y), where)
    kept = [one for one in objects.values() if one.whole and not one.unclear]
    numbers = range(max((one.count for one in kept), default=0)) if columns.point is None else ()
    items, layout = from_named([one.points for one in kept], natural_order({*names, *map(str, numbers)}))
    items = [replace(item, spacing=one.spacing) for item, one in zip(items, kept, strict=True)]
    return Annotations(items, layout, problems, _notes(columns), predicted=bool(columns.predicted))


@dataclass
class _LongObject:
    """The rows of one object of a long table.

    Args:
        points: the object.
        spacing: millimetres per pixel along x and y, if they state it.
        count: how many they are.
        whole: whether one of them at least has its cells.
        unclear: whether they disagree on the object.
    """

    points: NamedPoints
    spacing: tuple[float, float] | None = None
    count: int = 0
    whole: bool = False
    unclear: bool = False

    def add_stated(self, where: str, row: list[str], columns: Columns) -> None:
        """Take up what a row states of the whole object, which may be in any of its rows, or in several alike.

        Raises:
            DataError: it states something else than a row before; the object can't be used then.
        """
        self.whole = True
        where = f"{where} ({self.points.image})"
        try:
            known = size(row[columns.size[0]] or None, row[columns.size[1]] or None, where) if columns.size else None
            self.points.size = _agreed(self.points.size, known, f"{where}: the image's size")
            self.points.box = _agreed(self.points.box, _box(where, row, columns), f"{where}: the box")
            self.spacing = _agreed(self.spacing, _spacing(where, row, columns), f"{where}: the size of a pixel")
        except DataError:
            self.unclear = True
            raise


def _agreed(known: _Value | None, stated: _Value | None, what: str) -> _Value | None:
    if known is not None and stated is not None and known != stated:
        raise DataError(
            f"{what} differs between rows of one object, {shown(known)} and {shown(stated)}; correct one, or tell objects of "
            "an image apart by a column 'object'"
        )
    return known if stated is None else stated


def _object_of(where: str, row: list[str], columns: Columns, *, objects: dict[tuple[str, str], _LongObject]) -> _LongObject:
    """The object that a row is of, however broken the rest of the row."""
    image, own = (row[one] if one is not None and one < len(row) else "" for one in (columns.image, columns.object))
    image = text(image, where, "an image's name")
    return objects.setdefault((image, own), _LongObject(NamedPoints(image)))


def _box(where: str, row: list[str], columns: Columns) -> Box | None:
    if columns.box is None:
        if lone := [name for name in columns.head if name.lower() in BOX and any(row)]:
            raise DataError(
                f"{where}: expected all of left, top, right and bottom of a box, or none of them; got {', '.join(lone)}"
            )
        return None
    cells = [row[column] for column in columns.box]
    if not any(cells):
        return None
    if not all(cells):
        raise DataError(f"{where}: expected all of left, top, right and bottom of a box, or none of them")
    left, top, right, bottom = (number(value, where, f"a box's {name}") for value, name in zip(cells, BOX, strict=True))
    return box((left, top, left + right, top + bottom) if columns.cornered else (left, top, right, bottom), where)


def _spacing(where: str, row: list[str], columns: Columns) -> tuple[float, float] | None:
    """Millimetres per pixel along x and y."""
    cells = [row[column] for column in columns.pixel or ()]
    if not any(cells):
        return None
    width, height = (number(value, where, name) for value, name in zip(cells, PIXEL, strict=True))
    if min(width, height) <= 0:
        raise DataError(f"{where}: expected {' and '.join(PIXEL)} above 0, got {', '.join(cells)}")
    return width, height


def _dump(annotations: Annotations) -> str:
    count = annotations.n_points or 0
    names = annotations.layout.names
    axes = [f"{axis}{i}" for i in range(count) for axis in "xy"] if names is None else _headings(names)
    boxes = any(item.box is not None for item in annotations.items)
    sizes = any(item.size is not None for item in annotations.items)
    scales = any(item.spacing is not None for item in annotations.items)
    rows = [["image", *axes, *(BOX if boxes else ()), *(SIZE if sizes else ()), *(PIXEL if scales else ())]]
    for item in annotations.items:
        points = item.points if item.points is not None else np.full((count, 2), np.nan)
        cells = [item.image, *(cell(value) for value in points.ravel())]
        cells += (["", "", "", ""] if item.box is None else [cell(edge) for edge in item.box]) if boxes else []
        cells += (["", ""] if item.size is None else [str(side) for side in item.size]) if sizes else []
        cells += (["", ""] if item.spacing is None else list(map(repr, item.spacing))) if scales else []
        rows.append(cells)
    return csv_text(rows)


def _headings(names: tuple[str, ...]) -> list[str]:
    return [f"{name}_{axis}" for name in names for axis in "xy"]


TABLE = Format(
    name="csv",
    title="plain CSV",
    suffixes=(".csv", ".tsv", ".txt"),
    load=load_table,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset(FEATURES) - {"edges", "occluded", "curves"},
)
