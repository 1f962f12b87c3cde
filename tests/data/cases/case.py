"""What an input is: the files that a person has, and what has to come of them; and builders of such files."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import inspect_data
from brule.errors import DataError

Point = tuple[float, float] | None
Object = Mapping[str, Point] | Sequence[Point]
Box = tuple[float, float, float, float]

WING: dict[str, Point] = {"base": (12, 50), "tip": (88, 22), "notch": (60, 55), "fork": (40, 33)}
OTHER: dict[str, Point] = {"base": (15, 48), "tip": (91, 20), "notch": (63, 53), "fork": (43, 31)}
ORDER = ("tip", "base", "fork", "notch")  # neither that of WING nor the natural one
WIDTH, HEIGHT = 100, 80


@dataclass(frozen=True)
class Case:
    """An input.

    Args:
        files: text, bytes or a JSON value by path.
        points: by the image's file name, one entry an object: points by the landmark's name, or in their order; None is a
            missing one.
        boxes: by the image's file name, one entry an object.
        names: the landmarks' names in their order; None where they must have none; ... where it doesn't matter.
        labelled: how many objects have landmarks; by default as many as ``points`` has.
        remarks: patterns, each of which a remark or a refusal has to match.
        refused: patterns, each of which a refusal has to match.
        fine: no remark and no refusal at all.
        paths: what is read, of the folder; by default all of it.
    """

    files: Mapping[str, object]
    points: Mapping[str, Sequence[Object]] = field(default_factory=dict)
    boxes: Mapping[str, Sequence[Box | None]] = field(default_factory=dict)
    names: object = ...
    labelled: int | None = None
    remarks: Sequence[str] = ()
    refused: Sequence[str] = ()
    fine: bool = False
    paths: Sequence[str] = (".",)


def cases(known: Mapping[str, Case], pending: Mapping[str, Sequence[str]] | None = None) -> pytest.MarkDecorator:
    """Every case as a test; those by the reason for which they still go wrong are expected to."""
    reasons = {name: reason for reason, names in (pending or {}).items() for name in names}
    assert reasons.keys() <= known.keys()
    marks = {name: [pytest.mark.xfail(strict=True, reason=reason)] for name, reason in reasons.items()}
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=name, marks=marks.get(name, [])) for name, case in known.items()]
    )


def write(folder: Path, files: Mapping[str, object]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def check(case: Case, folder: Path) -> None:
    """Write the files, read them as a user would, and compare."""
    write(folder, case.files)
    try:
        found = inspect_data([str(folder / path) for path in case.paths])
    except DataError as error:
        assert case.refused or (case.remarks and not case.points), f"refused: {error}"
        for pattern in [*case.refused, *case.remarks]:
            assert re.search(pattern, str(error)), f"{pattern!r} isn't in: {error}"
        return
    refusals = [str(one) for one in found.bad]
    said = [*found.notes, *refusals]
    for pattern in case.refused:
        assert any(re.search(pattern, one) for one in refusals), f"no refusal matches {pattern!r}: {said}"
    for pattern in case.remarks:
        assert any(re.search(pattern, one) for one in said), f"no remark matches {pattern!r}: {said}"
    if not case.refused and not case.remarks:
        assert not refusals, refusals
    if case.fine:
        assert not said, said
    names = found.layout.names
    if case.names is not ...:
        assert names == case.names
    wanted = case.labelled if case.labelled is not None else sum(map(len, case.points.values()))
    if wanted or not case.refused:
        assert found.n_labelled == wanted
    for image, objects in case.points.items():
        own = [sample for sample in found.samples if sample.path.name == image and sample.points is not None]
        assert len(own) == len(objects), image
        for sample, expected in zip(own, objects, strict=True):
            if isinstance(expected, Mapping):
                assert names is not None and set(names) == set(expected), names
                expected = [expected[name] for name in names]
            np.testing.assert_allclose(sample.points, array(expected), atol=0.02, err_msg=image)
    for image, boxes in case.boxes.items():
        got = [sample.box for sample in found.samples if sample.path.name == image]
        assert len(got) == len(boxes), image
        for box, expected_box in zip(got, boxes, strict=True):
            assert (box is None) == (expected_box is None), (image, box)
            if expected_box is not None:
                np.testing.assert_allclose(box, expected_box, atol=0.02, err_msg=image)


def array(points: Sequence[Point]) -> np.ndarray:
    return np.array([(np.nan, np.nan) if point is None else point for point in points], dtype=np.float64)


def picture(
    width: int = WIDTH, height: int = HEIGHT, kind: str = "PNG", turned: int | None = None, colour: tuple = (90, 120, 60)
) -> bytes:
    """An image file; with an EXIF orientation, of that size before it is turned."""
    image = Image.new("RGB", (width, height), colour)
    exif = Image.Exif()
    if turned is not None:
        exif[0x0112] = turned
    file = io.BytesIO()
    image.save(file, kind, exif=exif.tobytes())
    return file.getvalue()


def pictures(*names: str) -> dict[str, object]:
    return {name: picture() for name in names}


def pts(points: Sequence[tuple[float, float]]) -> str:
    """ibug: the first pixel is (1, 1)."""
    rows = "\n".join(f"{x + 1} {y + 1}" for x, y in points)
    return f"version: 1\nn_points: {len(points)}\n{{\n{rows}\n}}\n"


def coco(objects: Mapping[str, Mapping[str, Point]], order: Sequence[str] = ORDER, **more: object) -> dict:
    """COCO: the centre of the first pixel is (0, 0); more keys of each annotation."""
    images = [{"id": i, "file_name": name, "width": WIDTH, "height": HEIGHT} for i, name in enumerate(objects)]
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "keypoints": flat([points[name] for name in order]), **more}
        for i, points in enumerate(objects.values())
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "wing", "keypoints": list(order)}]}


def flat(points: Sequence[Point]) -> list[float]:
    return [value for point in points for value in ((0, 0, 0) if point is None else (*point, 2))]


def labelme(image: str, points: Mapping[str, Point], *shapes: dict, **more: object) -> dict:
    """labelme: the corner of the first pixel is (0, 0)."""
    own = [labelme_shape(name, [point]) for name, point in points.items() if point is not None]
    size = {"imagePath": image, "imageData": None, "imageWidth": WIDTH, "imageHeight": HEIGHT}
    return {"version": "5.0.1", "flags": {}, "shapes": [*own, *shapes], **size, **more}


def labelme_shape(label: str, corners: Sequence[tuple[float, float]], kind: str = "point", group: int | None = None) -> dict:
    places = [[x + 0.5, y + 0.5] for x, y in corners]
    return {"label": label, "points": places, "group_id": group, "shape_type": kind, "flags": {}}


def cvat(**images: str) -> str:
    """CVAT: elements by the image's name without its suffix ``.png``."""
    parts = [
        f'<image id="{i}" name="{name}.png" width="{WIDTH}" height="{HEIGHT}">{elements}</image>'
        for i, (name, elements) in enumerate(images.items())
    ]
    return f'<?xml version="1.0"?><annotations><version>1.1</version><meta/>{"".join(parts)}</annotations>'


