"""COCO keypoints: one JSON file with the names of the points, the skeleton and the visibility of every point.

Key points count pixels from the centre of the first one; boxes count from the corner of the image. Visibility 0 means
missing, 1 hidden, 2 visible. The skeleton counts from 1; files whose skeleton counts from 0 are understood.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from brule.coordinates import box_edges, box_from_edges, from_corner
from brule.data.formats.format import FEATURES, Format, SizeOf
from brule.data.formats.grouping import outside_notes
from brule.data.formats.marks import MissingMarks
from brule.data.formats.record import Annotation, Annotations, Outline, Problems, unless_numbers
from brule.data.formats.values import as_dict, as_list, box, counted, load_json, number, shown, size, text, tidy
from brule.data.samples import Box, Layout, landmark_box
from brule.errors import DataError

# Tools want a box with every object. Where we know none, the landmarks' stands there, marked, so that it isn't read back.
_OWN_BOX = "bbox_from_keypoints"


@dataclass(frozen=True)
class _Image:
    name: str
    size: tuple[int, int] | None


def _recognises(content: Any) -> bool:
    if isinstance(content, list):
        return _are_results(content)
    return isinstance(content, dict) and isinstance(content.get("images"), list) and "annotations" in content


def _are_results(content: list[Any]) -> bool:
    """Whether it is COCO's list of results, which is what programs write that predict."""
    first = content[0] if content else None
    return isinstance(first, dict) and {"image_id", "keypoints"} <= first.keys()


def _parse(path: Path, content: Any, size_of: SizeOf) -> Annotations:
    if isinstance(content, list) and _are_results(content):
        what = "a list of results: predictions, which name no image file; expected COCO with 'images' and 'annotations'"
        return Annotations(problems=[what], notes=[what], predicted=True)
    content = as_dict(content, f"{path}", "COCO")
    objects = as_list(content.get("annotations"), f"{path}: annotations", "objects")
    problems = Problems(path)
    images = _images(path, content)
    layouts, notes = _layouts(path, content)
    used = {category for one in objects if isinstance(one, dict) and one.get("keypoints") for category in [_category(one)]}
    if len(used) > 1 and _one_kind([layouts.get(key) for key in used]):
        notes.append(f"{counted(len(used), 'category')} with the same keypoints: read as one kind of objects")
    elif len(used) > 1:
        kinds = ", ".join(sorted(layouts[key].kind if key in layouts else shown(key) for key in used))
        raise DataError(f"{path}: holds keypoints of several kinds of objects ({kinds}); split it into one file per kind")
    kind = min(used, key=list(layouts).index) if len(used) > 1 else next(iter(used or layouts), None)
    layout = layouts.get(kind, Layout())
    wanted = used or {kind}
    order = {key: position for position, key in enumerate(images)}
    found: list[tuple[int, Annotation]] = []
    marks, scores = MissingMarks(), 0
    for number_, one in enumerate(objects, 1):
        with problems.caught():
            one = as_dict(one, f"{path}: annotation {number_}", "an annotation")
            image = images.get(_key(one.get("image_id")))
            if image is None:
                raise DataError(f"{path}: annotation {number_}: no image has the id {shown(one.get('image_id'))}")
            if one.get("iscrowd") or (kind is not None and _category(one) not in wanted):
                continue
            item = _item(f"{path}: annotation {number_} ({image.name})", one, image, layout=layout, marks=marks)
            scores += bool(one.get("keypoints")) and isinstance(one.get("score"), (int, float))
            found.append((order[_key(one.get("image_id"))], item))
    if crowd := len(objects) - len(found) - len(problems):
        notes.append(f"{counted(crowd, 'annotation')} of crowds or of other kinds of objects passed over")
    seen = {position for position, _ in found}
    found += [(order[key], Annotation(one.name, size=one.size)) for key, one in images.items() if order[key] not in seen]
    items = [item for _, item in sorted(found, key=lambda pair: pair[0])]
    notes += marks.notes() + outside_notes((item.image, item.points, item.box) for item in items)
    notes += [f"predictions, not labels: {counted(scores, 'annotation')} with a 'score'"] if scores else []
    if found_boxes := sum(item.box is not None for item in items) * (not used):
        notes.append(f"holds no keypoints: only its boxes are read ({found_boxes}); for landmarks, export COCO keypoints")
    elif objects and not used:
        notes.append("holds no keypoints, and no boxes: nothing of it is read; for landmarks, export COCO keypoints")
    return Annotations(items, layout, problems, notes, predicted=scores > 0)


