"""Label Studio's JSON: a list of tasks, one per image, with keypoints in percent of the image's size; and JSON-MIN.

Percent count from the corner of the image; a rectangle turns about its upper left corner. Of a task's annotations, the
ground truth counts, else the first that holds something and wasn't cancelled. ``parentID`` and relations group points
and rectangles into objects. A missing landmark is simply absent; we keep the landmarks' order and edges in the task's
``data``, which Label Studio carries along.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from brule.coordinates import box_from_edges, image_box, pixels_to_unit, unit_to_pixels
from brule.data.formats.format import FEATURES, Format, SizeOf, size_needed
from brule.data.formats.grouping import Grouping, LooseBox, Mark, outside_notes
from brule.data.formats.labelme import stated_content, stated_layout
from brule.data.formats.outlines import OtherShapes, outline_notes
from brule.data.formats.record import Annotation, Annotations, NamedPoints, Outline, Problems, from_named
from brule.data.formats.values import as_dict, as_list, box, counted, load_json, number, point, shown, size, text, turned_box
from brule.data.samples import Box, Layout
from brule.errors import DataError

_POINTS = ("keypointlabels", "keypoint", "labels")
_BOXES = ("rectanglelabels", "rectangle")
_POLYGONS = ("polygonlabels", "polygon")
_IMAGES = ("image", "img", "photo", "picture", "url")
_LABELS = ("keypointlabels", "rectanglelabels", "polygonlabels", "labels")


def _recognises(content: Any) -> bool:
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict):
        return False
    whole = isinstance(first.get("data"), dict) and ("annotations" in first or "predictions" in first or "completions" in first)
    return whole or _is_min(first)


def _is_min(task: dict[str, Any]) -> bool:
    """Whether a task is one of JSON-MIN: the results lie beside the image."""
    keys = {"annotation_id", "annotator", "lead_time"}
    results = any(_min_results(value) for value in task.values())
    return "data" not in task and results and (bool(keys & task.keys()) or any(name in task for name in _IMAGES))


def _min_results(value: object) -> bool:
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and "x" in first and any(key in first for key in _LABELS)


@dataclass
class _Counts:
    """What a file's tasks have that is worth a remark."""

    several: int = 0
    predicted: int = 0
    labelled: int = 0
    turned: list[str] = field(default_factory=list)
    others: OtherShapes = field(default_factory=OtherShapes)


def _parse(path: Path, content: Any, size_of: SizeOf) -> Annotations:
    problems, grouping, counts = Problems(path), Grouping(), _Counts()
    objects: list[NamedPoints] = []
    stated: list[str] | None = None
    layout = Layout()
    tasks = as_list(content, str(path), "tasks")
    predicted = not any(_done(task.get("annotations")) for task in tasks if isinstance(task, dict)) and any(
        isinstance(task, dict) and task.get("predictions") for task in tasks
    )
    for position, task in enumerate(tasks, 1):
        where = f"{path}: task {position}"
        with problems.caught():
            task = _whole(as_dict(task, where, "a task"))
            data = as_dict(task.get("data"), f"{where}: data", "the image")
            own, own_layout = stated_layout(data, where)
            if own is not None and stated not in (None, own):
                raise DataError(f"{where}: states other landmarks than the tasks before it")
            results = _chosen(task, where, counts, predicted=predicted)
            image = _image(where, data)
            found = _Results(f"{where} ({image})", image, size_of, counts=counts)
            for result in results:
                found.add(as_dict(result, where, "a result"))
            objects += found.objects(grouping)
            stated, layout = (own, own_layout) if own is not None else (stated, layout)
    items, layout = from_named(objects, stated, layout)
    notes = _notes(counts, predicted=predicted)
    notes += outline_notes(objects, counts.others, "keypoints nor rectangles") + grouping.notes()
    notes += outside_notes((item.image, item.points, item.box) for item in items)
    return Annotations(items, layout, problems, notes, predicted=predicted)


def _notes(counts: _Counts, *, predicted: bool) -> list[str]:
    notes = []
    if counts.several:
        what = "the ground truth counts, else the first that holds something"
        notes.append(f"{counted(counts.several, 'task')} with several annotations: {what}")
    if predicted:
        notes.append("predictions, not labels: no task has an annotation")
    if counts.turned:
        notes.append(
            f"{counted(len(counts.turned), 'image')} turned in Label Studio (image_rotation; the first is {counts.turned[0]}): "
            "check in a picture (`brule data inspect -o`) that the points fit"
        )
    return notes


