"""Plain CSV. Pixels count from the centre of the first one; an empty cell, ``nan`` or ``NA`` is a missing point.

Wide, one row an object: ``image,x0,y0,x1,y1,…`` or ``image,nose_x,nose_y,…``, if you like with ``left,top,right,bottom`` (box)
and ``width,height`` (of the image). Long, one row a point: ``image,point,x,y``. The wide form is written.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from brule.data.formats.format import FEATURES, Format, SizeOf
from brule.data.formats.record import Annotation, Annotations, NamedPoints, Problems, from_named, natural_order
from brule.data.formats.values import Table, box, cell, cells_point, csv_text, load_table, number, shown, size, text
from brule.data.samples import Box, Layout
from brule.errors import DataError

IMAGE = ("image", "path", "file", "filename", "image_path")
_POINT = ("point", "landmark", "name")
_BOX = ("left", "top", "right", "bottom")
_SIZE = ("width", "height")
_NUMBERED = re.compile(r"([xy])_?([0-9]{1,6})")
_NAMED = re.compile(r"(.+)[_. ]([xy])")


def _recognises(table: Table) -> bool:
    # 'path' begins the table of `brule predict`: predictions are read when asked for, never taken for labels by themselves.
    head = table.head(1)
    return bool(head) and head[0][0].lower() == "image"


def _parse(path: Path, table: Table, size_of: SizeOf) -> Annotations:
    head = next(iter(table.head(1)), [])
    columns = {name.lower(): column for column, name in reversed(list(enumerate(head)))}
    if not head or head[0].lower() not in IMAGE:
        raise DataError(f"{path}: expected a first row image,x0,y0,x1,y1,… or image,point,x,y")
    if twice := next((name for i, name in enumerate(head) if name in head[:i]), None):
        raise DataError(f"{path}: two columns are called {shown(twice)}; expected different names")
    point_column = next((columns[name] for name in _POINT if name in columns), None)
    if point_column is not None and "x" in columns and "y" in columns:
        return _parse_long(path, table, columns, point_column)
    return _parse_wide(path, table, head, columns)


def _parse_wide(path: Path, table: Table, head: list[str], columns: dict[str, int]) -> Annotations:
    pairs, names, unused = _point_columns(path, head)
    problems = Problems(path)
    items = []
    for position, row in enumerate(table.rows(), 1):
        if position == 1:
            continue
        where = f"{path}: row {position}"
        with problems.caught():
            if len(row) > len(head):
                raise DataError(f"{where}: has {len(row)} cells under {len(head)} column names; is the file damaged?")
            row = row + [""] * (len(head) - len(row))
            image = text(row[0], where, "an image's name")
            where = f"{where} ({image})"
            found = [cells_point(row[x], row[y], f"{where}: {head[x]}") for x, y in pairs]
            points = np.array(found, dtype=np.float32) if found else None
            known = size(*_cells(row, columns, _SIZE), where) if "width" in columns else None
            own = Annotation(image, points, _box(where, row, columns), known)
            items.append(own if own.labelled else Annotation(image, None, own.box, own.size))
    notes = [f"columns passed over: {', '.join(unused)}"] if unused else []
    return Annotations(items, Layout(names), problems, notes)


def _point_columns(path: Path, head: list[str]) -> tuple[list[tuple[int, int]], tuple[str, ...] | None, list[str]]:
    """The columns of x and y of every landmark, the landmarks' names, and the columns that are neither."""
    found: dict[str, dict[str, int]] = {}
    unused, numbered = [], True
    for column, name in enumerate(head[1:], 1):
        if name.lower() in (*_BOX, *_SIZE):
            continue
        if match := _NUMBERED.fullmatch(name.lower()):
            key, axis = str(int(match[2])), match[1]
        elif match := _NAMED.fullmatch(name):
            key, axis, numbered = text(match[1], f"{path}: first row", "a landmark's name"), match[2], False
        else:
            unused.append(name[:60])
            continue
        if axis in found.setdefault(key, {}):
            raise DataError(f"{path}: two columns hold {axis} of the landmark {key!r}; expected one")
        found[key][axis] = column
    if lame := [key for key, axes in found.items() if len(axes) != 2]:
        raise DataError(f"{path}: the landmark {lame[0]!r} has no column for each of x and y")
    keys = sorted(found, key=int) if numbered else list(found)
    if numbered and keys and [int(key) for key in keys] != list(range(int(keys[0]), int(keys[0]) + len(keys))):
        raise DataError(f"{path}: the columns x… and y… aren't numbered one after the other: {', '.join(keys[:8])}")
    pairs = [(found[key]["x"], found[key]["y"]) for key in keys]
    return pairs, None if numbered else tuple(keys), unused


def _parse_long(path: Path, table: Table, columns: dict[str, int], point_column: int) -> Annotations:
    problems = Problems(path)
    objects: dict[str, NamedPoints] = {}
    names: dict[str, None] = {}
    for position, row in enumerate(table.rows(), 1):
        if position == 1:
            continue
        with problems.caught():
            where = f"{path}: row {position}"
            row = row + [""] * (max(columns.values()) + 1 - len(row))
            image = text(row[0], where, "an image's name")
            name = text(row[point_column], where, "a point's name")
            names.setdefault(name)
            x, y = cells_point(row[columns["x"]], row[columns["y"]], where)
            one = objects.setdefault(image, NamedPoints(image))
            if np.isfinite((x, y)).all():
                one.add(name, (x, y), where)
            if "width" in columns:
                one.size = size(*_cells(row, columns, _SIZE), where)
            one.box = _box(where, row, columns)
    items, layout = from_named(list(objects.values()), natural_order(set(names)))
    return Annotations(items, layout, problems)


def _cells(row: list[str], columns: dict[str, int], names: tuple[str, str]) -> tuple[str | None, str | None]:
    first, second = (row[columns[name]] if name in columns else None for name in names)
    return first or None, second or None


def _box(where: str, row: list[str], columns: dict[str, int]) -> Box | None:
    cells = [row[columns[name]] for name in _BOX if name in columns]
    if not any(cells):
        return None
    if len(cells) != len(_BOX) or not all(cells):
        raise DataError(f"{where}: expected all of left, top, right and bottom of a box, or none of them")
    left, top, right, bottom = (number(value, where, f"a box's {name}") for value, name in zip(cells, _BOX, strict=True))
    return box((left, top, right, bottom), where)


def _dump(annotations: Annotations) -> str:
    count = annotations.n_points or 0
    names = annotations.layout.names
    axes = [f"{axis}{i}" for i in range(count) for axis in "xy"] if names is None else _headings(names)
    boxes = any(item.box is not None for item in annotations.items)
    sizes = any(item.size is not None for item in annotations.items)
    rows = [["image", *axes, *(_BOX if boxes else ()), *(_SIZE if sizes else ())]]
    for item in annotations.items:
        points = item.points if item.points is not None else np.full((count, 2), np.nan)
        cells = [item.image, *(cell(value) for value in points.ravel())]
        cells += (["", "", "", ""] if item.box is None else [cell(edge) for edge in item.box]) if boxes else []
        cells += (["", ""] if item.size is None else [str(side) for side in item.size]) if sizes else []
        rows.append(cells)
    return csv_text(rows)


def _headings(names: tuple[str, ...]) -> list[str]:
    return [f"{name}_{axis}" for name in names for axis in "xy"]


TABLE = Format(
    name="csv",
    title="plain CSV",
    suffixes=(".csv",),
    load=load_table,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset(FEATURES) - {"edges", "occluded", "curves", "scale"},
)