def _one_kind(layouts: list[Layout | None]) -> bool:
    """Whether categories, such as those of species, have the same keypoints."""
    names = {None if layout is None else layout.names for layout in layouts}
    return len(names) == 1 and None not in names


def _images(path: Path, content: dict[str, Any]) -> dict[object, _Image]:
    images: dict[object, _Image] = {}
    for position, entry in enumerate(as_list(content.get("images"), f"{path}: images", "images"), 1):
        where = f"{path}: image {position}"
        entry = as_dict(entry, where, "an image")
        key = _key(entry.get("id"))
        if key in images:
            raise DataError(f"{where}: has the id {shown(entry.get('id'))}, as an earlier one has; ids must differ")
        name = text(entry.get("file_name"), where, "a 'file_name'")
        images[key] = _Image(name, size(entry.get("width"), entry.get("height"), where))
    return images


def _layouts(path: Path, content: dict[str, Any]) -> tuple[dict[object, Layout], list[str]]:
    """The layouts by category, and remarks."""
    found: dict[object, Layout] = {}
    notes = []
    for position, entry in enumerate(as_list(content.get("categories") or [], f"{path}: categories", "categories"), 1):
        where = f"{path}: category {position}"
        entry = as_dict(entry, where, "a category")
        names = [text(one, where, "a keypoint's name") for one in as_list(entry.get("keypoints") or [], where, "names")]
        pairs = [_pair(where, pair) for pair in as_list(entry.get("skeleton") or [], f"{where}: skeleton", "pairs")]
        first = 0 if any(0 in pair for pair in pairs) else 1
        if pairs and first == 0:
            notes.append("the skeleton counts from 0, where COCO counts from 1: understood so")
        try:
            layout = Layout(
                tuple(names) or None,
                tuple((a - first, b - first) for a, b in pairs),
                kind=text(entry.get("name") or "object", where, "a category's name"),
            )
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        found[_key(entry.get("id"))] = replace(layout, names=unless_numbers(names))
    return found, notes


def _pair(where: str, pair: object) -> tuple[int, int]:
    ends = [number(end, where, "an end of the skeleton") for end in as_list(pair, f"{where}: skeleton", "two indices")]
    if len(ends) != 2 or any(end != int(end) or end < 0 for end in ends):
        raise DataError(f"{where}: expected pairs of indices in 'skeleton', got {shown(pair)}")
    return int(ends[0]), int(ends[1])


def _item(where: str, one: dict[str, Any], image: _Image, *, layout: Layout, marks: MissingMarks) -> Annotation:
    found = None if one.get(_OWN_BOX) else _box(one.get("bbox"), where)
    values = one.get("keypoints")
    outlines = _outlines(one.get("segmentation"), layout.kind)
    if not values:
        return Annotation(image.name, box=found, size=image.size, outlines=outlines)
    values = _flat(as_list(values, f"{where}: keypoints", "x, y, visibility"))
    count = len(layout.names) if layout.names else len(values) // 3
    if len(values) != 3 * count:
        raise DataError(f"{where}: expected {count} keypoints of three numbers, x, y and visibility, got {len(values)} numbers")
    points = np.full((count, 2), np.nan, dtype=np.float32)
    occluded = np.zeros(count, dtype=bool)
    for i in range(count):
        x, y, visibility = values[3 * i : 3 * i + 3]
        if visibility not in (0, 1, 2):
            raise DataError(f"{where}: keypoint {i + 1}: expected visibility 0, 1 or 2, got {shown(visibility)}")
        if visibility:
            place = (number(x, f"{where}: keypoint {i + 1}", "x"), number(y, f"{where}: keypoint {i + 1}", "y"))
            name = layout.names[i] if layout.names else f"keypoint {i + 1}"
            if not marks.missing(*place, f"{name} of {image.name}"):
                points[i] = place
                occluded[i] = visibility == 1
    return Annotation(image.name, points, found, image.size, occluded if occluded.any() else None, outlines=outlines)