def _whole(task: dict[str, Any]) -> dict[str, Any]:
    """A task of JSON-MIN in the form of JSON."""
    if "data" in task or not _is_min(task):
        return task
    results = []
    for key, value in task.items():
        for one in value if _min_results(value) else ():
            own = as_dict(one, key, "a result")
            kind = next((label for label in _LABELS if label in own), "")
            sizes = {name: own.get(name) for name in ("original_width", "original_height")}
            results.append({"type": kind, "value": own, "from_name": key, **sizes})
    data = {key: value for key, value in task.items() if isinstance(value, str)}
    return {"data": data, "annotations": [{"result": results}]}


def _done(annotations: object) -> list[dict[str, Any]]:
    """The annotations that weren't cancelled."""
    own = annotations if isinstance(annotations, list) else []
    return [one for one in own if isinstance(one, dict) and not one.get("was_cancelled") and not one.get("skipped")]


def _chosen(task: dict[str, Any], where: str, counts: _Counts, *, predicted: bool) -> list[Any]:
    """The results that count."""
    done = _done(as_list(task.get("annotations") or task.get("completions") or [], where, "annotations"))
    if predicted:
        done = _done(as_list(task.get("predictions") or [], where, "predictions"))
    filled = [one for one in done if one.get("result")]
    counts.several += len(filled) > 1
    best = next((one for one in filled if one.get("ground_truth")), filled[0] if filled else None)
    return [] if best is None else as_list(best["result"], where, "results")


def _image(where: str, data: dict[str, Any]) -> str:
    """The image's address: under ``image`` or its like, else the only text there is."""
    texts = [value for key, value in data.items() if isinstance(value, str)]
    found = next((data[key] for key in _IMAGES if isinstance(data.get(key), str)), None)
    return text(found or (texts[0] if len(texts) == 1 else None), f"{where}: data", "the image's address under 'image'")


class _Results:
    """The results of a task, which come as points, boxes, and relations between them."""

    def __init__(self, where: str, image: str, size_of: SizeOf, *, counts: _Counts) -> None:
        self._where, self._image, self._size_of, self._counts = where, image, size_of, counts
        self._size: tuple[int, int] | None = None
        self._points: list[tuple[dict[str, Any], str, tuple[float, float]]] = []
        self._boxes: list[tuple[dict[str, Any], LooseBox]] = []
        self._box_ids: set[str] = set()
        self._outlines: list[Outline] = []
        self._related: dict[str, str] = {}
        self._order: dict[str, None] = {}
        self._turned = False

    def add(self, result: dict[str, Any]) -> None:
        """Add a result; one of another kind is counted."""
        kind = result.get("type")
        value = result.get("value")
        if kind == "relation":
            self._related[shown(result.get("from_id"))] = shown(result.get("to_id"))
            self._related[shown(result.get("to_id"))] = shown(result.get("from_id"))
        elif kind in _POINTS and isinstance(value, dict) and "x" in value and ("height" not in value):
            self._add_point(result, value)
        elif kind in (*_BOXES, "labels") and isinstance(value, dict) and "height" in value:
            self._add_box(result, value)
        elif kind in _POLYGONS and isinstance(value, dict):
            corners = [as_list(one, self._where, "x, y") for one in as_list(value.get("points"), self._where, "corners")]
            if len(corners) > 1 and all(len(one) == 2 for one in corners):
                places = [self._pixels(one[0], one[1], result) for one in corners]
                self._outlines.append(Outline(self._label(value) or "outline", np.array(places)))
        elif kind == "labels" and isinstance(value, dict) and "x" not in value:
            return
        else:
            self._counts.others.note(kind, self._label(value) if isinstance(value, dict) else None)
        if not self._turned and result.get("image_rotation") not in (None, 0, 0.0, 360):
            self._turned = True
            self._counts.turned.append(self._image)

    def _add_point(self, result: dict[str, Any], value: dict[str, Any]) -> None:
        labels = next((value[key] for key in ("keypointlabels", "labels") if key in value), None)
        if labels is None and result.get("type") == "keypoint":
            return  # its label comes as a result of its own
        labels = as_list(labels, f"{self._where}: keypointlabels", "one label")
        if len(labels) != 1:
            raise DataError(f"{self._where}: expected one label of a keypoint, got {shown(labels)}")
        place = self._pixels(value.get("x"), value.get("y"), result)
        if (group := self._group(result)) is not None:
            self._order.setdefault(group)
        self._points.append((result, text(labels[0], self._where, "a label"), place))

    def _add_box(self, result: dict[str, Any], value: dict[str, Any]) -> None:
        x, y = (number(value.get(key), self._where, key) for key in "xy")
        wide, high = (number(value.get(key), self._where, f"a {key}") for key in ("width", "height"))
        width, height = self._known(result)
        edges: Box = (x / 100 * width, y / 100 * height, (x + wide) / 100 * width, (y + high) / 100 * height)
        if (found := box(edges, self._where)) is None:
            return
        angle = number(value.get("rotation") or 0, self._where, "a rotation")
        if result.get("id") is not None:
            if shown(result["id"]) in self._box_ids:
                return  # once more, with its label
            self._box_ids.add(shown(result["id"]))
            self._order.setdefault(shown(result["id"]))
        turned = box_from_edges(turned_box(found, angle, (found[0], found[1])))
        self._boxes.append((result, LooseBox(self._label(value) or "rectangle", turned)))

    @staticmethod
    def _label(value: dict[str, Any]) -> str | None:
        labels = next((value[key] for key in _LABELS if isinstance(value.get(key), list) and value[key]), None)
        return labels[0][:60] if labels and isinstance(labels[0], str) else None

    def _known(self, result: dict[str, Any]) -> tuple[int, int]:
        known = size(result.get("original_width"), result.get("original_height"), self._where)
        if known is None:
            lacking = f"{self._where}: a result without 'original_width' and 'original_height'; export as JSON, not JSON-MIN"
            try:
                known = self._size_of(self._image)
            except DataError as error:
                raise DataError(f"{lacking}; {str(error).partition(': ')[2]}") from error
            if 0 in known:
                raise DataError(lacking)
        self._size = known
        return known

    def _pixels(self, x: object, y: object, result: dict[str, Any]) -> tuple[float, float]:
        percent = np.array(point(x, y, self._where))
        pixel_x, pixel_y = unit_to_pixels(percent / 100, image_box(*self._known(result))).tolist()
        return pixel_x, pixel_y

    def objects(self, grouping: Grouping) -> list[NamedPoints]:
        """The objects of the task, at least one, which may be empty."""
        marks = [Mark(name, place, self._group(result)) for result, name, place in self._points]
        used = {mark.group for mark in marks}
        boxes = []
        for result, one in self._boxes:
            key = shown(result.get("id")) if result.get("id") is not None else None
            group = key if key in used else self._group(result)
            boxes.append(LooseBox(one.label, one.box, group if group in used else None))
        start = NamedPoints(self._image, self._size)
        found = grouping.objects(start, marks, boxes, where=self._where, order=list(self._order)) or [start]
        found[0].outlines += self._outlines
        return found

    def _group(self, result: dict[str, Any]) -> str | None:
        parent = result.get("parentID") or result.get("parent_id")
        if parent is not None:
            return shown(parent)
        related = self._related.get(shown(result.get("id")))
        return related if related in self._box_ids else None


