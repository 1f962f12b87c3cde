"""DeepLabCut's CSV of labelled frames: rows of header (scorer, body parts, coords), then one row an image.

The image is named by one column with its path, or by three with its parts (``labeled-data``, video, file). Pixels count
from the centre of the first one. Missing points are empty cells.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from brule.data.formats.format import Format, SizeOf
from brule.data.formats.record import Annotation, Annotations, Problems, unless_numbers
from brule.data.formats.values import Table, cell, cells_point, csv_text, load_table, shown, text
from brule.data.samples import Layout
from brule.errors import DataError

_HEADERS = ("scorer", "individuals", "bodyparts", "coords")


def _recognises(table: Table) -> bool:
    head = table.head(1)
    return bool(head) and head[0][0].lower() == "scorer"


def _parse(path: Path, table: Table, size_of: SizeOf) -> Annotations:
    header = {row[0].lower(): row for row in table.head(len(_HEADERS)) if row[0].lower() in _HEADERS}
    if "coords" not in header or "bodyparts" not in header:
        raise DataError(f"{path}: expected header rows 'scorer', 'bodyparts' and 'coords', got {', '.join(header) or 'none'}")
    coords = [cell.lower() for cell in header["coords"]]
    first = next((column for column, cell in enumerate(coords) if cell == "x"), None)
    if first is None:
        raise DataError(f"{path}: no column 'x' in the row 'coords'")
    _refuse_animals(path, header.get("individuals", [])[first:])
    columns = _columns(path, header["bodyparts"], coords, first)
    names = tuple(columns)
    problems = Problems(path)
    items: dict[str, Annotation] = {}
    for position, row in enumerate(table.rows(), 1):
        if position <= len(header):
            continue
        where = f"{path}: row {position}"
        with problems.caught():
            image = text("/".join(cell for cell in row[:first] if cell), where, "the image's path")
            if image in items:
                raise DataError(f"{where}: {image} has a row already; expected one row an image")
            items[image] = Annotation(image, _points(f"{where} ({image})", row, columns))
    notes = []
    if "likelihood" in coords:
        notes.append("predicted points are read as if they were labelled (there are columns 'likelihood')")
    return Annotations(list(items.values()), Layout(unless_numbers(names)), problems, notes)


def _refuse_animals(path: Path, individuals: list[str]) -> None:
    if len(set(filter(None, individuals))) > 1:
        names = ", ".join(name[:60] for name in sorted(set(individuals))[:4])
        raise DataError(f"{path}: holds several animals ({names}); expected one an image")


def _columns(path: Path, parts: list[str], coords: list[str], first: int) -> dict[str, tuple[int, int]]:
    """The columns of x and y by the name of the landmark."""
    found: dict[str, dict[str, int]] = {}
    for column in range(first, len(coords)):
        if coords[column] not in ("x", "y"):
            continue
        name = text(parts[column] if column < len(parts) else "", f"{path}: column {column + 1}", "a body part")
        if coords[column] in found.setdefault(name, {}):
            raise DataError(f"{path}: two columns {coords[column]!r} of the body part {name!r}; expected one")
        found[name][coords[column]] = column
    if lame := [name for name, both in found.items() if len(both) != 2]:
        raise DataError(f"{path}: the body part {lame[0]!r} has no column for each of x and y")
    return {name: (both["x"], both["y"]) for name, both in found.items()}


def _points(where: str, row: list[str], columns: dict[str, tuple[int, int]]) -> np.ndarray:
    last = max(max(pair) for pair in columns.values())
    row = row + [""] * (last + 1 - len(row))
    points = [cells_point(row[x], row[y], f"{where}: {shown(name)}") for name, (x, y) in columns.items()]
    return np.array(points, dtype=np.float32)


def _dump(annotations: Annotations) -> str:
    count = annotations.n_points or 0
    names = annotations.names(count)
    rows = [
        ["scorer", *["brule"] * (2 * count)],
        ["bodyparts", *(name for name in names for _ in "xy")],
        ["coords", *["x", "y"] * count],
    ]
    if len({item.image for item in annotations.items}) < len(annotations):
        raise DataError("DeepLabCut's CSV holds one object an image; an image here has several")
    for item in annotations.items:
        points = item.points if item.points is not None else np.full((count, 2), np.nan)
        rows.append([item.image, *(cell(value) for value in points.ravel())])
    return csv_text(rows)


DLC = Format(
    name="dlc",
    title="DeepLabCut CSV",
    suffixes=(".csv",),
    load=load_table,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset({"images", "missing", "names", "unlabelled", "fractions"}),
)
