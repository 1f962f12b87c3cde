"""CVAT for images 1.1: one XML file with an ``image`` element each, in it ``points`` with labels, or skeletons of them.

Tracks of CVAT for video are read as such elements (:mod:`brule.data.formats.cvat_tracks`).

Points and boxes count from the corner of the image. A landmark that is ``outside`` is missing. Elements of one
``group_id`` make an object; without one, all points of an image do. Where an element holds several points, they are
called ``label/0``, ``label/1`` and so on; if the file has no other label, they have no names, and each element is an
object.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brule.coordinates import box_edges, box_from_edges, from_corner, to_corner
from brule.data.formats.cvat_tracks import frame_annotations_of, images_of_tracks, way_to_frames
from brule.data.formats.format import FEATURES, Format, SizeOf
from brule.data.formats.grouping import Grouping, LooseBox, Mark, outside_notes
from brule.data.formats.outlines import OtherShapes, outline_notes
from brule.data.formats.record import Annotation, Annotations, NamedPoints, Outline, Problems, from_named
from brule.data.formats.values import box, load_xml, number, parse_xml, point, shown, size, text, tidy, turned_box, xml_text
from brule.data.samples import Box, Layout
from brule.errors import DataError

_OUTLINES = ("polygon", "polyline")


def _recognises(root: ET.Element) -> bool:
    return root.tag == "annotations" and (root.find("image") is not None or root.find("meta") is not None)


def _parse(path: Path, root: ET.Element, size_of: SizeOf) -> Annotations:
    images, notes = root.findall("image"), list[str]()
    tracks = root.find("track") is not None
    if tracks:
        frames, notes = images_of_tracks(path, root)
        images = [*images, *frames]
        root = _with_images(root, images)
    _refuse_kinds(path, root)
    stated, layout = _stated(path, root)
    contours = _Contours(root)
    stated = contours.names(stated)
    problems, grouping = Problems(path), Grouping()
    objects: list[NamedPoints] = []
    others = OtherShapes()
    for position, image in enumerate(images, 1):
        where = f"{path}: image {position}"
        with problems.caught():
            name = text(image.get("name"), where, "an image's 'name'")
            start = NamedPoints(name, size(image.get("width"), image.get("height"), where))
            objects += _objects(image, start, contours, grouping=grouping, where=f"{where} ({name})")
        for child in image:
            if child.tag not in ("points", "skeleton", "box", "tag", *_OUTLINES):
                others.note(child.tag, child.get("label"))
    items, layout = from_named(objects, stated, layout)
    notes += outline_notes(objects, others, "points, skeletons, boxes, polygons nor polylines")
    notes += [*grouping.notes(), *contours.notes()]
    notes += outside_notes((item.image, item.points, item.box) for item in items)
    frame_annotations = frame_annotations_of(root, items) if tracks else []
    return Annotations(
        items, layout, problems, notes, way=way_to_frames(path) if tracks else "", frame_annotations=frame_annotations
    )


def _with_images(root: ET.Element, images: Sequence[ET.Element]) -> ET.Element:
    """The labels of a file, and images."""
    whole = ET.Element(root.tag)
    whole.extend([*root.findall("meta"), *images])
    return whole


def _refuse_kinds(path: Path, root: ET.Element) -> None:
    kinds = sorted({element.get("label") or "" for element in root.iterfind("image/skeleton")})
    if len(kinds) > 1:
        names = ", ".join(kind[:60] for kind in kinds[:4])
        raise DataError(f"{path}: holds skeletons of several kinds of objects ({names}); split it into a file for each kind")


class _Contours:
    """Elements of several points: landmarks without names if the file has nothing else, else named by label and number."""

    def __init__(self, root: ET.Element) -> None:
        counts: dict[str, set[int]] = {}
        for element in root.iterfind("image/points"):
            counts.setdefault(element.get("label") or "", set()).add((element.get("points") or "").count(";") + 1)
        self._counts = {label: found for label, found in counts.items() if max(found) > 1}
        self.named = len(counts) > 1

    def __contains__(self, label: str) -> bool:
        return label in self._counts

    def names(self, stated: list[str] | None) -> list[str] | None:
        """The landmarks in the order of the labels that the file states."""
        if self._counts and not self.named:
            (found,) = self._counts.values()
            return [str(i) for i in range(max(found))]
        if stated is None:
            return None
        return [name for label in stated for name in self._of(label)]

    def _of(self, label: str) -> list[str]:
        return [f"{label}/{i}" for i in range(max(self._counts[label]))] if label in self._counts else [label]

    def notes(self) -> list[str]:
        """A remark on labels whose number of points changes: which landmark is which isn't known then."""
        uneven = {label: found for label, found in self._counts.items() if len(found) > 1}
        return [
            f"the label {label[:60]!r} has {min(found)} to {max(found)} points, which are numbered in their order"
            for label, found in sorted(uneven.items())
        ]


