"""TPS, the text files of geometric morphometrics: ``LM=``, ``CURVES=``, ``IMAGE=``, ``ID=``, ``SCALE=``.

Points count from the lower left *corner* of the image, y pointing up, so the image's height is needed to read and to
write them. Points of curves are landmarks, joined by edges; the file holds them behind the others. Missing landmarks are
``NA NA``, or, as tpsDig writes them, negative in both coordinates.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from brule.coordinates import from_lower_corner, to_lower_corner
from brule.data.formats.format import Format, SizeOf, size_needed
from brule.data.formats.marks import MissingMarks
from brule.data.formats.record import Annotation, Annotations, Problems, square
from brule.data.formats.values import cells_point, load_text, number, shown, text, tidy
from brule.data.samples import Layout
from brule.errors import DataError

_KEY = re.compile(r"^\s*([A-Za-z][A-Za-z0-9_]*)\s*=(.*)$")
_LINE = "[\r\n]"


@dataclass
class _Specimen:
    where: str
    landmarks: list[tuple[float, float]] = field(default_factory=list)
    curves: list[list[tuple[float, float]]] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)


def _recognises(content: str) -> bool:
    return bool(re.match(r"\s*LM3?\s*=", content, re.IGNORECASE))


def _parse(path: Path, content: str, size_of: SizeOf) -> Annotations:
    problems, marks = Problems(path), MissingMarks()
    items, curves = [], []
    for specimen in _specimens(path, content):
        with problems.caught():
            items.append(_item(specimen, size_of, marks))
            curves.append(tuple(len(curve) for curve in specimen.curves))
    same = set(curves)
    notes = [] if len(same) < 2 else ["the specimens have different curves: they are read as plain landmarks"]
    notes += marks.notes()
    layout = Layout()
    if len(same) == 1 and any(curves[0]) and len({len(item.points) for item in items if item.points is not None}) == 1:
        found = _curves(len(items[0].points) - sum(curves[0]), curves[0])  # type: ignore[arg-type]
        layout = Layout(edges=tuple(edge for curve in found for edge in pairwise(curve)), curves=found)
    return Annotations(items, layout, problems, notes)


def _specimens(path: Path, content: str) -> Iterator[_Specimen]:
    lines = iter([(i, line) for i, line in enumerate(re.split(r"\r\n|\r|\n", content), 1) if line.strip()])
    one: _Specimen | None = None
    outline = False
    for position, line in lines:
        where = f"{path}: line {position}"
        match = _KEY.match(line)
        if match is None:
            raise DataError(f"{where}: expected KEY=value, got {shown(line.strip())}")
        key, value = match[1].upper(), match[2].strip()
        if key == "LM3":
            raise DataError(f"{where}: LM3=: points in space; expected points in a plane (LM=)")
        if key == "LM":
            if one is not None:
                yield one
            one, outline = _Specimen(where), False
            one.landmarks = _coordinates(where, value, lines)
        elif one is None:
            raise DataError(f"{where}: expected a TPS file, which begins with LM=, got {shown(line.strip())}")
        elif key == "POINTS":
            points = _coordinates(where, value, lines)
            if not outline:
                one.curves.append(points)
        else:
            outline = key == "OUTLINES" or (outline and key != "CURVES")
            one.keys[key] = value
    if one is None:
        raise DataError(f"{path}: expected a TPS file, which begins with LM=")
    yield one


def _coordinates(where: str, count: str, lines: Iterator[tuple[int, str]]) -> list[tuple[float, float]]:
    wanted = number(count, where, "the number of points")
    if wanted != int(wanted) or not 0 <= wanted <= 1e6:
        raise DataError(f"{where}: expected the number of points, got {shown(count)}")
    points: list[tuple[float, float]] = []
    for _ in range(int(wanted)):
        _, line = next(lines, (0, ""))
        cells = [_decimal_point(cell) for cell in line.split()]
        if len(cells) != 2 or "=" in line:
            what = f"number {len(points) + 1} is {shown(line.strip())}" if line else f"the file ends after {len(points)}"
            raise DataError(f"{where}: expected {int(wanted)} lines 'x y', but {what}")
        x, y = cells_point(cells[0], cells[1], f"{where}: point {len(points) + 1}")
        points.append((math.nan, math.nan) if x < 0 and y < 0 else (x, y))
    return points


def _decimal_point(cell: str) -> str:
    return cell.replace(",", ".") if "." not in cell and cell.count(",") == 1 else cell


def _item(specimen: _Specimen, size_of: SizeOf, marks: MissingMarks) -> Annotation:
    where = specimen.where
    scale = _scale(specimen.keys.get("SCALE"), f"{where}: SCALE")
    if specimen.keys.get("IMAGE"):
        image = text(specimen.keys["IMAGE"], where, "an image's name")
        width, height = size_of(image)
    elif _shapes_alone(size_of):
        image, width, height = "", 0, 0
    else:
        image, (width, height) = _of_id(specimen, size_of)
    known = (width, height) if width else None  # the height alone doesn't matter where only shapes are wanted
    points = [*specimen.landmarks, *(one for curve in specimen.curves for one in curve)]
    if not points:
        return Annotation(image, size=known, spacing=square(scale))
    array = np.array(points, dtype=np.float64)
    for i, (x, y) in enumerate(points):
        if marks.missing(x, y, f"landmark {i + 1} of {image or specimen.keys.get('ID', 'a specimen')}"):
            array[i] = np.nan
    return Annotation(
        image, from_lower_corner(array, height).astype(np.float32), size=known, spacing=square(scale), upwards=True
    )


def _of_id(specimen: _Specimen, size_of: SizeOf) -> tuple[str, tuple[int, int]]:
    """The image that ID= names, and its size: programs such as geomorph write no IMAGE=.

    Raises:
        DataError: no image is called so.
    """
    name = specimen.keys.get("ID", "")
    try:
        return text(name, specimen.where), size_of(name)
    except DataError as error:
        raise DataError(
            f"{specimen.where}: the specimen has no IMAGE=, and no image is called {shown(name)} like its ID=; add IMAGE= with "
            "its file name, or use the file as --shapes"
        ) from error


def _shapes_alone(size_of: SizeOf) -> bool:
    """Whether images don't matter: sizes are then zero."""
    try:
        return size_of("") == (0, 0)
    except DataError:
        return False


