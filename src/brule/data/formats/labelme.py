"""labelme: one JSON file per image, with shapes that have a label. Points count from the corner of the image.

A missing landmark is simply absent. labelme carries keys that it doesn't know along: we keep the landmarks' order and
edges in two of them, ``landmarks`` and ``skeleton``, and the millimetres per pixel in ``scale``. In files of an
annotation project (``brule annotate``) the key ``brule`` holds a status: the points of a ``draft`` or a ``rejected``
image are not read. Shapes with the same ``group_id`` make an object. Rectangles have two corners, or four in
X-AnyLabeling, which may also be turned.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from brule.coordinates import box_edges, box_from_edges, from_corner, to_corner
from brule.data.formats.format import FEATURES, Format, SizeOf
from brule.data.formats.grouping import Grouping, LooseBox, Mark, outside_notes
from brule.data.formats.meant import meant_image
from brule.data.formats.outlines import OtherShapes, outline_notes
from brule.data.formats.record import Annotation, Annotations, NamedPoints, Outline, Problems, from_named, square
from brule.data.formats.values import as_dict, as_list, box, counted, load_json, number, point, shown, size, text, tidy
from brule.data.samples import Box, Layout
from brule.errors import DataError

VERSION = "5.5.0"
OWN = "brule"
UNFINISHED = ("new", "draft", "rejected")
_OUTLINES = ("polygon", "linestrip", "line")


def _recognises(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def _parse(path: Path, content: Any, size_of: SizeOf) -> Annotations:
    content = as_dict(content, str(path), "labelme's annotation")
    known = size(content.get("imageWidth"), content.get("imageHeight"), str(path))
    image, notes = meant_image(
        path, text(content.get("imagePath"), str(path), "an 'imagePath'"), content.get("imageData"), size=known
    )
    start = NamedPoints(image, known)
    problems, found, grouping = Problems(path), _Shapes(), Grouping()
    for position, shape in enumerate(as_list(content.get("shapes"), f"{path}: shapes", "shapes"), 1):
        with problems.caught():
            found.add(as_dict(shape, f"{path}: shape {position}", "a shape"), f"{path}: shape {position}")
    objects: list[NamedPoints] = []
    with problems.caught():
        objects = grouping.objects(start, found.marks, found.boxes, where=str(path))
    objects = objects or [start]
    _give_outlines(objects, found)
    stated, layout = stated_layout(content, str(path))
    items, layout = from_named(objects, stated, layout)
    items = [replace(item, spacing=square(_scale(content, str(path)))) for item in items]
    if not _finished(content):
        items, layout = [], replace(layout, names=layout.names if stated else None)
    notes += outline_notes(objects, found.others, "points nor rectangles") + grouping.notes()
    notes += outside_notes((item.image, item.points, item.box) for item in items)
    if found.scores:
        notes.append(f"{counted(found.scores, 'shape')} with a score, proposed by a program: read as labels; check them")
    return Annotations(items or [Annotation(image, size=known)], layout, problems, notes)


@dataclass
class _Shapes:
    """The shapes of a file by what they are."""

    marks: list[Mark] = field(default_factory=list)
    boxes: list[LooseBox] = field(default_factory=list)
    outlines: list[Outline] = field(default_factory=list)
    others: OtherShapes = field(default_factory=OtherShapes)
    scores: int = 0

    def add(self, shape: dict[str, Any], where: str) -> None:
        """Add a shape; one of another kind is counted."""
        kind = shape.get("shape_type", "polygon")
        if kind not in ("point", "rectangle", "rotation", *_OUTLINES):
            self.others.note(kind, shape.get("label"))
            return
        corners = [_corner(pair, where) for pair in as_list(shape.get("points"), f"{where}: points", "[x, y]")]
        group = None if shape.get("group_id") is None else shown(shape["group_id"])
        label = text(shape.get("label"), where, "a label") if kind != "rectangle" else shown(shape.get("label")).strip("'")
        self.scores += isinstance(shape.get("score"), (int, float))
        if kind == "point":
            if len(corners) != 1:
                raise DataError(f"{where}: expected one [x, y] of a point, got {len(corners)}")
            flags = shape.get("flags")
            hidden = isinstance(flags, dict) and flags.get("occluded") is True
            x, y = from_corner(np.array(corners[0])).tolist()
            self.marks.append(Mark(label, (x, y), group, hidden))
        elif kind in _OUTLINES:
            if len(corners) < 2:
                raise DataError(f"{where}: expected a {kind} of two corners or more, got {len(corners)}")
            places, closed = from_corner(np.array(corners)), kind == "polygon"
            self.outlines.append(Outline(label, places, closed, group=group or ""))
        elif (edges := _edges(corners, where)) is not None:
            self.boxes.append(LooseBox(label, edges, group))


def _give_outlines(objects: Sequence[NamedPoints], found: _Shapes) -> None:
    """Give each outline to the object of its group; to the first one, where it has none or its group only has outlines."""
    groups = dict.fromkeys([*(mark.group for mark in found.marks), *(box.group for box in found.boxes)])
    groups.pop(None, None)
    of_group = dict(zip(groups, objects, strict=False))  # in the order of Grouping.objects; those without a group follow
    for outline in found.outlines:
        if outline.group in of_group:
            of_group[outline.group].outlines.append(replace(outline, group=""))
        else:
            objects[0].outlines.append(outline)


def _edges(corners: list[tuple[float, float]], where: str) -> Box | None:
    """The box about the corners of a rectangle: two that are opposite, or all four, which may be turned."""
    if len(corners) not in (2, 4):
        raise DataError(f"{where}: expected two or four corners of a rectangle, got {len(corners)}")
    x, y = zip(*corners, strict=True)
    found = box((min(x), min(y), max(x), max(y)), where)
    return None if found is None else box_from_edges(found)


def _finished(content: dict[str, Any]) -> bool:
    own = content.get(OWN)
    return not isinstance(own, dict) or own.get("status") not in UNFINISHED


def _scale(content: dict[str, Any], where: str) -> float | None:
    if content.get("scale") is None:
        return None
    value = number(content["scale"], where, "the length of a pixel, 'scale'")
    if value <= 0:
        raise DataError(f"{where}: expected a length of more than 0 as 'scale', got {shown(value)}")
    return value


def stated_layout(content: dict[str, Any], where: str) -> tuple[list[str] | None, Layout]:
    """The landmarks in their order and the edges, where a file of ours states them.

    Raises:
        DataError: they aren't lists of names and of pairs of indices.
    """
    if "landmarks" not in content:
        return None, Layout()
    names = [text(name, f"{where}: landmarks") for name in as_list(content["landmarks"], f"{where}: landmarks", "names")]
    edges = []
    for pair in as_list(content.get("skeleton") or [], f"{where}: skeleton", "pairs"):
        ends = [number(end, f"{where}: skeleton", "an index") for end in as_list(pair, f"{where}: skeleton", "two indices")]
        if len(ends) != 2 or any(end != int(end) or not 0 <= end < len(names) for end in ends):
            raise DataError(f"{where}: expected pairs of indices below {len(names)} in 'skeleton', got {shown(pair)}")
        edges.append((int(ends[0]), int(ends[1])))
    try:
        return names, Layout(tuple(names), tuple(edges))
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def stated_content(annotations: Annotations) -> dict[str, Any]:
    """What :func:`stated_layout` reads."""
    content: dict[str, Any] = {"landmarks": annotations.names(annotations.n_points or 0)}
    if annotations.layout.edges:
        content["skeleton"] = [list(edge) for edge in annotations.layout.edges]
    return content


def _corner(pair: object, where: str) -> tuple[float, float]:
    pair = as_list(pair, where, "x and y")
    if len(pair) != 2:
        raise DataError(f"{where}: expected [x, y], got {shown(pair)}")
    return point(pair[0], pair[1], where)


def labelme_content(annotations: Annotations) -> dict[str, Any]:
    """The value that labelme keeps as JSON, of one image's annotations."""
    items = annotations.items
    names = annotations.names(annotations.n_points or 0)
    shapes: list[dict[str, Any]] = []
    for number_, item in enumerate(items, 1):
        shapes += _shapes(item, names, number_ if len(items) > 1 else None, kind=annotations.layout.kind)
    known = items[0].size or (None, None)
    scale = next((item.scale for item in items if item.scale is not None), None)
    return {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": items[0].image,
        "imageData": None,
        "imageHeight": known[1],
        "imageWidth": known[0],
        **stated_content(annotations),
        **({} if scale is None else {"scale": scale}),
    }


