"""dlib's imglab: one XML file with an ``image`` each, in it boxes with parts. Whole pixels from the centre of the first one.

dlib takes the parts in the order of their names, and a missing one is simply absent. Boxes marked ``ignore`` are passed
over, as dlib does.
"""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from brule.coordinates import box_edges, box_from_edges
from brule.data.formats.format import Format, SizeOf
from brule.data.formats.grouping import outside_notes
from brule.data.formats.marks import MissingMarks
from brule.data.formats.record import Annotation, Annotations, NamedPoints, Problems, from_named
from brule.data.formats.values import box, counted, load_xml, number, point, size, text, xml_text
from brule.data.samples import Box, Layout, landmark_box
from brule.errors import DataError

_STATED = "landmarks ["
_OWN_BOX = "landmarks"  # the label of a box that is only there because dlib wants one


def _recognises(root: ET.Element) -> bool:
    return root.tag == "dataset" and root.find("images") is not None


def _parse(path: Path, root: ET.Element, size_of: SizeOf) -> Annotations:
    problems = Problems(path)
    objects: list[NamedPoints] = []
    ignored, marks = 0, MissingMarks()
    for position, image in enumerate(root.iterfind("images/image"), 1):
        where = f"{path}: image {position}"
        with problems.caught():
            name = text(image.get("file"), where, "an image's 'file'")
            known = size(image.get("width"), image.get("height"), where)
            boxes = [one for one in image.findall("box") if one.get("ignore") not in ("1", "true")]
            ignored += len(image.findall("box")) - len(boxes)
            found = [_object(f"{where} ({name})", one, NamedPoints(name, known), marks=marks) for one in boxes]
            objects += found or [NamedPoints(name, known)]
    notes = [f"{counted(ignored, 'box')} marked 'ignore' passed over"] if ignored else []
    notes += marks.notes()
    used = {name for one in objects for name in (*one.points, *one.missing)}
    stated = _stated(root)
    names = stated if used <= set(stated) else sorted(used)  # dlib's order
    items, layout = from_named(objects, names)
    notes += outside_notes((item.image, item.points, item.box) for item in items)
    if names == _numbers(len(names)) and stated:
        layout = Layout()
    return Annotations(items, layout, problems, notes)


def _stated(root: ET.Element) -> list[str]:
    """The landmarks that the comment of a file of ours lists, since one may be missing everywhere."""
    _, found, behind = (root.findtext("comment") or "").partition(_STATED)
    try:
        names = json.JSONDecoder().raw_decode(f"[{behind}")[0] if found else []
    except (ValueError, RecursionError):
        return []
    fine = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
    return names if fine else []


def _numbers(count: int) -> list[str]:
    """Names that dlib sorts by their value: 00, 01 and so on."""
    width = max(2, len(str(max(count - 1, 0))))
    return [str(i).zfill(width) for i in range(count)]


def _object(where: str, element: ET.Element, one: NamedPoints, *, marks: MissingMarks) -> NamedPoints:
    left, top, width, height = (number(element.get(key), where, f"a box's {key}") for key in ("left", "top", "width", "height"))
    for part in element.findall("part"):
        name = text(part.get("name"), where, "a part's name")
        place = point(part.get("x"), part.get("y"), f"{where}: part {name!r}")
        missing = marks.missing(*place, f"{name} of {one.image}")
        one.mark(name, None if missing else place, where)
    if any((left, top, width, height)) and element.findtext("label") != _OWN_BOX:
        # The first pixel of the box is `left`, its first edge half a pixel before.
        found = box((left, top, left + width, top + height), where)
        one.box = None if found is None else box_from_edges(found)
    return one


def _dump(annotations: Annotations) -> str:
    count = annotations.n_points or 0
    own = annotations.layout.names
    named = own is not None and list(own) == sorted(own)  # dlib would put other names in another order
    names = list(own or ()) if named else _numbers(count)
    root = ET.Element("dataset")
    ET.SubElement(root, "name").text = "written by brule"
    ET.SubElement(root, "comment").text = f"landmarks {json.dumps(names, ensure_ascii=False)}"
    images = ET.SubElement(root, "images")
    elements: dict[str, ET.Element] = {}
    for item in annotations.items:
        if item.image not in elements:
            known = {} if item.size is None else {"width": str(item.size[0]), "height": str(item.size[1])}
            elements[item.image] = ET.SubElement(images, "image", {"file": item.image, **known})
        if item.labelled or item.box is not None:
            _write_object(elements[item.image], item, names)
    return xml_text(root)


def _write_object(image: ET.Element, item: Annotation, names: list[str]) -> None:
    left, top, right, bottom = (_rounded(edge) for edge in box_edges(item.box or _own_box(item)))
    edges = {"top": str(top), "left": str(left), "width": str(max(1, right - left)), "height": str(max(1, bottom - top))}
    element = ET.SubElement(image, "box", edges)
    if item.box is None:
        ET.SubElement(element, "label").text = _OWN_BOX
    for name, (x, y) in zip(names, item.points if item.points is not None else (), strict=False):
        if np.isfinite((x, y)).all():
            ET.SubElement(element, "part", name=name, x=str(_rounded(x)), y=str(_rounded(y)))


def _own_box(item: Annotation) -> Box:
    try:
        return landmark_box(item.points)  # type: ignore[arg-type]
    except DataError:  # all landmarks in one place
        x, y = np.nanmean(item.points, axis=0).tolist()  # type: ignore[arg-type]
        return (x - 0.5, y - 0.5, x + 0.5, y + 0.5)


def _rounded(value: float) -> int:
    return math.floor(float(value) + 0.5)


def _lost_names(annotations: Annotations) -> bool:
    names = annotations.layout.names
    return names is not None and list(names) != sorted(names)


class _Imglab(Format):
    def lost(self, annotations: Annotations) -> list[str]:
        """As of every format, and names whose order dlib would change."""
        found = super().lost(annotations)
        if _lost_names(annotations):
            found.append("the names of the landmarks (dlib sorts parts by name, so these are numbered)")
        return found


IMGLAB = _Imglab(
    name="imglab",
    title="dlib imglab XML",
    suffixes=(".xml",),
    load=load_xml,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset({"images", "missing", "boxes", "names", "several", "unlabelled"}),
)
