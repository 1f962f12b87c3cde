"""CVAT for images 1.1: one XML file with an ``image`` element each, in it ``points`` with labels, or skeletons of them.

Points and boxes count from the corner of the image. A landmark that is ``outside`` is missing. Elements of one ``group_id``
make an object; without one, all single points of an image do. Several points in one element are landmarks without names.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brule.coordinates import box_edges, box_from_edges, from_corner, to_corner
from brule.data.formats.format import FEATURES, Format, SizeOf
from brule.data.formats.record import Annotation, Annotations, NamedPoints, Problems, from_named
from brule.data.formats.values import box, load_xml, number, point, shown, size, text, tidy, xml_text
from brule.data.samples import Box, Layout
from brule.errors import DataError


def _recognises(root: ET.Element) -> bool:
    return root.tag == "annotations" and (root.find("image") is not None or root.find("meta") is not None)


def _parse(path: Path, root: ET.Element, size_of: SizeOf) -> Annotations:
    if root.find("track") is not None:
        raise DataError(f"{path}: CVAT for video; export it as 'CVAT for images 1.1'")
    stated, layout = _stated(path, root)
    problems = Problems(path)
    objects: list[NamedPoints] = []
    others = 0
    for position, image in enumerate(root.findall("image"), 1):
        where = f"{path}: image {position}"
        with problems.caught():
            name = text(image.get("name"), where, "an image's 'name'")
            known = size(image.get("width"), image.get("height"), where)
            found = _objects(f"{where} ({name})", image, name, known)
            objects += found or [NamedPoints(name, known)]
        others += sum(child.tag not in ("points", "skeleton", "box", "tag") for child in image)
    notes = [f"{others} elements that are no points, skeletons or boxes are passed over"] if others else []
    items, layout = from_named(objects, stated, layout)
    return Annotations(items, layout, problems, notes)


def _objects(where: str, image: ET.Element, name: str, known: tuple[int, int] | None) -> list[NamedPoints]:
    groups: dict[str, NamedPoints] = {}
    skeletons: list[NamedPoints] = []
    boxes: list[tuple[str, Box]] = []
    for element in image:
        group = element.get("group_id") or ""
        if element.tag == "skeleton":
            one = NamedPoints(name, known)
            for child in element.findall("points"):
                _add(where, one, child)
            skeletons.append(one)
            if group:
                groups.setdefault(group, one)
        elif element.tag == "points":
            many = (element.get("points") or "").count(";") > 0
            one = NamedPoints(name, known) if many else groups.setdefault(group, NamedPoints(name, known))
            _add(where, one, element)
            skeletons += [one] if many else []
        elif element.tag == "box" and (found := _box(where, element)) is not None:
            boxes.append((group, found))
    found_ = [*skeletons, *(one for one in groups.values() if all(one is not other for other in skeletons))]
    for group, edges in boxes:
        own = groups.get(group) if group or len(boxes) > 1 or len(found_) != 1 else found_[0]
        if own is None or own.box is not None:
            own = NamedPoints(name, known)
            found_.append(own)
        own.box = edges
    return found_


def _add(where: str, one: NamedPoints, element: ET.Element) -> None:
    if element.get("outside") == "1":
        return
    pairs = [pair for pair in (element.get("points") or "").split(";") if pair.strip()]
    if not pairs:
        raise DataError(f"{where}: an element 'points' without points")
    for i, pair in enumerate(pairs):
        cells = pair.split(",")
        if len(cells) != 2:
            raise DataError(f"{where}: expected points as 'x,y', got {shown(pair)}")
        x, y = from_corner(np.array(point(cells[0], cells[1], where))).tolist()
        name = str(i) if len(pairs) > 1 else text(element.get("label"), where, "a label")
        one.add(name, (x, y), where, occluded=element.get("occluded") == "1")


def _box(where: str, element: ET.Element) -> Box | None:
    left, top, right, bottom = (number(element.get(edge), where, f"a box's {edge}") for edge in ("xtl", "ytl", "xbr", "ybr"))
    found = box((left, top, right, bottom), where)
    return None if found is None else box_from_edges(found)


def _stated(path: Path, root: ET.Element) -> tuple[list[str] | None, Layout]:
    """The landmarks in the order of the skeleton's sub-labels, or of the point labels, and the skeleton's edges."""
    labels = [label for labels in root.iterfind("meta//labels") for label in labels.findall("label")]
    skeletons = [label for label in labels if label.findtext("type") == "skeleton"]
    kind = (skeletons[0].findtext("name") or "").strip() if len(skeletons) == 1 else None
    if kind:
        chosen = [label for label in labels if (label.findtext("parent") or "").strip() == kind]
    else:
        chosen = [label for label in labels if label.findtext("type") == "points" and label.find("parent") is None]
    names = [text(label.findtext("name"), f"{path}: labels", "a label's name") for label in chosen]
    if not names or len(set(names)) < len(names):
        return None, Layout(kind=kind or "object")
    edges = _edges(names, skeletons[0].findtext("svg") or "") if kind else ()
    return names, Layout(tuple(names), edges, kind=kind or "object")


def _edges(names: Sequence[str], svg: str) -> tuple[tuple[int, int], ...]:
    """The edges in the picture of a skeleton: lines between nodes. One that can't be understood has none."""
    tags = [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) for tag in re.findall(r"<(?:circle|line)\b[^>]*>", svg)]
    index: dict[str, int] = {}
    for tag in tags:
        if "data-node-id" in tag:
            label = tag.get("data-label-name")
            index[tag["data-node-id"]] = names.index(label) if label in names else len(index)
    pairs = [(index.get(tag.get("data-node-from", "")), index.get(tag.get("data-node-to", ""))) for tag in tags]
    return tuple((a, b) for a, b in pairs if a is not None and b is not None and max(a, b) < len(names))


