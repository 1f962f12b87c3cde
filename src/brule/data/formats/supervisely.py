"""Supervisely: one JSON file per image in ``ann``, the image in ``img`` beside it; points, graphs (skeletons), rectangles.

Pixels count from the centre of the first one. A graph is an object, its nodes are named in ``meta.json`` above; single
points are called as their class, and all of an image (or of one ``instance``) make an object. A graph is written.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from brule.data.formats.format import FEATURES, Format, SizeOf
from brule.data.formats.grouping import Grouping, LooseBox, Mark, outside_notes
from brule.data.formats.outlines import OtherShapes, outline_notes
from brule.data.formats.record import Annotation, Annotations, NamedPoints, Outline, Problems, from_named
from brule.data.formats.values import as_dict, as_list, box, load_json, point, shown, size, text, tidy
from brule.data.images import IMAGE_SUFFIXES
from brule.data.samples import Box, Layout
from brule.errors import DataError

_LEVELS = 3  # folders above the file


def _recognises(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("size"), dict) and isinstance(content.get("objects"), list)


def _parse(path: Path, content: Any, size_of: SizeOf) -> Annotations:
    content = as_dict(content, str(path), "Supervisely's annotation")
    stated = as_dict(content.get("size"), f"{path}: size", "width and height")
    start = NamedPoints(_image(path), size(stated.get("width"), stated.get("height"), str(path)))
    labels, layout = _meta(path)
    problems, grouping, found = Problems(path), Grouping(), _Objects(start, labels)
    for position, one in enumerate(as_list(content.get("objects"), f"{path}: objects", "objects"), 1):
        with problems.caught():
            found.add(as_dict(one, f"{path}: object {position}", "an object"), f"{path}: object {position}")
    if len(found.kinds) > 1:
        kinds = ", ".join(sorted(found.kinds))
        raise DataError(f"{path}: holds graphs of several kinds of objects ({kinds}); split it into a folder for each kind")
    objects: list[NamedPoints] = []
    with problems.caught():
        objects = found.objects(grouping, str(path))
    names = list(layout.names) if layout.names is not None and found.kinds == {layout.kind} else None
    items, own_layout = from_named(objects, names, layout if names else Layout())
    notes = outline_notes(objects, found.others, "points, graphs nor rectangles") + grouping.notes()
    notes += outside_notes((item.image, item.points, item.box) for item in items)
    return Annotations(items, own_layout, problems, notes)


def _image(path: Path) -> str:
    """The image, as seen from the file: ``a.png.json`` is about ``../img/a.png``."""
    name = path.name.removesuffix(path.suffix)
    names = [name] if Path(name).suffix.lower() in IMAGE_SUFFIXES else [f"{name}{suffix}" for suffix in sorted(IMAGE_SUFFIXES)]
    places = [("../img/", path.parent.parent / "img"), ("", path.parent)]
    return next((up + one for up, folder in places for one in names if (folder / one).is_file()), name)


def _meta(path: Path) -> tuple[dict[str, str], Layout]:
    """The names of nodes by their id, and names and edges where there is one kind of graph; from ``meta.json``."""
    found = next((one / "meta.json" for one in list(path.absolute().parents)[:_LEVELS] if (one / "meta.json").is_file()), None)
    content = load_json(found) if found is not None else {}
    classes = content.get("classes") if isinstance(content, dict) else None
    labels: dict[str, str] = {}
    layouts = []
    for entry in classes if isinstance(classes, list) else []:
        config = entry.get("geometry_config") if isinstance(entry, dict) else None
        nodes = config.get("nodes") if isinstance(config, dict) else None
        if not isinstance(nodes, dict) or not isinstance(config, dict):
            continue
        own = {key: text(node.get("label"), f"{found}: a node") for key, node in nodes.items() if isinstance(node, dict)}
        labels |= own
        layouts.append(_layout(list(own), list(own.values()), config.get("edges"), kind=entry.get("title")))
    return labels, layouts[0] if len(layouts) == 1 else Layout()


def _layout(keys: list[str], names: list[str], edges: object, *, kind: object) -> Layout:
    index = {key: i for i, key in enumerate(keys)}
    pairs = [(one.get("src"), one.get("dst")) for one in (edges if isinstance(edges, list) else []) if isinstance(one, dict)]
    found = tuple(
        (index[a], index[b]) for a, b in pairs if isinstance(a, str) and isinstance(b, str) and {a, b} <= index.keys()
    )
    return Layout(tuple(names), found, kind=kind if isinstance(kind, str) and kind.strip() else "object")


class _Objects:
    """The objects of an image by their geometry."""

    def __init__(self, start: NamedPoints, labels: dict[str, str]) -> None:
        self._start, self._labels = start, labels
        self._graphs: list[tuple[str | None, NamedPoints]] = []
        self._marks: list[Mark] = []
        self._boxes: list[LooseBox] = []
        self._outlines: list[Outline] = []
        self.kinds: set[str] = set()
        self.others = OtherShapes()

    def add(self, one: dict[str, Any], where: str) -> None:
        """Add an object; one of another geometry is counted."""
        kind = one.get("geometryType")
        label = text(one.get("classTitle"), where, "a 'classTitle'")
        group = None if one.get("instance") is None else shown(one["instance"])
        if kind == "graph":
            self.kinds.add(label)
            self._graphs.append((group, self._graph(one, where)))
        elif kind == "point":
            ((x, y),) = self._exterior(one, where, 1)
            self._marks.append(Mark(label, (x, y), group))
        elif kind == "rectangle":
            (x0, y0), (x1, y1) = self._exterior(one, where, 2)
            edges: Box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            if (found := box(edges, where)) is not None:
                self._boxes.append(LooseBox(label, found, group))
        elif kind in ("polygon", "line"):
            corners = np.array(self._exterior(one, where, None))
            self._outlines.append(Outline(label, corners, closed=kind == "polygon"))
        else:
            self.others.note(kind, label)

    def _graph(self, one: dict[str, Any], where: str) -> NamedPoints:
        found = NamedPoints(self._start.image, self._start.size)
        for key, node in as_dict(one.get("nodes"), f"{where}: nodes", "nodes").items():
            node = as_dict(node, f"{where}: node", "a node")
            place = as_list(node.get("loc"), f"{where}: loc", "x and y")
            if len(place) != 2:
                raise DataError(f"{where}: expected x and y of a node, got {shown(place)}")
            name = self._labels.get(key) or text(key, where, "a node's name")
            found.add(name, point(place[0], place[1], where), where, occluded=node.get("disabled") is True)
        return found

    @staticmethod
    def _exterior(one: dict[str, Any], where: str, count: int | None) -> list[tuple[float, float]]:
        places = as_list(as_dict(one.get("points"), where, "points").get("exterior"), f"{where}: exterior", "[x, y]")
        pairs = [as_list(place, where, "x and y") for place in places]
        if any(len(pair) != 2 for pair in pairs) or (len(pairs) != count if count is not None else len(pairs) < 2):
            raise DataError(f"{where}: expected {count or 'at least 2'} points [x, y], got {shown(places)}")
        return [point(x, y, where) for x, y in pairs]

    def objects(self, grouping: Grouping, where: str) -> list[NamedPoints]:
        """The objects, at least one, which may be empty."""
        graphs = {group: one for group, one in self._graphs if group is not None}
        boxes = []
        for one in self._boxes:
            own = graphs.get(str(one.group)) if one.group is not None else None
            if own is not None and own.box is None:
                own.box = one.box
            else:
                boxes.append(one)
        found = [one for _, one in self._graphs]
        if self._marks or not found:
            found += grouping.objects(self._start, self._marks, [] if found else boxes, where=where)
        if self._graphs:
            grouping.attach(found, boxes, self._start)
        found = found or [NamedPoints(self._start.image, self._start.size)]
        found[0].outlines += self._outlines
        return found


def _dump(annotations: Annotations) -> str:
    items = annotations.items
    names = annotations.names(annotations.n_points or 0)
    objects = [
        one for number_, item in enumerate(items, 1) for one in _objects(item, names, annotations.layout.kind, position=number_)
    ]
    if items[0].size is None:
        raise DataError(f"Supervisely needs the size of {items[0].image}, which isn't known; the image must be there")
    known = {"height": items[0].size[1], "width": items[0].size[0]}
    content = {"description": "", "tags": [], "size": known, "objects": objects}
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _objects(item: Annotation, names: list[str], kind: str, *, position: int) -> Iterator[dict[str, Any]]:
    common = {"classTitle": kind, "description": "", "tags": [], "instance": f"object{position}"}
    if item.box is not None:
        left, top, right, bottom = map(tidy, item.box)
        corners = {"exterior": [[left, top], [right, bottom]], "interior": []}
        yield {**common, "classTitle": f"{kind} box", "geometryType": "rectangle", "points": corners}
    if item.points is not None:
        hidden = item.occluded if item.occluded is not None else np.zeros(len(item.points), dtype=bool)
        nodes = {
            _node(name): {"loc": [tidy(x), tidy(y)], **({"disabled": True} if behind else {})}
            for name, (x, y), behind in zip(names, item.points.tolist(), hidden.tolist(), strict=True)
            if np.isfinite((x, y)).all()
        }
        yield {**common, "geometryType": "graph", "nodes": nodes}


def _node(name: str) -> str:
    """The id of a node: always the same for a name, so that files agree with ``meta.json``."""
    return uuid.uuid5(uuid.NAMESPACE_OID, name).hex


def _companions(annotations: Annotations) -> dict[str, str]:
    names = annotations.names(annotations.n_points or 0)
    places = 2 * np.pi * np.arange(len(names)) / max(len(names), 1)
    nodes = {
        _node(name): {
            "label": name,
            "loc": [round(50 + 40 * float(np.sin(a)), 2), round(50 - 40 * float(np.cos(a)), 2)],
            "color": "#0000FF",
        }
        for name, a in zip(names, places.tolist(), strict=True)
    }
    edges = [{"src": _node(names[a]), "dst": _node(names[b]), "color": "#00FF00"} for a, b in annotations.layout.edges]
    kind = annotations.layout.kind
    classes = [
        {"title": kind, "shape": "graph", "color": "#0000FF", "geometry_config": {"nodes": nodes, "edges": edges}},
        {"title": f"{kind} box", "shape": "rectangle", "color": "#FF0000"},
    ]
    return {
        "meta.json": json.dumps({"classes": classes, "tags": [], "projectType": "images"}, ensure_ascii=False, indent=1) + "\n"
    }


SUPERVISELY = Format(
    name="supervisely",
    title="Supervisely",
    suffixes=(".json",),
    load=load_json,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    companions=_companions,
    file_name="{name}.json",
    holds=frozenset(FEATURES) - {"curves", "scale"},
    one_image=True,
)
