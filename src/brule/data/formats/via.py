"""VGG Image Annotator (VIA) 2: JSON exports and projects, and CSV exports; regions of an image with attributes.

Point regions have ``cx`` and ``cy`` in pixels. The landmark is the attribute whose values differ within an image; if no
point of the file has an attribute, points are landmarks in their order. The attribute ``object`` groups regions. A project
states the landmarks' order as the options of its attribute. A project is written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from brule.coordinates import box_edges, box_from_edges
from brule.data.formats.format import FEATURES, Format, SizeOf
from brule.data.formats.grouping import Grouping, LooseBox, Mark, outside_notes
from brule.data.formats.marks import MissingMarks
from brule.data.formats.outlines import OtherShapes, outline_notes
from brule.data.formats.record import Annotation, Annotations, NamedPoints, Outline, Problems, from_named
from brule.data.formats.values import Table, as_dict, box, load_content, number, point, shown, text, tidy
from brule.data.samples import Layout
from brule.errors import DataError
from brule.files import parse_json

_GROUPS = ("object", "object_id", "group", "instance")
_METADATA = "_via_img_metadata"
_COLUMNS = ("filename", "region_shape_attributes", "region_attributes")

_Region = tuple[dict[str, Any], dict[str, Any]]  # shape and attributes


def _recognises(content: Any) -> bool:
    if isinstance(content, Table):
        head = [name.lstrip("#") for name in next(iter(content.head(1)), [])]
        return set(_COLUMNS) <= set(head)
    if not isinstance(content, dict):
        return False
    if isinstance(content.get(_METADATA), dict):
        return True
    first = next(iter(content.values()), None)
    return isinstance(first, dict) and "regions" in first and "filename" in first


def _parse(path: Path, content: Any, size_of: SizeOf) -> Annotations:
    problems = Problems(path)
    images = list(_of_table(path, content, problems) if isinstance(content, Table) else _of_json(path, content, problems))
    attribute = _attribute(images)
    stated, layout = _stated(content, attribute)
    objects: list[NamedPoints] = []
    grouping, marks, others = Grouping(), MissingMarks(), OtherShapes()
    numbered = attribute is None
    for name, regions in images:
        with problems.caught():
            found = _Image(f"{path}: {name}", name, attribute, missing=marks)
            for shape, own in regions:
                if not found.add(shape, own):
                    others.note(shape.get("name"), next((one for one in own.values() if isinstance(one, str)), None))
            objects += found.objects(grouping)
    if numbered:
        stated = [str(i) for i in range(max((len(one.points) + len(one.missing) for one in objects), default=0))]
    items, layout = from_named(objects, stated, layout)
    notes = outline_notes(objects, others, "points nor rectangles") + grouping.notes() + marks.notes()
    notes += outside_notes((item.image, item.points, item.box) for item in items)
    return Annotations(items, layout, problems, notes)


def _of_json(path: Path, content: Any, problems: Problems) -> Iterator[tuple[str, list[_Region]]]:
    content = as_dict(content, str(path), "VIA's annotations")
    content = as_dict(content.get(_METADATA, content), f"{path}: {_METADATA}", "images")
    for key, entry in content.items():
        with problems.caught():
            where = f"{path}: {shown(key)}"
            entry = as_dict(entry, where, "an image")
            name = text(entry.get("filename"), where, "a 'filename'")
            regions = entry.get("regions") or []
            own = list(regions.values()) if isinstance(regions, dict) else regions
            if not isinstance(own, list):
                raise DataError(f"{where}: regions: expected a list, got {shown(own)}")
            yield name, [_region(f"{where}: region {i + 1}", one) for i, one in enumerate(own)]


def _region(where: str, region: object) -> _Region:
    region = as_dict(region, where, "a region")
    shape = as_dict(region.get("shape_attributes"), f"{where}: shape_attributes", "a shape")
    return shape, as_dict(region.get("region_attributes") or {}, f"{where}: region_attributes", "attributes")


def _of_table(path: Path, table: Table, problems: Problems) -> Iterator[tuple[str, list[_Region]]]:
    head = [name.lstrip("#") for name in next(iter(table.head(1)), [])]
    if lacking := [name for name in _COLUMNS if name not in head]:
        raise DataError(f"{path}: expected VIA's table with the columns {', '.join(_COLUMNS)}; no column {lacking[0]!r}")
    columns = [head.index(name) for name in _COLUMNS]
    images: dict[str, list[_Region]] = {}
    for position, row in enumerate(islice(table.rows(), 1, None), 2):
        where = f"{path}: row {position}"
        with problems.caught():
            if len(row) <= max(columns):
                raise DataError(f"{where}: has {len(row)} cells, expected {len(head)}")
            name, shape, attributes = (row[column] for column in columns)
            own = images.setdefault(text(name, where, "a 'filename'"), [])
            found = _json(shape, where)
            if found:
                own.append((found, _json(attributes, where)))
    yield from images.items()


def _json(cell: str, where: str) -> dict[str, Any]:
    try:
        return as_dict(parse_json(cell or "{}"), where, "attributes")
    except ValueError as error:
        raise DataError(f"{where}: expected attributes as JSON, got {shown(cell)}") from error


def _attribute(images: Sequence[tuple[str, list[_Region]]]) -> str | None:
    """The attribute that names the landmarks: the one with the most values within images, then in all.

    Points may lack it, which is an error of their image. None if no point has an attribute.
    """
    values: dict[str, set[str]] = {}
    within: Counter[str] = Counter()
    for _, regions in images:
        own: set[tuple[str, str]] = set()
        for shape, attributes in regions:
            if shape.get("name") == "point":
                own |= {
                    (key, value)
                    for key, value in attributes.items()
                    if isinstance(value, str) and value.strip() and key not in _GROUPS
                }
        for key, value in own:
            values.setdefault(key, set()).add(value)
            within[key] += 1
    return max(sorted(values), key=lambda key: (within[key], len(values[key])), default=None)


def _stated(content: Any, attribute: str | None) -> tuple[list[str] | None, Layout]:
    """The landmarks in the order of the project's options."""
    options: Any = content if isinstance(content, dict) else {}
    for key in ("_via_attributes", "region", attribute, "options"):
        options = options.get(key) if isinstance(options, dict) and isinstance(key, str) else None
    if not isinstance(options, dict) or not options:
        return None, Layout()
    names = [text(name, "_via_attributes") for name in options]
    return names, Layout()


