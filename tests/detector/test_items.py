"""The order of images that are predicted: that in which they are given, whatever their names are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import BadFiles, Sample, write_pts
from brule.detector.items import as_boxes, items_one_by_one, predicted_files
from brule.errors import ConfigError, DataError

SIDES = {"c": 20, "a": 40, "b": 80}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, side in SIDES.items():
        Image.new("RGB", (side, side)).save(tmp_path / f"{name}.png")
    return tmp_path


def read(images: object, **options: object) -> list[tuple[int, int]]:
    """Index and side of every image, as they come."""
    found = items_one_by_one(images, options.pop("boxes", None), BadFiles(**options), factor=lambda *_: 1.0)  # type: ignore[arg-type]
    return [(one.index, one.picture.image.width) for one in found]


def test_a_list_of_files_keeps_its_order(folder: Path) -> None:
    paths = [folder / "c.png", folder / "a.png", folder / "b.png"]
    assert read(paths) == read(map(str, paths)) == [(0, 20), (1, 40), (2, 80)]
    assert read(paths[::-1]) == [(0, 80), (1, 40), (2, 20)]
    assert read(paths, boxes=[None, (0, 0, 9, 9), None]) == read(paths)


def test_a_folder_is_sorted_where_it_stands(folder: Path) -> None:
    Image.new("RGB", (160, 160)).save(folder / "z.jpg")
    (folder / "inner").mkdir()
    for name in ("y.png", "x.png"):
        Image.new("RGB", (10, 10) if name == "x.png" else (12, 12)).save(folder / "inner" / name)
    assert read([folder / "z.jpg", folder / "inner", folder / "*.png"]) == [
        (0, 160), (1, 10), (2, 12), (3, 40), (4, 80), (5, 20),
    ]  # fmt: skip


def test_a_file_that_is_given_twice_is_two_images(folder: Path) -> None:
    again = [folder / "c.png", folder / "c.png", folder / "a.png", folder / "c.png"]
    assert read(again) == [(0, 20), (1, 20), (2, 40), (3, 20)]


def test_the_boxes_of_one_file_are_one_image(folder: Path) -> None:
    boxes = [[1, 1, 8, 8], [9, 9, 8, 8]]
    coco = {
        "images": [{"id": 1, "file_name": "c.png", "width": 20, "height": 20}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [{"id": k, "image_id": 1, "category_id": 1, "bbox": box} for k, box in enumerate(boxes)],
    }
    (folder / "boxes.json").write_text(json.dumps(coco), encoding="utf-8")
    given = [folder / "c.png", folder / "c.png", folder / "a.png", folder / "boxes.json"]
    assert read(given) == [(0, 20), (0, 20), (1, 20), (1, 20), (2, 40)]
    objects = [Sample(folder / "c.png", box=(0, 0, 9, 9)), Sample(folder / "c.png", box=(5, 5, 9, 9)), Sample(folder / "a.png")]
    assert read(objects) == [(0, 20), (0, 20), (1, 40)]
    assert {k: one.path.name for k, one in predicted_files(objects).items()} == {0: "c.png", 1: "a.png"}


def test_the_files_of_a_prediction_have_its_indices(folder: Path) -> None:
    write_pts(folder / "b.pts", [[1.0, 2.0], [3.0, 4.0]])
    (folder / "broken.png").write_bytes(b"no picture")
    paths = [folder / "c.png", folder / "broken.png", folder / "b.png", folder / "a.png"]
    found = items_one_by_one(paths, None, bad := BadFiles(skip=True), factor=lambda *_: 1.0)
    indices = {one.index: one.sample.path for one in found}
    assert len(bad) == 1 and indices == {k: predicted_files(paths)[k].path for k in indices}
    with pytest.raises(DataError, match="pictures in memory"):
        predicted_files([Image.new("RGB", (8, 8))])


def test_a_box_may_be_numpy_scalars_and_must_be_numbers() -> None:
    assert list(as_boxes(tuple(np.array([5, 6, 60, 70])), single=True)) == [(5.0, 6.0, 60.0, 70.0)]
    with pytest.raises(ConfigError, match="four numbers, got"):
        list(as_boxes([("a", "b", "c", "d")], single=False))