def _scale(value: str | None, where: str) -> float | None:
    if not value:
        return None
    found = number(_decimal_point(value), where, "a scale")
    if found < 0:
        raise DataError(f"{where}: expected the length of a pixel, above 0, got {shown(value)}; correct it, or remove the line")
    return found or None


def _curves(start: int, counts: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """The landmarks on each curve, one curve behind the other."""
    ends = list(accumulate(counts, initial=start))
    return tuple(tuple(range(a, b)) for a, b in pairwise(ends))


def _held_curves(annotations: Annotations) -> tuple[tuple[int, ...], ...]:
    """The curves, if they hold the last landmarks one after the other; none otherwise.

    A file lists the points of curves after all others. Curves elsewhere would change the order of the landmarks, and programs
    that read only ``LM=`` would miss some of them.
    """
    curves = annotations.layout.curves
    along = [index for curve in curves for index in curve]
    counts = {len(item.points) for item in annotations.items if item.points is not None}
    trailing = len(counts) == 1 and along == list(range(max(counts) - len(along), max(counts)))
    return curves if trailing else ()


def _dump(annotations: Annotations) -> str:
    curves = _held_curves(annotations)
    on_curves = sum(map(len, curves))
    lines = []
    for position, item in enumerate(annotations.items):
        if item.points is None:
            continue
        if re.search(_LINE, item.image):
            raise DataError(f"TPS can't hold the name {shown(item.image)}, which has a line break")
        height = size_needed(item.size, item.image, "TPS")[1]
        points = [_line(x, y) for x, y in to_lower_corner(item.points.astype(np.float64), height).tolist()]
        landmarks = points[: len(points) - on_curves]
        lines += [f"LM={len(landmarks)}", *landmarks]
        lines += [f"CURVES={len(curves)}"] if curves else []
        for curve in curves:
            lines += [f"POINTS={len(curve)}", *(points[k] for k in curve)]
        lines += [f"IMAGE={item.image}", f"ID={position}"]
        lines += [f"SCALE={item.scale!r}"] if item.scale is not None else []
    return "\n".join(lines) + "\n"


def _line(x: float, y: float) -> str:
    if math.isnan(x) or math.isnan(y):
        return "NA NA"
    if x < 0 and y < 0:
        raise DataError(f"TPS can't hold the point ({x:g}, {y:g}), left of the image and below it: it would count as missing")
    return f"{tidy(x)} {tidy(y)}"


TPS = Format(
    name="tps",
    title="TPS",
    suffixes=(".tps",),
    load=load_text,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset({"images", "missing", "several", "fractions", "curves", "scale"}),
    unable=lambda annotations: set() if _held_curves(annotations) else {"curves"},
)
