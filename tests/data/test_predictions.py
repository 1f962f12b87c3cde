"""The way back: what ``brule predict`` writes becomes annotations where that is asked for, and never by itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import (
    FORMATS,
    Annotation,
    convert,
    find_images,
    read_annotations,
    read_folder,
    read_pts,
    read_shapes,
    write_pts,
)
from brule.data.conversion import write_predictions
from brule.data.training_data import box_files
from brule.errors import ConfigError, DataError

POINTS = {"a": [[10.5, 12.0], [30.0, 12.25], [20.0, 35.0]], "deep/b": [[11.0, 13.0], [31.0, 13.0], [21.0, 36.0]]}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Photographs, and what was predicted of them."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    rows = ["path,x0,y0,x1,y1,x2,y2,spread"]
    images = []
    for name, points in POINTS.items():
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (out / "overlays" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 40), "grey").save(photos / f"{name}.png")
        Image.new("RGB", (48, 40), "grey").save(out / "overlays" / f"{name}.jpg")
        write_pts(out / f"{name}.pts", np.array(points))
        rows.append(",".join(map(str, [photos / f"{name}.png", *np.ravel(points), 1.5])))
        images.append({"path": str(photos / f"{name}.png"), "points": points, "spread": [1, 2, 1.5]})
    (out / "landmarks.csv").write_text("\n".join(rows) + "\n")
    (out / "landmarks.json").write_text(json.dumps({"landmarks": 3, "names": ["ear", "eye", "nose"], "images": images}))
    return photos, out


@pytest.mark.parametrize("given", ["", "landmarks.csv", "landmarks.json"])
@pytest.mark.parametrize("name", FORMATS)
def test_predictions_become_annotations_of_every_format(folders: tuple[Path, Path], given: str, name: str) -> None:
    photos, out = folders
    format = FORMATS[name]
    target = photos if format.one_image else photos / f"back{format.suffixes[0]}"
    done = convert(out / given, target, write_as=name, images=photos)
    assert (done.n_images, done.n_objects) == (2, 2)
    samples = read_folder(photos, require_points=True)
    atol = 0.6 if "fractions" not in format.holds else 1e-2
    np.testing.assert_allclose([sample.points for sample in samples], list(POINTS.values()), atol=atol)
    named = given != "landmarks.csv" and "names" in format.holds
    assert (samples.layout.names == ("ear", "eye", "nose")) == named


def test_predictions_of_points_alone_find_their_images(folders: tuple[Path, Path]) -> None:
    photos, out = folders
    for name in ("landmarks.csv", "landmarks.json"):
        (out / name).unlink()
    for picture in (out / "overlays").rglob("*.jpg"):
        picture.unlink()
    assert convert(out, photos / "back.csv", write_as="csv", images=photos).n_objects == 2


def test_a_folder_of_predictions_is_no_folder_of_labels(folders: tuple[Path, Path]) -> None:
    photos, out = folders
    both = read_folder([photos, out])
    assert [sample.path.name for sample in both] == ["a.png", "b.png"] and both.n_points is None and not both.bad
    assert sum("predictions, not labels" in note for note in both.notes) == 1
    with pytest.raises(DataError, match="no labelled image"):
        read_folder([photos, out], require_points=True)
    assert [image.parent.name for image in find_images([photos, out])] == ["photos", "deep"]
    assert len(find_images(out / "overlays")) == 2  # asked for


@pytest.mark.parametrize("name", ["landmarks.csv", "landmarks.json"])
def test_predictions_asked_for_by_name_are_read(folders: tuple[Path, Path], name: str) -> None:
    photos, out = folders
    samples = read_folder([out / name, photos])
    np.testing.assert_allclose([sample.points for sample in samples], list(POINTS.values()))
    assert len(read_shapes(out / name)) == 2
    assert len(read_annotations(out / name)) == 2


def test_an_image_without_an_answer_has_no_landmarks(folders: tuple[Path, Path]) -> None:
    photos, out = folders
    content = json.loads((out / "landmarks.json").read_text())
    content["images"][0] |= {"points": None, "spread": None}
    (out / "landmarks.json").write_text(json.dumps(content))
    assert [sample.points is None for sample in read_folder([out / "landmarks.json", photos])] == [True, False]


@pytest.mark.parametrize(
    "points", [[[1, 2]], [[1, 2], [3, 4], 5], [[1, 2], [3, 4], ["x", 5]], "abc", [[1, 2], [3, 4], [1e99, 5]]]
)
def test_damaged_lists_are_named(folders: tuple[Path, Path], points: object) -> None:
    photos, out = folders
    content = json.loads((out / "landmarks.json").read_text())
    content["images"][0]["points"] = points
    (out / "landmarks.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"landmarks\.json: image 1: expected"):
        read_folder([out / "landmarks.json", photos])


def test_points_of_a_folder_of_predictions_stay_readable_one_by_one(folders: tuple[Path, Path]) -> None:
    np.testing.assert_allclose(read_pts(folders[1] / "a.pts"), POINTS["a"])


@pytest.mark.parametrize(
    "text", ["image,x0,y0,x1,y1\na.png,1,2,30,4\n", "image,oben,unten\na.png,1,2\n", "image,left\na.png,1\n"]
)
def test_a_file_of_boxes_without_boxes_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises((ConfigError, DataError), match=r"boxes\.csv: .*left"):
        box_files([str(tmp_path / "boxes.csv")])
    (tmp_path / "boxes.csv").write_text("image,xmin,ymin,xmax,ymax\na.png,1,2,30,40\n")
    assert box_files([str(tmp_path / "boxes.csv")]) == [tmp_path / "boxes.csv"]


def test_predictions_are_written_in_every_format_and_are_no_labels(folders: tuple[Path, Path]) -> None:
    photos, out = folders
    items = [
        Annotation(str(photos / f"{name}.png"), np.array(points, dtype=np.float32), size=(48, 40))
        for name, points in POINTS.items()
    ]
    for format in FORMATS.values():
        write_predictions(items, out, format=format, names=("ear", "eye", "nose"), edges=((0, 1),))
    assert (out / "landmarks-coco.json").is_file() and (out / "labelme" / "a.json").is_file()
    both = read_folder([photos, out])
    assert both.n_points is None and not both.bad and len(both) == 2
    read = read_folder([out / "landmarks-cvat.xml", photos])
    np.testing.assert_allclose([sample.points for sample in read], list(POINTS.values()), atol=1e-4)
    assert read.layout.names == ("ear", "eye", "nose") and read.layout.edges == ((0, 1),)