def _dump(annotations: Annotations) -> str:
    return json.dumps(labelme_content(annotations), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _shapes(item: Annotation, names: Sequence[str], group: int | None, *, kind: str) -> list[dict[str, Any]]:
    found = []
    if item.box is not None:
        left, top, right, bottom = map(tidy, box_edges(item.box))
        found.append(_shape(kind, [[left, top], [right, bottom]], "rectangle", group=group, hidden=False))
    if item.points is None:
        return found
    hidden = item.occluded if item.occluded is not None else np.zeros(len(item.points), dtype=bool)
    for name, (x, y), behind in zip(names, to_corner(item.points.astype(np.float64)).tolist(), hidden.tolist(), strict=True):
        if np.isfinite((x, y)).all():
            found.append(_shape(name, [[tidy(x), tidy(y)]], "point", group=group, hidden=behind))
    return found


def _shape(label: str, points: list[list[float]], kind: str, *, group: int | None, hidden: bool) -> dict[str, Any]:
    flags = {"occluded": True} if hidden else {}
    return {"label": label, "points": points, "group_id": group, "description": "", "shape_type": kind, "flags": flags}


LABELME = Format(
    name="labelme",
    title="labelme JSON",
    suffixes=(".json",),
    load=load_json,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset(FEATURES) - {"curves", "spacing"},
    one_image=True,
)
