"""3D Slicer's markups of a plain picture: ``.mrk.json``, and ``.fcsv`` of older versions; the image is that of the same name.

Positions are in space. For a picture without a size of its pixels, Slicer puts column and row into x and y of LPS, the
centre of the first pixel at 0; in RAS, x and y have the other sign. Points that aren't in one plane z are refused.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brule.data.formats.format import Format, SizeOf
from brule.data.formats.record import Annotations, NamedPoints, from_named
from brule.data.formats.values import Table, as_dict, as_list, load_json, load_table, number, shown, text, tidy
from brule.data.images import IMAGE_SUFFIXES
from brule.errors import DataError

_SCHEMA = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"
_FCSV = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
_ENDINGS = (".mrk.json", ".fcsv", ".json")

_Placed = tuple[str, tuple[float, float, float]]


def _recognises(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("markups"), list)


def _recognises_fcsv(table: Table) -> bool:
    return "Markups fiducial file" in table.text[:200] or "# CoordinateSystem" in table.text[:400]


def _parse(path: Path, content: Any, size_of: SizeOf) -> Annotations:
    content = as_dict(content, str(path), "markups")
    found: list[_Placed] = []
    order: list[str] = []
    for position, markup in enumerate(as_list(content.get("markups"), f"{path}: markups", "markups"), 1):
        where = f"{path}: markup {position}"
        markup = as_dict(markup, where, "a markup")
        sign = _sign(markup.get("coordinateSystem", "LPS"), where)
        for number_, one in enumerate(as_list(markup.get("controlPoints"), f"{where}: controlPoints", "points"), 1):
            one = as_dict(one, f"{where}: point {number_}", "a point")
            name = text(one.get("label"), f"{where}: point {number_}", "a 'label'")
            order.append(name)
            if one.get("positionStatus", "defined") != "defined":
                continue
            place = [number(value, where) for value in as_list(one.get("position"), f"{where}: {name}", "x, y, z")]
            if len(place) != 3:
                raise DataError(f"{where}: {name}: expected x, y and z, got {shown(place)}")
            found.append((name, (sign * place[0], sign * place[1], place[2])))
    return _annotations(path, found, order)


def _parse_fcsv(path: Path, table: Table, size_of: SizeOf) -> Annotations:
    sign, columns = -1.0, _FCSV.split(",")  # RAS where nothing is stated, as in the oldest files
    found: list[_Placed] = []
    for position, row in enumerate(csv.reader(io.StringIO(table.text, newline="")), 1):
        where = f"{path}: line {position}"
        if row and row[0].startswith("#"):
            key, _, value = ",".join(row).lstrip("# ").partition("=")
            if key.strip() == "CoordinateSystem":
                sign = _sign(value.strip(), where)
            elif key.strip() == "columns":
                columns = [name.strip() for name in value.split(",")]
        elif any(row):
            cells = dict(zip(columns, row, strict=False))
            name = text(cells.get("label") or cells.get("id"), where, "a 'label'")
            x, y, z = (number(cells.get(axis), f"{where}: {name}", axis) for axis in "xyz")
            found.append((name, (sign * x, sign * y, z)))
    if not found:
        raise DataError(f"{path}: holds no points; expected markups of 3D Slicer with at least one")
    return _annotations(path, found, [name for name, _ in found])


def _sign(system: object, where: str) -> float:
    """The sign of x and y against LPS."""
    signs = {"LPS": 1.0, "1": 1.0, "RAS": -1.0, "0": -1.0}
    if str(system) not in signs:
        raise DataError(f"{where}: expected the coordinate system LPS or RAS, got {shown(system)}")
    return signs[str(system)]


def _annotations(path: Path, found: Sequence[_Placed], order: Sequence[str]) -> Annotations:
    heights = {round(z, 3) for _, (_, _, z) in found}
    if len(heights) > 1:
        raise DataError(
            f"{path}: points in space (z from {min(heights):g} to {max(heights):g}); expected points in a plane, of a picture"
        )
    one = NamedPoints(_image(path))
    for name in order:
        one.mark(name, None, str(path))
    for name, (x, y, _) in found:
        one.add(name, (x, y), str(path))
    items, layout = from_named([one], list(dict.fromkeys(order)))
    return Annotations(items, layout)


def _image(path: Path) -> str:
    """The image of the same name beside the file."""
    stem = next((path.name[: -len(ending)] for ending in _ENDINGS if path.name.lower().endswith(ending)), path.stem)
    names = [f"{stem}{suffix}" for suffix in sorted(IMAGE_SUFFIXES)]
    names += [stem + name[len(stem) :].upper() for name in names]
    return next((name for name in names if (path.parent / name).is_file()), stem)


def _placed(annotations: Annotations) -> list[tuple[str, tuple[float, float] | None]]:
    (item,) = annotations.items
    if item.points is None:
        raise DataError(f"3D Slicer's markups can't hold an image without landmarks ({item.image})")
    places = [(tidy(x), tidy(y)) if np.isfinite((x, y)).all() else None for x, y in item.points.tolist()]
    return list(zip(annotations.names(len(places)), places, strict=True))


def _dump(annotations: Annotations) -> str:
    points = [
        {
            "id": str(i),
            "label": name,
            "position": [*(place or (0.0, 0.0)), 0.0],
            "positionStatus": "defined" if place else "missing",
        }
        for i, (name, place) in enumerate(_placed(annotations), 1)
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": points}
    return json.dumps({"@schema": _SCHEMA, "markups": [markup]}, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _dump_fcsv(annotations: Annotations) -> str:
    head = f"# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n# columns = {_FCSV}\n"
    rows = [
        [str(i), str(place[0]), str(place[1]), "0", "0", "0", "0", "1", "1", "1", "0", name, "", ""]
        for i, (name, place) in enumerate(_placed(annotations), 1)
        if place is not None
    ]
    # No spreadsheet opens these files, so names need no apostrophe against formulas.
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(rows)
    return head + lines.getvalue()


SLICER = Format(
    name="slicer",
    title="3D Slicer markups",
    suffixes=(".json",),
    load=load_json,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    file_name="{stem}.mrk.json",
    holds=frozenset({"images", "missing", "names", "fractions"}),
    one_image=True,
)

FCSV = Format(
    name="fcsv",
    title="3D Slicer .fcsv",
    suffixes=(".fcsv",),
    load=load_table,
    recognises=_recognises_fcsv,
    parse=_parse_fcsv,
    dump=_dump_fcsv,
    holds=frozenset({"images", "names", "fractions"}),
    one_image=True,
)