def _dump(annotations: Annotations) -> str:
    names = annotations.names(annotations.n_points or 0)
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    _write_labels(ET.SubElement(ET.SubElement(ET.SubElement(root, "meta"), "task"), "labels"), names, annotations.layout)
    images: dict[str, tuple[ET.Element, list[Annotation]]] = {}
    for item in annotations.items:
        if item.image not in images:
            known = {} if item.size is None else {"width": str(item.size[0]), "height": str(item.size[1])}
            images[item.image] = (ET.SubElement(root, "image", {"id": str(len(images)), "name": item.image, **known}), [])
        images[item.image][1].append(item)
    for element, items in images.values():
        for number_, item in enumerate(items, 1):
            _write_object(element, item, names, annotations.layout.kind, str(number_) if len(items) > 1 else None)
    return xml_text(root)


def _write_object(image: ET.Element, item: Annotation, names: Sequence[str], kind: str, group: str | None) -> None:
    own = {} if group is None else {"group_id": group}
    if item.points is not None:
        skeleton = ET.SubElement(image, "skeleton", {"label": kind, "source": "manual", "z_order": "0", **own})
        hidden = item.occluded if item.occluded is not None else np.zeros(len(item.points), dtype=bool)
        corners = to_corner(item.points.astype(np.float64)).tolist()
        for name, (x, y), behind in zip(names, corners, hidden.tolist(), strict=True):
            there = bool(np.isfinite((x, y)).all())
            place = f"{tidy(x)},{tidy(y)}" if there else "0.0,0.0"
            marks = {"outside": "0" if there else "1", "occluded": "1" if behind else "0"}
            ET.SubElement(skeleton, "points", {"label": name, "points": place, **marks})
    if item.box is not None:
        edges = zip(("xtl", "ytl", "xbr", "ybr"), map(tidy, box_edges(item.box)), strict=True)
        own |= {edge: str(value) for edge, value in edges}
        ET.SubElement(image, "box", {"label": kind, "source": "manual", "occluded": "0", "z_order": "0", **own})


def _write_labels(labels: ET.Element, names: Sequence[str], layout: Layout) -> None:
    label = ET.SubElement(labels, "label")
    ET.SubElement(label, "name").text = layout.kind
    ET.SubElement(label, "type").text = "skeleton"
    ET.SubElement(label, "svg").text = _svg(names, layout)
    for name in names:
        label = ET.SubElement(labels, "label")
        ET.SubElement(label, "name").text = name
        ET.SubElement(label, "type").text = "points"
        ET.SubElement(label, "parent").text = layout.kind


def _svg(names: Sequence[str], layout: Layout) -> str:
    """The picture of the skeleton that CVAT keeps: nodes on a circle, and the edges."""
    angles = 2 * np.pi * np.arange(len(names)) / max(len(names), 1)
    places = np.stack([50 + 40 * np.sin(angles), 50 - 40 * np.cos(angles)], axis=1).round(2).tolist()
    svg = ET.Element("svg")
    for a, b in layout.edges:
        (x1, y1), (x2, y2) = places[a], places[b]
        ends = {"data-type": "edge", "data-node-from": str(a + 1), "data-node-to": str(b + 1)}
        ET.SubElement(svg, "line", {"x1": str(x1), "y1": str(y1), "x2": str(x2), "y2": str(y2), **ends})
    for i, (name, (x, y)) in enumerate(zip(names, places, strict=True), 1):
        node = {"data-type": "element node", "data-element-id": str(i), "data-node-id": str(i), "data-label-name": name}
        ET.SubElement(svg, "circle", {"r": "1.5", "cx": str(x), "cy": str(y), **node})
    return "".join(ET.tostring(child, encoding="unicode") for child in svg)


CVAT = Format(
    name="cvat",
    title="CVAT for images 1.1",
    suffixes=(".xml",),
    load=load_xml,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset(FEATURES) - {"curves", "scale"},
)
