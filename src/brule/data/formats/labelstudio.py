"""Label Studio's JSON: a list of tasks, one an image, with ``keypointlabels`` in percent of the image's size.

Percent count from the corner of the image. The first annotation of a task counts, unless it was cancelled. A missing landmark
simply isn't there; we keep the landmarks' order and edges in the task's ``data``, which Label Studio carries along.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from brule.coordinates import image_box, pixels_to_unit, unit_to_pixels
from brule.data.formats.format import FEATURES, Format, SizeOf, size_needed
from brule.data.formats.labelme import stated_content, stated_layout
from brule.data.formats.record import Annotation, Annotations, NamedPoints, Problems, from_named
from brule.data.formats.values import as_dict, as_list, box, load_json, number, point, shown, size, text
from brule.data.samples import Layout
from brule.errors import DataError


def _recognises(content: Any) -> bool:
    first = content[0] if isinstance(content, list) and content else None
    return (
        isinstance(first, dict) and isinstance(first.get("data"), dict) and ("annotations" in first or "predictions" in first)
    )


def _parse(path: Path, content: Any, size_of: SizeOf) -> Annotations:
    problems = Problems(path)
    objects: list[NamedPoints] = []
    stated: list[str] | None = None
    layout = Layout()
    several = others = 0
    for position, task in enumerate(as_list(content, str(path), "tasks"), 1):
        where = f"{path}: task {position}"
        with problems.caught():
            data = as_dict(as_dict(task, where, "a task").get("data"), f"{where}: data", "the image")
            own, own_layout = stated_layout(data, where)
            if own is not None and stated not in (None, own):
                raise DataError(f"{where}: states other landmarks than the tasks before it")
            done = [one for one in as_list(task.get("annotations") or [], where, "annotations") if not _cancelled(one)]
            several += len(done) > 1
            results = as_list(as_dict(done[0], where, "an annotation").get("result") or [], where, "results") if done else []
            one = NamedPoints(_image(where, data))
            others += sum(not _add(f"{where} ({one.image})", one, result) for result in results)
            objects.append(one)
            stated, layout = (own, own_layout) if own is not None else (stated, layout)
    notes = [f"{several} tasks have several annotations: the first counts"] if several else []
    notes += [f"{others} results that are no key points or rectangles are passed over"] if others else []
    items, layout = from_named(objects, stated, layout)
    return Annotations(items, layout, problems, notes)


def _cancelled(annotation: object) -> bool:
    return isinstance(annotation, dict) and bool(annotation.get("was_cancelled"))


def _image(where: str, data: dict[str, Any]) -> str:
    """The image's address: under ``image`` or ``img``, else the only text there is."""
    texts = [value for key, value in data.items() if isinstance(value, str)]
    value = data.get("image") or data.get("img") or (texts[0] if len(texts) == 1 else None)
    return text(value, f"{where}: data", "the image's address under 'image'")


def _add(where: str, one: NamedPoints, result: object) -> bool:
    """Add a result; False if it is of another kind."""
    result = as_dict(result, where, "a result")
    kind = result.get("type")
    if kind not in ("keypointlabels", "rectanglelabels", "rectangle"):
        return False
    value = as_dict(result.get("value"), f"{where}: value", "a place")
    known = size(result.get("original_width"), result.get("original_height"), where)
    if known is None:
        raise DataError(f"{where}: a result without 'original_width' and 'original_height'; export as JSON, not JSON-MIN")
    one.size = known
    x, y = _pixels(where, value.get("x"), value.get("y"), known)
    if kind == "keypointlabels":
        labels = as_list(value.get("keypointlabels"), f"{where}: keypointlabels", "one label")
        if len(labels) != 1:
            raise DataError(f"{where}: expected one label of a key point, got {shown(labels)}")
        one.add(text(labels[0], where, "a label"), (x, y), where)
        return True
    wide, high = number(value.get("width"), where, "a width"), number(value.get("height"), where, "a height")
    right, bottom = x + wide / 100 * known[0], y + high / 100 * known[1]
    if one.box is not None:
        raise DataError(f"{where}: a second rectangle; expected one object a task")
    one.box = box((x, y, right, bottom), where)
    return True


def _pixels(where: str, x: object, y: object, known: tuple[int, int]) -> tuple[float, float]:
    percent = np.array(point(x, y, where))
    pixel_x, pixel_y = unit_to_pixels(percent / 100, image_box(*known)).tolist()
    return pixel_x, pixel_y


def _dump(annotations: Annotations) -> str:
    names = annotations.names(annotations.n_points or 0)
    stated = stated_content(annotations)
    tasks = []
    for position, item in enumerate(annotations.items, 1):
        result = _results(item, names, annotations.layout.kind)
        done = [{"result": result, "was_cancelled": False}] if result else []
        tasks.append({"id": position, "data": {"image": item.image, **stated}, "annotations": done})
    return json.dumps(tasks, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _results(item: Annotation, names: list[str], kind: str) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    if item.points is None and item.box is None:
        return results
    width, height = size_needed(item.size, item.image, "Label Studio")
    common = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    if item.box is not None:
        corners = np.array(item.box, dtype=np.float64).reshape(2, 2)
        (left, top), (right, bottom) = (100 * pixels_to_unit(corners, image_box(width, height))).tolist()
        place = {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0, "rectanglelabels": [kind]}
        results.append({"type": "rectanglelabels", "from_name": "box", **common, "value": place})
    if item.points is not None:
        percent = 100 * pixels_to_unit(item.points.astype(np.float64), image_box(width, height))
        for name, (x, y) in zip(names, percent.tolist(), strict=True):
            if np.isfinite((x, y)).all():
                place = {"x": x, "y": y, "width": 0.5, "keypointlabels": [name]}
                results.append({"type": "keypointlabels", "from_name": "landmarks", **common, "value": place})
    return results


LABELSTUDIO = Format(
    name="labelstudio",
    title="Label Studio JSON",
    suffixes=(".json",),
    load=load_json,
    recognises=_recognises,
    parse=_parse,
    dump=_dump,
    holds=frozenset(FEATURES) - {"occluded", "curves", "scale"},
    needs_size=True,
)
