"""DeepLabCut's CSV of labelled frames: rows of header (scorer, individuals, body parts, coords), then one row per image.

The image is named by one column with its path, or by three with its parts (``labeled-data``, video, file). Pixels count
from the centre of the first one. Missing points are empty cells. Of several animals, each that has a point is an
object; parts of the individual ``single`` belong to no animal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from brule.data.formats.format import Format, SizeOf
from brule.data.formats.hdf5 import load_hdf5
from brule.data.formats.marks import MissingMarks
from brule.data.formats.record import Annotation, Annotations, Problems, unless_numbers
from brule.data.formats.values import Table, cell, cells_point, load_table, shown, text
from brule.data.samples import Layout
from brule.errors import DataError
from brule.tables import csv_text

_HEADERS = ("scorer", "individuals", "bodyparts", "coords")
_UNIQUE = "single"  # the individual of parts that are there once in an image, whatever the animals

_Pairs = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class _Head:
    """The header rows: where the columns of points begin, those of each animal, and what is passed over."""

    rows: int
    first: int
    animals: dict[str, _Pairs]
    unique: list[str]
    predicted: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for pairs in self.animals.values() for name in pairs))


def _recognises(table: Table) -> bool:
    head = table.head(1)
    return bool(head) and head[0][0].lower() == "scorer"


def _parse(path: Path, table: Table, size_of: SizeOf) -> Annotations:
    head = _head(path, table)
    if head.predicted and (frames := _video(table, head)):
        what = f"predictions of the frames of a video ({', '.join(frames)}, …), not of image files; expected labelled images"
        return Annotations([], Layout(), [what], [what], predicted=True)
    problems, marks = Problems(path), MissingMarks()
    items: dict[str, list[Annotation]] = {}
    for position, row in enumerate(islice(table.rows(), head.rows, None), head.rows + 1):
        where = f"{path}: row {position}"
        with problems.caught():
            image = text("/".join(cell for cell in row[: head.first] if cell), where, "the image's path")
            if image in items:
                raise DataError(f"{where}: {image} has a row already; expected one row per image")
            items[image] = []
            items[image] = list(_objects(f"{where} ({image})", image, row, head=head, marks=marks))
    notes = marks.notes()
    if head.unique:
        notes.append(f"unique body parts, which belong to no animal, are passed over: {', '.join(head.unique[:10])}")
    if head.predicted:
        notes.append("predictions, not labels: there are columns 'likelihood'")
    layout = Layout(unless_numbers(head.names))
    return Annotations([one for own in items.values() for one in own], layout, problems, notes, predicted=head.predicted)


def _head(path: Path, table: Table) -> _Head:
    header = {row[0].lower(): row for row in table.head(len(_HEADERS)) if row[0].lower() in _HEADERS}
    if "coords" not in header or "bodyparts" not in header:
        raise DataError(f"{path}: expected header rows 'scorer', 'bodyparts' and 'coords', got {', '.join(header) or 'none'}")
    coords = [cell.lower() for cell in header["coords"]]
    first = next((column for column, cell in enumerate(coords) if cell == "x"), None)
    if first is None:
        raise DataError(f"{path}: no column 'x' in the row 'coords'")
    animals = _animals(path, header["bodyparts"], header.get("individuals", []), coords=coords, first=first)
    unique = list(animals.pop(_UNIQUE, {})) if len(animals) > 1 else []
    return _Head(len(header), first, animals, unique, "likelihood" in coords)


def _animals(path: Path, parts: list[str], individuals: list[str], *, coords: list[str], first: int) -> dict[str, _Pairs]:
    """The columns of x and y by the name of the landmark, for each animal."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for column in range(first, len(coords)):
        if coords[column] not in ("x", "y"):
            continue
        name = text(parts[column] if column < len(parts) else "", f"{path}: column {column + 1}", "a body part")
        own = found.setdefault(individuals[column] if column < len(individuals) else "", {}).setdefault(name, {})
        if coords[column] in own:
            raise DataError(f"{path}: two columns {coords[column]!r} of the body part {name!r}; expected one")
        own[coords[column]] = column
    lame = [name for animal in found.values() for name, both in animal.items() if len(both) != 2]
    if lame:
        raise DataError(f"{path}: the body part {lame[0]!r} lacks a column for x or y")
    return {animal: {name: (both["x"], both["y"]) for name, both in own.items()} for animal, own in found.items()}


def _video(table: Table, head: _Head) -> list[str]:
    """The first names of images where these are only numbers, as those of a video's frames are."""
    names = ["/".join(filter(None, row[: head.first])) for row in table.head(head.rows + 3)[head.rows :]]
    return names if names and all(name.isdigit() for name in names) else []


def _objects(where: str, image: str, row: list[str], *, head: _Head, marks: MissingMarks) -> Iterator[Annotation]:
    """An object for each animal that has a point; one without points if none has."""
    index = {name: i for i, name in enumerate(head.names)}
    labelled = False
    for pairs in head.animals.values():
        points = np.full((len(index), 2), np.nan, dtype=np.float32)
        for name, (x, y) in pairs.items():
            cells = [row[column] if column < len(row) else "" for column in (x, y)]
            place = cells_point(cells[0], cells[1], f"{where}: {shown(name)}")
            if not marks.missing(*place, f"{name} of {image}"):
                points[index[name]] = place
        if np.isfinite(points).all(axis=1).any():
            labelled = True
            yield Annotation(image, points)
    if not labelled:
        yield Annotation(image, np.full((len(index), 2), np.nan, dtype=np.float32))


def _dump(annotations: Annotations) -> str:
    count = annotations.n_points or 0
    names = annotations.names(count)
    images: dict[str, list[Annotation]] = {}
    for item in annotations.items:
        images.setdefault(item.image, []).append(item)
    animals = max(map(len, images.values()), default=1)
    rows = [
        ["scorer", *["brule"] * (2 * count * animals)],
        *([["individuals", *(f"m{i + 1}" for i in range(animals) for _ in range(2 * count))]] if animals > 1 else []),
        ["bodyparts", *[name for name in names for _ in "xy"] * animals],
        ["coords", *["x", "y"] * (count * animals)],
    ]
    missing = np.full((count, 2), np.nan)
    for image, own in images.items():
        points = [item.points if item.points is not None else missing for item in own] + [missing] * (animals - len(own))
        rows.append([image, *(cell(value) for one in points for value in one.ravel())])
    return csv_text(rows)


DLC = Format(
    name="dlc",
    title="DeepLabCut CSV",
    suffixes=(".csv",),
    load=load_table,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset({"images", "missing", "names", "several", "unlabelled", "fractions"}),
)


def _not_written(annotations: Annotations) -> str:
    raise DataError("DeepLabCut's HDF5 isn't written; write its CSV, which DeepLabCut converts (convertcsv2h5)")


DLC_HDF5 = replace(
    DLC,
    name="dlc-h5",
    title="DeepLabCut HDF5",
    suffixes=(".h5", ".hdf5"),
    load=load_hdf5,
    recognises=lambda content: isinstance(content, Table),
    dump=_not_written,
    holds=frozenset(),
)