def cvat_points(label: str, *points: tuple[float, float], more: str = "") -> str:
    places = ";".join(f"{x + 0.5},{y + 0.5}" for x, y in points)
    return f'<points label="{label}" occluded="0" points="{places}" {more}></points>'


def cvat_each(points: Mapping[str, Point], more: str = "") -> str:
    return "".join(cvat_points(name, point, more=more) for name, point in points.items() if point is not None)


def csv(objects: Mapping[str, Mapping[str, Point]], order: Sequence[str] = ORDER) -> str:
    head = ["image", *(f"{name}_{axis}" for name in order for axis in "xy")]
    rows = [[image, *(cells(points[name]) for name in order)] for image, points in objects.items()]
    return "\n".join(",".join(row) for row in [head, *rows]) + "\n"


def cells(point: Point) -> str:
    return "," if point is None else f"{point[0]},{point[1]}"


def numbered(points: Mapping[str, Point]) -> str:
    """A CSV row's points, in the order of WING."""
    return ",".join(cells(points[name]) for name in WING)


def dlc(objects: Mapping[str, Mapping[str, Point]], order: Sequence[str] = ORDER, likelihood: float | None = None) -> str:
    per = 2 if likelihood is None else 3
    rows = [
        ["scorer", *["Ana"] * (per * len(order))],
        ["bodyparts", *(name for name in order for _ in range(per))],
        ["coords", *["x", "y", "likelihood"][:per] * len(order)],
    ]
    tail = "" if likelihood is None else f",{likelihood}"
    rows += [[image, *(cells(points[name]) + tail for name in order)] for image, points in objects.items()]
    return "\n".join(",".join(row) for row in rows) + "\n"