def _dump(annotations: Annotations) -> str:
    names = annotations.names(annotations.n_points or 0)
    stated = stated_content(annotations)
    images: dict[str, list[Annotation]] = {}
    for item in annotations.items:
        images.setdefault(item.image, []).append(item)
    tasks = []
    for position, (image, items) in enumerate(images.items(), 1):
        results = [
            one
            for number_, item in enumerate(items, 1)
            for one in _results(item, names, annotations.layout.kind, position=number_)
        ]
        done = [{"result": results, "was_cancelled": False}] if results else []
        tasks.append({"id": position, "data": {"image": image, **stated}, "annotations": done})
    return json.dumps(tasks, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _results(item: Annotation, names: list[str], kind: str, *, position: int) -> Iterator[dict[str, Any]]:
    if item.points is None and item.box is None:
        return
    width, height = size_needed(item.size, item.image, "Label Studio")
    common = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    parent = f"object{position}"
    if item.box is not None:
        corners = np.array(item.box, dtype=np.float64).reshape(2, 2)
        (left, top), (right, bottom) = (100 * pixels_to_unit(corners, image_box(width, height))).tolist()
        place = {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0, "rectanglelabels": [kind]}
        yield {"id": parent, "type": "rectanglelabels", "from_name": "box", **common, "value": place}
    if item.points is not None:
        percent = 100 * pixels_to_unit(item.points.astype(np.float64), image_box(width, height))
        for name, (x, y) in zip(names, percent.tolist(), strict=True):
            if np.isfinite((x, y)).all():
                place = {"x": x, "y": y, "width": 0.5, "keypointlabels": [name]}
                own = {"id": f"{parent}-{name}", "parentID": parent}
                yield {**own, "type": "keypointlabels", "from_name": "landmarks", **common, "value": place}


LABELSTUDIO = Format(
    name="labelstudio",
    title="Label Studio JSON",
    suffixes=(".json",),
    load=load_json,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset(FEATURES) - {"occluded", "curves", "scale"},
)