def _objects(
    image: ET.Element, start: NamedPoints, contours: _Contours, *, grouping: Grouping, where: str
) -> list[NamedPoints]:
    marks: list[Mark] = []
    boxes: list[LooseBox] = []
    whole: list[tuple[str | None, NamedPoints]] = []  # skeletons, and contours that are an object each
    outlines: list[Outline] = []
    for element in image:
        group = element.get("group_id") or None
        label = element.get("label") or ""
        if element.tag == "skeleton":
            own = [mark for child in element.findall("points") for mark in _marks(where, child, contours, group=None)]
            whole.append((group, _as_object(start, own, where)))
        elif element.tag == "points":
            own = _marks(where, element, contours, group=group)
            if label in contours and not contours.named:
                whole.append((group, _as_object(start, own, where)))
            else:
                marks += own
        elif element.tag == "box" and element.get("outside") != "1" and (found := _box(where, element)) is not None:
            boxes.append(LooseBox(label[:60], found, group))
        elif element.tag in _OUTLINES and element.get("outside") != "1":
            corners = from_corner(np.array(_places(where, element)))
            outlines.append(Outline(label[:60] or "outline", corners, closed=element.tag == "polygon"))
    objects = _with_boxes(whole, marks, boxes, grouping=grouping, start=start, where=where) or [start]
    objects[0].outlines += outlines
    return objects


def _with_boxes(
    whole: list[tuple[str | None, NamedPoints]],
    marks: list[Mark],
    boxes: list[LooseBox],
    *,
    grouping: Grouping,
    start: NamedPoints,
    where: str,
) -> list[NamedPoints]:
    by_group = {group: one for group, one in whole if group is not None}
    left = []
    for box_ in boxes:
        own = by_group.get(str(box_.group)) if box_.group is not None else None
        if own is not None and own.box is None:
            own.box = box_.box
        else:
            left.append(box_)
    objects = [one for _, one in whole]
    if not marks:
        grouping.attach(objects, left, start)
        return objects
    loose = [box_ for box_ in left if box_.group is None]
    others = [box_ for box_ in left if box_.group is not None]
    objects += grouping.objects(start, marks, [*others, *(loose if not whole else ())], where=where)
    if whole:
        grouping.attach(objects, loose, start)
    return objects


def _as_object(start: NamedPoints, marks: list[Mark], where: str) -> NamedPoints:
    one = NamedPoints(start.image, start.size)
    for mark in marks:
        one.mark(mark.name, None if mark.missing else mark.point, where, occluded=mark.occluded)
    return one


def _marks(where: str, element: ET.Element, contours: _Contours, *, group: str | None) -> list[Mark]:
    label = text(element.get("label"), where, "a label")
    if element.get("outside") == "1":
        return [Mark(label, (0.0, 0.0), group, missing=True)] if label not in contours else []
    hidden = element.get("occluded") == "1"
    places = from_corner(np.array(_places(where, element))).tolist()
    if label not in contours:
        if len(places) > 1:
            raise DataError(f"{where}: expected one point of the landmark {label!r}, got {len(places)}")
        return [Mark(label, (places[0][0], places[0][1]), group, hidden)]
    prefix = f"{label}/" if contours.named else ""
    return [Mark(f"{prefix}{i}", (x, y), group, hidden) for i, (x, y) in enumerate(places)]


def _places(where: str, element: ET.Element) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for pair in (element.get("points") or "").split(";") if pair.strip()]
    if not pairs:
        raise DataError(f"{where}: an element {element.tag!r} without points")
    if odd := [pair for pair in pairs if len(pair) != 2]:
        raise DataError(f"{where}: expected points as 'x,y', got {shown(','.join(odd[0]))}")
    return [point(x, y, where) for x, y in pairs]


def _box(where: str, element: ET.Element) -> Box | None:
    left, top, right, bottom = (number(element.get(edge), where, f"a box's {edge}") for edge in ("xtl", "ytl", "xbr", "ybr"))
    if box((left, top, right, bottom), where) is None:
        return None
    angle = number(element.get("rotation") or 0, where, "a box's rotation")
    centre = ((left + right) / 2, (top + bottom) / 2)
    return box_from_edges(turned_box((left, top, right, bottom), angle, centre))


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
    try:
        tags = [element.attrib for element in parse_xml(f"<svg>{svg}</svg>", "svg").iter()]
    except DataError:
        return ()
    index: dict[str, int] = {}
    order = {name: i for i, name in enumerate(names)}
    for tag in tags:
        if "data-node-id" in tag:
            label = tag.get("data-label-name")
            index[tag["data-node-id"]] = order.get(label or "", len(index))
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
            _write_object(element, item, names, kind=annotations.layout.kind, group=str(number_) if len(items) > 1 else None)
    return xml_text(root)


def _write_object(image: ET.Element, item: Annotation, names: Sequence[str], *, kind: str, group: str | None) -> None:
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
