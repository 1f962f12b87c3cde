"""Polygons and polylines are read by every format that has them, in pixels, with their label, open or closed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brule.data.conversion import collect
from brule.data.samples import BadFiles

# In pixels, the centre of the first one at (0, 0); the image is 40 × 20.
WING = np.array([(2.0, 3.0), (10.0, 3.0), (10.0, 9.0)])
VEIN = np.array([(1.0, 2.0), (4.0, 2.0), (4.0, 6.0)])
EDGE = 0.5  # most formats count from the corner of the image


def labelme() -> dict[str, Any]:
    shapes = [
        {"label": "wing", "shape_type": "polygon", "points": (WING + EDGE).tolist()},
        {"label": "vein", "shape_type": "linestrip", "points": (VEIN + EDGE).tolist()},
    ]
    return {"version": "5.5.0", "imagePath": "a.png", "imageData": None, "imageWidth": 40, "imageHeight": 20, "shapes": shapes}


def via() -> dict[str, Any]:
    def region(label: str, kind: str, places: np.ndarray) -> dict[str, Any]:
        shape = {"name": kind, "all_points_x": places[:, 0].tolist(), "all_points_y": places[:, 1].tolist()}
        return {"shape_attributes": shape, "region_attributes": {"part": label}}

    regions = [region("wing", "polygon", WING), region("vein", "polyline", VEIN)]
    return {"_via_img_metadata": {"a.png-1": {"filename": "a.png", "size": -1, "regions": regions, "file_attributes": {}}}}


def cvat() -> str:
    def places(points: np.ndarray) -> str:
        return ";".join(f"{x + EDGE},{y + EDGE}" for x, y in points)

    shapes = (
        f'<polygon label="wing" points="{places(WING)}" occluded="0"/>'
        f'<polyline label="vein" points="{places(VEIN)}" occluded="0"/>'
    )
    return (
        '<?xml version="1.0"?><annotations><version>1.1</version>'
        f'<image id="0" name="a.png" width="40" height="20">{shapes}</image></annotations>'
    )


def supervisely() -> dict[str, Any]:
    def one(label: str, kind: str, places: np.ndarray) -> dict[str, Any]:
        return {"classTitle": label, "geometryType": kind, "points": {"exterior": places.tolist(), "interior": []}}

    objects = [one("wing", "polygon", WING), one("vein", "line", VEIN)]
    return {"description": "", "tags": [], "size": {"width": 40, "height": 20}, "objects": objects}


def labelstudio() -> list[dict[str, Any]]:
    percent = 100 * (WING + EDGE) / (40, 20)
    value = {"points": percent.tolist(), "polygonlabels": ["wing"], "closed": True}
    result = {"type": "polygonlabels", "original_width": 40, "original_height": 20, "value": value, "id": "x"}
    return [{"id": 1, "data": {"image": "a.png"}, "annotations": [{"id": 1, "result": [result]}]}]


def coco() -> dict[str, Any]:
    longest = (WING + EDGE).ravel().tolist()
    one = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 1, 0], longest], "bbox": [2.5, 3.5, 8, 6]}
    images = [{"id": 1, "file_name": "a.png", "width": 40, "height": 20}]
    return {"images": images, "annotations": [one], "categories": [{"id": 1, "name": "wing"}]}


FILES: dict[str, tuple[str, Any, bool]] = {
    "labelme": ("a.json", labelme, True),
    "via": ("via.json", via, True),
    "cvat": ("annotations.xml", cvat, True),
    "supervisely": ("a.png.json", supervisely, True),
    "labelstudio": ("tasks.json", labelstudio, False),  # it has no open lines
    "coco": ("coco.json", coco, False),
}


@pytest.mark.parametrize("name", FILES)
def test_outlines(name: str, tmp_path: Path) -> None:
    file, content, open_too = FILES[name]
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    made = content()
    (tmp_path / file).write_text(made if isinstance(made, str) else json.dumps(made))
    (item,) = collect(tmp_path, BadFiles()).items
    found = {one.label: one for one in item.outlines}
    assert set(found) == ({"wing", "vein"} if open_too else {"wing"})
    assert found["wing"].closed
    np.testing.assert_allclose(found["wing"].corners, WING)
    if open_too:
        assert not found["vein"].closed
        np.testing.assert_allclose(found["vein"].corners, VEIN)


def test_a_turned_photograph_turns_its_outlines(tmp_path: Path) -> None:
    upright = Image.new("RGB", (40, 20))
    exif = upright.getexif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise: x = 20 - 1 - y, y = x
    upright.save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "a.json").write_text(json.dumps({**labelme(), "imagePath": "a.jpg"}))
    (item,) = collect(tmp_path, BadFiles(skip=True)).items
    wing = next(one for one in item.outlines if one.label == "wing")
    np.testing.assert_allclose(wing.corners, np.stack([19 - WING[:, 1], WING[:, 0]], axis=1))


def test_a_segmentation_that_is_no_polygon_leaves_the_key_points_alone(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    for segmentation in ({"counts": [1, 2], "size": [20, 40]}, [["x", 1, 2, 3, 4, 5]], [[1, 2, 3]], "none"):
        content = coco()
        content["annotations"][0] |= {"segmentation": segmentation, "keypoints": [3, 4, 2], "num_keypoints": 1}
        (tmp_path / "coco.json").write_text(json.dumps(content))
        (item,) = collect(tmp_path, BadFiles()).items
        assert item.outlines == () and item.points is not None and item.points.tolist() == [[3, 4]]