def tps(objects: Mapping[str, Sequence[tuple[float, float]]], height: int = HEIGHT, more: str = "") -> str:
    """TPS: the lower left corner is (0, 0), y points up."""
    text = ""
    for i, (image, points) in enumerate(objects.items()):
        text += f"LM={len(points)}\n" + "".join(f"{x + 0.5} {height - y - 0.5}\n" for x, y in points)
        text += f"IMAGE={image}\nID={i}\n{more}"
    return text


def studio_point(name: str, point: tuple[float, float], **more: object) -> dict:
    """Label Studio: percent of the image's size from its corner."""
    value = {"x": (point[0] + 0.5) / WIDTH * 100, "y": (point[1] + 0.5) / HEIGHT * 100, "width": 0.5, "keypointlabels": [name]}
    common = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {"type": "keypointlabels", "from_name": "kp", "to_name": "img", **common, "value": value, **more}


def studio_box(label: str, box: Box, *, rotation: float = 0, **more: object) -> dict:
    """Edges from the image's corner, in pixels."""
    left, top, right, bottom = box
    place = {"x": left / WIDTH * 100, "y": top / HEIGHT * 100, "width": (right - left) / WIDTH * 100}
    value = {**place, "height": (bottom - top) / HEIGHT * 100, "rotation": rotation, "rectanglelabels": [label]}
    common = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {"type": "rectanglelabels", "from_name": "box", "to_name": "img", **common, "value": value, **more}


def studio(*annotations: dict, image: str = "a.png", **more: object) -> list:
    return [{"id": 1, "data": {"image": image}, "annotations": list(annotations), **more}]


def studio_points(points: Mapping[str, Point], **more: object) -> list[dict]:
    return [studio_point(name, point, **more) for name, point in points.items() if point is not None]


def yolo(*objects: Sequence[Point], third: bool = True, box: Box = (5, 10, 95, 70), end: str = "") -> str:
    """YOLO-pose: fractions of the image's size from its corner; box by centre and size, here by its edges in pixels."""
    left, top, right, bottom = box
    place = [(left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT, (right - left) / WIDTH, (bottom - top) / HEIGHT]
    lines = []
    for points in objects:
        values = [0, *place]
        for point in points:
            own = (0, 0) if point is None else ((point[0] + 0.5) / WIDTH, (point[1] + 0.5) / HEIGHT)
            values += [*own, 0 if point is None else 2] if third else own
        lines.append(" ".join(f"{value:.8g}" for value in values) + end)
    return "\n".join(lines) + "\n"


def via_point(name: str, point: tuple[float, float]) -> dict:
    shape = {"name": "point", "cx": point[0], "cy": point[1]}
    return {"shape_attributes": shape, "region_attributes": {"landmark": name}}


def via(objects: Mapping[str, Sequence[dict]]) -> dict:
    return {
        f"{name}1234": {"filename": name, "size": 1234, "regions": list(regions), "file_attributes": {}}
        for name, regions in objects.items()
    }


def wing(points: Mapping[str, Point] = WING) -> list[tuple[float, float]]:
    return [point for point in points.values() if point is not None]
