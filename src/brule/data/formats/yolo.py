"""YOLO-pose: one text file per image, one line per object: class, box (centre and size), x, y and perhaps visibility of points.

All lengths are fractions of the image's size, from its corner. Images are those of the same name in the same folder, or
in the folder ``images`` in the place of ``labels``. ``data.yaml`` above states ``kpt_shape`` and perhaps names
(``kpt_names``); without it, the number of columns decides. Boxes that are just those of the landmarks are no boxes of
their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from brule.coordinates import box_edges, image_box, pixels_to_unit, unit_to_pixels
from brule.data.formats.format import Format, SizeOf, size_needed
from brule.data.formats.grouping import outside_notes
from brule.data.formats.record import Annotation, Annotations, Problems, unless_numbers
from brule.data.formats.values import Table, load_table, load_text, number, shown, text
from brule.data.images import IMAGE_SUFFIXES, image_size
from brule.data.samples import Box, Layout, landmark_box
from brule.errors import DataError

_BOX_COLUMNS = 5  # class and box
_NAMES = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
_LEVELS = 4  # folders above the file
_ROUNDING = 2e-3  # of the longer side: tools write four digits or more
_SAMPLE_LINES = 20  # lines


@dataclass(frozen=True)
class _Shape:
    """How many points an object has, how many numbers per point, and what ``data.yaml`` calls them."""

    count: int
    numbers: int
    names: tuple[str, ...] | None = None
    edges: tuple[tuple[int, int], ...] = ()


def _recognises(table: Table) -> bool:
    lines = table.text.split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES]
    rows = [line.split() for line in lines if line.strip()]
    if not rows:
        return "labels" in table.path.parts or _stated_file(table.path) is not None
    return all(len(row) >= _BOX_COLUMNS and row[0].isdigit() and len(row[0]) < 5 and _are_numbers(row) for row in rows)


def _are_numbers(cells: list[str]) -> bool:
    try:
        return all(abs(float(cell)) < 1e30 for cell in cells)
    except ValueError:
        return False


def _parse(path: Path, table: Table, size_of: SizeOf) -> Annotations:
    image, size = _image(path, table, size_of)
    rows = [line.split() for line in table.text.splitlines() if line.strip()]
    if not rows:
        return Annotations([Annotation(image, size=size)])
    if short := next((i for i, row in enumerate(rows, 1) if len(row) < _BOX_COLUMNS), None):
        got = shown(" ".join(rows[short - 1]))
        raise DataError(f"{path}: line {short}: expected a class, a box of four numbers, and points, got {got}")
    stated = _stated(path)
    shape, predicted = _shape(path, stated, rows)
    problems, items = Problems(path), []
    for position, row in enumerate(rows, 1):
        with problems.caught():
            items.append(_item(f"{path}: line {position}", row, image, size=size, shape=shape))
    if shape.numbers == 2 and "kpt_shape" not in stated:
        _refuse_outlines(path, items, rows)
    kinds = sorted({row[0] for row in rows})
    if len(kinds) > 1:
        raise DataError(
            f"{path}: holds objects of several classes ({', '.join(kinds[:4])}); split it into a file for each class"
        )
    notes = ["predictions, not labels: each line ends with a confidence"] if predicted else []
    notes += outside_notes((item.image, item.points, item.box) for item in items)
    layout = Layout(shape.names, shape.edges, kind=_kind(stated, kinds[0]))
    return Annotations(items, layout, problems, notes, predicted=predicted)


def _refuse_outlines(path: Path, items: list[Annotation], rows: list[list[str]]) -> None:
    """Refuse YOLO's outlines, lines of a class and corners, which begin as if with a box.

    Raises:
        DataError: lines differ in length, or most objects reach out of what would be their box.
    """
    uneven = len({len(row) for row in rows}) > 1
    outside = sum(bool(outside_notes([(item.image, item.points, item.box)])) for item in items)
    if uneven or 2 * outside > len(items):
        found = "of different lengths" if uneven else "with points outside of what would be their box"
        raise DataError(
            f"{path}: expected keypoints (class, box, points), got lines {found}: are these outlines (YOLO-seg)? Export "
            "YOLO-pose, or put kpt_shape: [points, 2 or 3] into data.yaml above it"
        )


def _image(path: Path, table: Table, size_of: SizeOf) -> tuple[str, tuple[int, int]]:
    """The image of the same name, as seen from the file, and its size."""
    found = [file for folder, up in _image_folders(path) for file in _same_name(folder, path.stem, up)]
    for name in [f"{path.stem}{suffix}" for suffix in sorted(IMAGE_SUFFIXES)] if not found else ():
        size = _size_or_none(size_of, name)
        if size is not None:
            return name, size
    if not found:
        empty = "" if table.text.strip() else "the file is empty, and "
        raise DataError(
            f"{path}: {empty}no image {path.stem}.png, .jpg, … in this folder or in 'images' in the place of 'labels'; "
            "YOLO's fractions need its size"
        )
    image = found[0]
    size = size_of(image)
    return image, size if 0 not in size else image_size(path.parent / image)


def _size_or_none(size_of: SizeOf, name: str) -> tuple[int, int] | None:
    try:
        size = size_of(name)
    except DataError:
        return None
    return None if 0 in size else size


def _image_folders(path: Path) -> list[tuple[Path, str]]:
    """Where the image may be, and the way there from the file's folder."""
    parts = path.parent.parts
    places = [(path.parent, "")]
    if "labels" in parts:
        last = len(parts) - 1 - parts[::-1].index("labels")
        below = parts[last + 1 :]
        up = "/".join([".."] * (len(below) + 1) + ["images", *below])
        places.insert(0, (Path(*parts[:last], "images", *below), f"{up}/"))
    elif path.parent.name != "images":
        places.append((path.parent.parent / "images", "../images/"))
    return places