def _outlines(value: object, label: str) -> tuple[Outline, ...]:
    """The longest polygon of a segmentation: further ones are parts of the same object behind something else."""
    polygons = [one for one in value if isinstance(one, list)] if isinstance(value, list) else []  # else a mask
    longest = max(polygons, key=len, default=[])
    if len(longest) < 6 or len(longest) % 2 or not all(isinstance(edge, (int, float)) for edge in longest):
        return ()
    corners = np.array(longest, dtype=np.float64).reshape(-1, 2)
    return (Outline(label, from_corner(corners)),) if np.isfinite(corners).all() else ()


def _flat(values: list[Any]) -> list[Any]:
    """Key points as one list, if they come as a list of ``[x, y, visibility]``."""
    if not all(isinstance(one, list) and len(one) == 3 for one in values):
        return values
    return [value for one in values for value in one]


def _box(value: object, where: str) -> Box | None:
    if value is None or value == []:
        return None
    edges = [number(edge, f"{where}: bbox", "an edge") for edge in as_list(value, f"{where}: bbox", "x, y, width, height")]
    if len(edges) != 4:
        raise DataError(f"{where}: expected bbox as x, y, width, height, got {len(edges)} numbers")
    left, top, width, height = edges
    if not any(edges):
        return None
    found = box((left, top, left + width, top + height), where)
    return None if found is None else box_from_edges(found)


def _category(one: dict[str, Any]) -> object:
    return _key(one.get("category_id"))


def _key(value: object) -> object:
    """An id; a number that a program wrote as text is that number."""
    if isinstance(value, str) and len(value) < 19 and value.isascii() and value.isdigit() and str(int(value)) == value:
        return int(value)
    return value if isinstance(value, (int, str, type(None))) else shown(value)


def _dump(annotations: Annotations) -> str:
    layout = annotations.layout
    ids: dict[str, int] = {}
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for item in annotations.items:
        if item.image not in ids:
            ids[item.image] = len(ids) + 1
            entry: dict[str, Any] = {"id": ids[item.image], "file_name": item.image}
            if item.size is not None:
                entry |= {"width": item.size[0], "height": item.size[1]}
            images.append(entry)
        if item.points is not None or item.box is not None:
            objects.append(_object(item, len(objects) + 1, ids[item.image]))
    category = {
        "id": 1,
        "name": layout.kind,
        "keypoints": annotations.names(annotations.n_points or 0),
        "skeleton": [[a + 1, b + 1] for a, b in layout.edges],
    }
    content = {"images": images, "annotations": objects, "categories": [category]}
    return json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"


def _object(item: Annotation, key: int, image: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": key, "image_id": image, "category_id": 1, "iscrowd": 0}
    if item.points is not None:
        there = np.isfinite(item.points).all(axis=1)
        hidden = item.occluded if item.occluded is not None else np.zeros(len(there), dtype=bool)
        entry["keypoints"] = [
            value
            for (x, y), seen, behind in zip(item.points.tolist(), there.tolist(), hidden.tolist(), strict=True)
            for value in ((tidy(x), tidy(y), 1 if behind else 2) if seen else (0, 0, 0))
        ]
        entry["num_keypoints"] = int(there.sum())
    found = item.box
    if found is None and item.labelled:
        try:
            found, entry[_OWN_BOX] = landmark_box(item.points), True  # type: ignore[arg-type]
        except DataError:  # all landmarks in one place
            found = None
    if found is not None:
        left, top, right, bottom = box_edges(found)
        entry |= {"bbox": [tidy(left), tidy(top), tidy(right - left), tidy(bottom - top)]}
        entry["area"] = tidy((right - left) * (bottom - top))
    return entry


COCO = Format(
    name="coco",
    title="COCO keypoints",
    suffixes=(".json",),
    load=load_json,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset(FEATURES) - {"curves", "scale"},
)