class _Image:
    """The regions of an image by what they are."""

    def __init__(self, where: str, name: str, attribute: str | None, *, missing: MissingMarks) -> None:
        self._where, self._name, self._attribute, self._missing = where, name, attribute, missing
        self._marks: list[Mark] = []
        self._counts: Counter[str | None] = Counter()
        self._boxes: list[LooseBox] = []
        self._outlines: list[Outline] = []

    def add(self, shape: dict[str, Any], attributes: dict[str, Any]) -> bool:
        """Add a region; False if it is of another kind."""
        kind = shape.get("name")
        group = next((shown(attributes[key]) for key in _GROUPS if attributes.get(key) not in (None, "")), None)
        label = next((value[:60] for value in attributes.values() if isinstance(value, str) and value.strip()), "region")
        if kind == "point":
            place = point(shape.get("cx"), shape.get("cy"), self._where)
            own = self._counts[group]
            self._counts[group] += 1
            if self._attribute is None:
                name = str(own)
            else:
                what = f"a landmark's name as the attribute {shown(self._attribute)} of each point"
                name = text(attributes.get(self._attribute), self._where, what)
            missing = self._missing.missing(*place, f"{name} of {self._name}")
            self._marks.append(Mark(name, place, group, missing=missing))
        elif kind == "rect":
            left, top, wide, high = (number(shape.get(key), self._where, key) for key in ("x", "y", "width", "height"))
            if (found := box((left, top, left + wide, top + high), self._where)) is not None:
                self._boxes.append(LooseBox(label, box_from_edges(found), group))
        elif kind in ("polygon", "polyline") and isinstance(shape.get("all_points_x"), list):
            corners = list(zip(shape["all_points_x"], shape.get("all_points_y") or (), strict=False))
            if len(corners) < 2:
                return False
            places = np.array([point(x, y, self._where) for x, y in corners])
            self._outlines.append(Outline(label, places, closed=kind == "polygon"))
        else:
            return False
        return True

    def objects(self, grouping: Grouping) -> list[NamedPoints]:
        """The objects of the image, at least one, which may be empty."""
        start = NamedPoints(self._name)
        found = grouping.objects(start, self._marks, self._boxes, where=self._where) or [start]
        found[0].outlines += self._outlines
        return found


def _dump(annotations: Annotations) -> str:
    names = annotations.names(annotations.n_points or 0)
    images: dict[str, dict[str, Any]] = {}
    counts: dict[str, int] = {}
    for item in annotations.items:
        counts[item.image] = counts.get(item.image, 0) + 1
        entry = images.setdefault(item.image, {"filename": item.image, "size": -1, "regions": [], "file_attributes": {}})
        entry["regions"] += _regions(item, names, annotations.layout.kind, group=str(counts[item.image]))
    options = {"landmark": {"type": "dropdown", "description": "", "options": dict.fromkeys(names, ""), "default_options": {}}}
    groups = {"object": {"type": "text", "description": "", "default_value": "1"}}
    keys = [f"{name}-1" for name in images]
    content = {
        "_via_settings": {"core": {}, "project": {"name": "brule"}},
        _METADATA: dict(zip(keys, images.values(), strict=True)),
        "_via_attributes": {"region": {**options, **groups}, "file": {}},
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": keys,
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _regions(item: Annotation, names: Sequence[str], kind: str, *, group: str) -> Iterator[dict[str, Any]]:
    if item.box is not None:
        left, top, right, bottom = box_edges(item.box)
        place = {"x": tidy(left), "y": tidy(top), "width": tidy(right - left), "height": tidy(bottom - top)}
        yield {"shape_attributes": {"name": "rect", **place}, "region_attributes": {"kind": kind, "object": group}}
    for name, (x, y) in zip(names, item.points.tolist() if item.points is not None else (), strict=False):
        if np.isfinite((x, y)).all():
            shape = {"name": "point", "cx": tidy(x), "cy": tidy(y)}
            yield {"shape_attributes": shape, "region_attributes": {"landmark": name, "object": group}}


VIA = Format(
    name="via",
    title="VIA (VGG Image Annotator)",
    suffixes=(".json", ".csv"),
    load=load_content,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset(FEATURES) - {"edges", "occluded", "curves", "scale"},
)