def _same_name(folder: Path, stem: str, up: str) -> list[str]:
    names = [f"{stem}{suffix}" for suffix in sorted(IMAGE_SUFFIXES)]
    return [f"{up}{name}" for one in names for name in (one, stem + one[len(stem) :].upper()) if (folder / name).is_file()]


def _stated_file(path: Path) -> Path | None:
    for folder in list(path.absolute().parents)[:_LEVELS]:
        for name in _NAMES:
            if (folder / name).is_file():
                return folder / name
    return None


def _stated(path: Path) -> dict[str, Any]:
    """What ``data.yaml`` states; empty without one."""
    found = _stated_file(path)
    if found is None:
        return {}
    try:
        content = yaml.load(load_text(found), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: {found.name} above it can't be read ({str(error).splitlines()[0][:80]}); expected YAML"
        ) from error
    return content if isinstance(content, dict) else {}


def _shape(path: Path, stated: dict[str, Any], rows: list[list[str]]) -> tuple[_Shape, bool]:
    """The shape of the points, and whether a confidence follows them."""
    widths = {len(row) for row in rows}
    width = min(widths)
    given = stated.get("kpt_shape")
    if given is None:
        count, numbers, extra = _guessed(rows, width - _BOX_COLUMNS)
    else:
        fine = isinstance(given, list) and len(given) == 2 and all(isinstance(one, int) for one in given)
        if not fine or not 0 < given[0] < 1e5 or given[1] not in (2, 3):
            raise DataError(f"{path}: expected kpt_shape: [points, 2 or 3] in data.yaml, got {shown(given)}")
        count, numbers = given
        extra = width - _BOX_COLUMNS - count * numbers
        if width == _BOX_COLUMNS:
            count = extra = 0  # boxes without points
    if extra not in (0, 1):
        raise DataError(
            f"{path}: expected {_BOX_COLUMNS + count * numbers} numbers per line (class, box and {count} points of {numbers}), "
            f"got {width}"
        )
    return _Shape(count, numbers, _names(stated, count), _edges(stated, count)), extra == 1


def _guessed(rows: list[list[str]], width: int) -> tuple[int, int, int]:
    """Points, numbers per point and what is left, if no ``kpt_shape`` is stated."""
    for extra in (0, 1):
        left = width - extra
        flags = [cell for row in rows for cell in row[_BOX_COLUMNS + 2 : _BOX_COLUMNS + left : 3]]
        if (
            left % 3 == 0
            and left
            and all(cell in ("0", "1", "2", "0.0", "1.0", "2.0", "0.000000", "1.000000", "2.000000") for cell in flags)
        ):
            return left // 3, 3, extra
        if left % 2 == 0:
            return left // 2, 2, extra
    return 0, 2, width


def _names(stated: dict[str, Any], count: int) -> tuple[str, ...] | None:
    names = stated.get("kpt_names") or stated.get("keypoint_names")
    if isinstance(names, dict) and names:
        names = next(iter(names.values()))
    if not isinstance(names, list) or len(names) != count or len(set(map(str, names))) != count:
        return None
    return unless_numbers([text(str(name), "data.yaml: kpt_names") for name in names])


def _edges(stated: dict[str, Any], count: int) -> tuple[tuple[int, int], ...]:
    pairs = stated.get("skeleton")
    fine = [
        (pair[0], pair[1])
        for pair in (pairs if isinstance(pairs, list) else [])
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(end, int) and 0 <= end < count for end in pair)
    ]
    return tuple(fine)


