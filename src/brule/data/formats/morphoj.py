"""MorphoJ's text files: one row per specimen, an identifier and then x and y of every landmark, with tabs or commas.

y points up, as in the TPS and digitiser files that MorphoJ reads, from the lower left corner of the image. As shapes
they need no image; as labels, the identifier has to be the name of one.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from brule.coordinates import from_lower_corner, to_lower_corner
from brule.data.formats.format import Format, SizeOf, size_needed
from brule.data.formats.record import Annotation, Annotations, Problems
from brule.data.formats.values import Table, load_table, point, text, tidy
from brule.errors import DataError

_SAMPLE_ROWS = 5  # rows


def _recognises(table: Table) -> bool:
    rows = table.head(_SAMPLE_ROWS)
    if len(rows) < 2 or len(rows[0]) < 5 or len(rows[0]) % 2 == 0:
        return False
    heads = [name.lower() for name in rows[0]]
    axes = [f"{axis}{i}" for i in range(1, len(heads) // 2 + 1) for axis in "xy"]
    return heads[0] in ("id", "identifier", "specimen", "") and heads[1:] == axes


def _parse(path: Path, table: Table, size_of: SizeOf) -> Annotations:
    head = next(iter(table.head(1)), [])
    if not head:
        raise DataError(f"{path}: the file is empty; expected an identifier and then x and y of each landmark, row by row")
    if len(head) < 3 or len(head) % 2 == 0:
        raise DataError(f"{path}: expected an identifier and then x and y of each landmark, got {len(head)} columns")
    problems, items = Problems(path), []
    for position, row in enumerate(islice(table.rows(), _header_rows(head), None), 1 + _header_rows(head)):
        where = f"{path}: row {position}"
        with problems.caught():
            image = text(row[0], where, "an identifier")
            if len(row) != len(head):
                raise DataError(f"{where} ({image}): expected {len(head)} cells, got {len(row)}")
            width, height = size_of(image)
            places = np.array([point(x, y, f"{where} ({image})") for x, y in zip(row[1::2], row[2::2], strict=True)])
            points = from_lower_corner(places, height).astype(np.float32)
            items.append(Annotation(image, points, size=(width, height) if width else None, upwards=True))
    return Annotations(items, problems=problems)


def _header_rows(head: list[str]) -> int:
    try:
        float(head[1])
    except ValueError:
        return 1
    return 0


def _dump(annotations: Annotations) -> str:
    count = annotations.n_points or 0
    lines = ["\t".join(["ID", *(f"{axis}{i}" for i in range(1, count + 1) for axis in "xy")])]
    for item in annotations.items:
        if item.points is None:
            continue
        if not np.isfinite(item.points).all():
            raise DataError(f"MorphoJ can't hold missing points, and {item.image or 'a specimen'} lacks one; leave it out")
        if any(sign in item.image for sign in "\t\r\n"):
            raise DataError(f"MorphoJ can't hold the name {item.image!r}, which has a tab or a line break")
        height = size_needed(item.size, item.image, "MorphoJ")[1]
        values = to_lower_corner(item.points.astype(np.float64), height).ravel()
        lines.append("\t".join([item.image, *(str(tidy(value)) for value in values)]))
    return "\n".join(lines) + "\n"


MORPHOJ = Format(
    name="morphoj",
    title="MorphoJ",
    suffixes=(".txt",),
    load=load_table,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset({"images", "several", "fractions"}),
    whole=True,
)