def _kind(stated: dict[str, Any], number_: str) -> str:
    names = stated.get("names")
    found = names.get(int(number_)) if isinstance(names, dict) else None
    if isinstance(names, list) and int(number_) < len(names):
        found = names[int(number_)]
    return found if isinstance(found, str) and found.strip() else "object"


def _item(where: str, row: list[str], image: str, *, size: tuple[int, int], shape: _Shape) -> Annotation:
    values = np.array([number(cell, where) for cell in row[1 : _BOX_COLUMNS + shape.count * shape.numbers]])
    if len(values) != _BOX_COLUMNS - 1 + shape.count * shape.numbers:
        raise DataError(f"{where}: has {len(row)} numbers, fewer than the other lines; is the file cut off?")
    box, points = values[:4], values[4:].reshape(shape.count, shape.numbers)
    if np.abs(values[:4]).max() > 2 or (len(points) and np.abs(points[:, :2]).max() > 3):
        raise DataError(
            f"{where}: expected fractions of the image's size, 0 to 1, got {np.abs(values).max():g}; are these pixels?"
        )
    if min(box[2:]) <= 0:
        raise DataError(f"{where}: expected a box with an area, got one {box[2]:g} wide and {box[3]:g} high")
    corners = np.array([box[:2] - box[2:] / 2, box[:2] + box[2:] / 2])
    (left, top), (right, bottom) = unit_to_pixels(corners, image_box(*size)).tolist()
    own: Box = (left, top, right, bottom)
    if shape.count == 0:
        return Annotation(image, box=own, size=size)
    there = (points[:, :2] != 0).any(axis=1) if shape.numbers == 2 else points[:, 2] > 0
    places = unit_to_pixels(points[:, :2], image_box(*size)).astype(np.float32)
    places[~there] = np.nan
    hidden = (points[:, 2] == 1) & there if shape.numbers == 3 else np.zeros(shape.count, dtype=bool)
    if not there.any():
        return Annotation(image, box=own, size=size)
    return Annotation(image, places, None if _is_landmark_box(own, places) else own, size, hidden if hidden.any() else None)


def _is_landmark_box(box: Box, points: np.ndarray) -> bool:
    found = _box_of(points)
    side = max(found[2] - found[0], found[3] - found[1])
    return float(np.abs(np.subtract(found, box)).max()) <= _ROUNDING * side


def _box_of(points: np.ndarray) -> Box:
    """The box of landmarks, never without an area: YOLO wants one."""
    try:
        left, top, right, bottom = landmark_box(points)
    except DataError:  # all in one place
        left, top = right, bottom = np.nanmean(points, axis=0).tolist()
    wide, high = max(1.0, right - left), max(1.0, bottom - top)
    x, y = (left + right) / 2, (top + bottom) / 2
    return x - wide / 2, y - high / 2, x + wide / 2, y + high / 2


def _dump(annotations: Annotations) -> str:
    lines = []
    for item in annotations.items:
        if item.points is None and item.box is None:
            continue
        size = size_needed(item.size, item.image, "YOLO")
        left, top, right, bottom = box_edges(item.box if item.box is not None else _box_of(np.asarray(item.points)))
        box = [(left + right) / 2 / size[0], (top + bottom) / 2 / size[1], (right - left) / size[0], (bottom - top) / size[1]]
        points = item.points if item.points is not None else np.full((annotations.n_points or 0, 2), np.nan)
        hidden = item.occluded if item.occluded is not None else np.zeros(len(points), dtype=bool)
        cells = [f"{value:.9f}" for value in box]
        for (x, y), behind in zip(
            pixels_to_unit(points.astype(np.float64), image_box(*size)).tolist(), hidden.tolist(), strict=True
        ):
            there = np.isfinite((x, y)).all()
            cells += [f"{x:.9f}", f"{y:.9f}", "1" if behind else "2"] if there else ["0", "0", "0"]
        lines.append(" ".join(["0", *cells]))
    return "".join(f"{line}\n" for line in lines)


def _companions(annotations: Annotations) -> dict[str, str]:
    count = annotations.n_points or 0
    content = {
        "path": ".",
        "train": "images",
        "val": "images",
        "kpt_shape": [count, 3],
        "names": {0: annotations.layout.kind},
        "kpt_names": {0: annotations.names(count)},
        "skeleton": [list(edge) for edge in annotations.layout.edges],
    }
    return {"data.yaml": yaml.safe_dump(content, allow_unicode=True, sort_keys=False)}


YOLO = Format(
    name="yolo",
    title="YOLO-pose",
    suffixes=(".txt",),
    load=load_table,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    companions=_companions,
    holds=frozenset({"images", "missing", "boxes", "names", "edges", "occluded", "several", "fractions"}),
    one_image=True,
)
