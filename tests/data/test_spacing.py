"""Millimetres: from DICOM, SCALE of TPS and labelme, through samples, tables and lists of predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from brule.data import convert, read_folder
from brule.errors import DataError
from tests.data.cases.case import WING, labelme, numbered, picture, pictures, tps, wing, write
from tests.data.cases.test_6_formats import dicom, ramp

HEAD = "image,x0,y0,x1,y1,x2,y2,x3,y3"


def spacings(*paths: Path) -> list[tuple[float, float] | None]:
    return [sample.spacing for sample in read_folder(list(paths))]


def test_scale_of_tps(tmp_path: Path) -> None:
    write(tmp_path, {**pictures("a.png", "b.png"), "a.tps": tps({"a.png": wing()}, more="SCALE=0,05\n")})
    assert spacings(tmp_path) == [(0.05, 0.05), None]


def test_scale_of_labelme(tmp_path: Path) -> None:
    write(tmp_path, {**pictures("a.png"), "a.json": labelme("a.png", WING, scale=0.25)})
    assert spacings(tmp_path) == [(0.25, 0.25)]


def test_scale_counts_without_landmarks(tmp_path: Path) -> None:
    write(tmp_path, {**pictures("a.png"), "a.tps": "LM=0\nIMAGE=a.png\nSCALE=0.5\n"})
    assert spacings(tmp_path) == [(0.5, 0.5)]


def test_dicom_states_rows_first_and_needs_no_annotation(tmp_path: Path) -> None:
    """The distance of rows, 0.3 mm, is the height of a pixel."""
    write(tmp_path, {"a.dcm": dicom(ramp(), PixelSpacing=[0.3, 0.2])})
    assert spacings(tmp_path) == [pytest.approx((0.2, 0.3))]
    (sample,) = read_folder(tmp_path / "a.dcm", check_images=False)
    assert sample.spacing == pytest.approx((0.2, 0.3))


def test_the_annotation_beats_the_image(tmp_path: Path) -> None:
    write(tmp_path, {"a.dcm": dicom(ramp(), PixelSpacing=[0.3, 0.3]), "a.tps": tps({"a.dcm": wing()}, more="SCALE=0.1\n")})
    assert spacings(tmp_path) == [(0.1, 0.1)]


def test_a_table_holds_the_scale(tmp_path: Path) -> None:
    write(tmp_path, {**pictures("a.png"), "a.tps": tps({"a.png": wing()}, more="SCALE=0.04\n")})
    done = convert(tmp_path / "a.tps", tmp_path / "t" / "a.csv", write_as="csv")
    assert done.lost == []
    head, row = (tmp_path / "t" / "a.csv").read_text().splitlines()
    assert head.endswith(",pixel_width_mm,pixel_height_mm") and row.endswith(",0.04,0.04")
    convert(tmp_path / "t" / "a.csv", tmp_path / "b.tps")
    assert "SCALE=0.04\n" in (tmp_path / "b.tps").read_text()


@pytest.mark.parametrize(
    ("cells", "scale"), [("0.04,0.04", "SCALE=0.04"), ("0.04,0.05", None), (",", None)], ids=["square", "not-square", "unknown"]
)
def test_predictions_keep_the_scale_of_square_pixels(tmp_path: Path, cells: str, scale: str | None) -> None:
    """TPS has one number for both axes."""
    table = f"path{HEAD[5:]},spread,score,flagged,pixel_width_mm,pixel_height_mm\na.png,{numbered(WING)},1,0.9,0,{cells}\n"
    spacing = None if cells == "," else [float(cell) for cell in cells.split(",")]
    entry = {"path": "a.png", "points": [list(point) for point in wing()], "mm_per_pixel": spacing}
    content = {"landmarks": 4, "names": list(WING), "images": [entry]}
    for name, text in {"csv": table, "json": json.dumps(content)}.items():
        write(tmp_path, {"photos/a.png": picture(), f"{name}/landmarks.{name}": text})
        convert(tmp_path / name, tmp_path / f"{name}.tps", images=[tmp_path / "photos"])
        lines = (tmp_path / f"{name}.tps").read_text().splitlines()
        assert [line for line in lines if line.startswith("SCALE")] == ([] if scale is None else [scale])


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    """A table has a column for each axis; the other formats have one number, or none, and it is reported."""
    write(tmp_path, {"a.dcm": dicom(ramp(), PixelSpacing=[0.3, 0.2]), "a.csv": f"{HEAD}\na.dcm,{numbered(WING)}\n"})
    done = convert(tmp_path, tmp_path / "b.csv", write_as="csv")
    head, row = (tmp_path / "b.csv").read_text().splitlines()
    assert done.lost == [] and head.endswith(",pixel_width_mm,pixel_height_mm") and row.endswith(",0.2,0.3")
    for name in ("b.tps", "json"):
        lost = convert(tmp_path / "b.csv", tmp_path / name, write_as="labelme" if name == "json" else None).lost
        assert "the length of pixels that aren't square" in lost
    assert "SCALE" not in (tmp_path / "b.tps").read_text()
    lost = convert(tmp_path / "b.csv", tmp_path / "b.json", write_as="coco").lost
    assert "the length of a pixel" in lost and "the length of pixels that aren't square" not in lost
    (sample,) = read_folder([tmp_path / "a.dcm", tmp_path / "b.csv"])
    assert sample.spacing == (0.2, 0.3)


def test_predictions_keep_the_names_of_landmarks(tmp_path: Path) -> None:
    content = {"landmarks": 2, "names": ["base", "tip"], "images": [{"path": "a.png", "points": [[12, 50], [88, 22]]}]}
    write(tmp_path, {**pictures("a.png"), "p.json": content})
    convert(tmp_path / "p.json", tmp_path / "a.csv", write_as="csv")
    assert (tmp_path / "a.csv").read_text().startswith("image,base_x,base_y,tip_x,tip_y")


@pytest.mark.parametrize("cells", ["0,0.1", "-1,-1", "x,0.1", "0.1,"])
def test_a_scale_that_is_none(tmp_path: Path, cells: str) -> None:
    write(tmp_path, {**pictures("a.png"), "a.csv": f"{HEAD},pixel_width_mm,pixel_height_mm\na.png,{numbered(WING)},{cells}\n"})
    with pytest.raises(DataError, match=r"pixel_(width|height)_mm"):
        read_folder(tmp_path)


def test_the_landmarks_stay_pixels(tmp_path: Path) -> None:
    write(tmp_path, {**pictures("a.png"), "a.tps": tps({"a.png": wing()}, more="SCALE=0.5\n")})
    (sample,) = read_folder(tmp_path)
    np.testing.assert_allclose(sample.points, wing(), atol=1e-4)


def test_a_table_of_named_predictions_is_one(tmp_path: Path) -> None:
    """It keeps the names, and its folder gives no labels."""
    table = "path,base_x,base_y,tip_x,tip_y,spread,score,flagged\na.png,12,50,88,22,1,0.9,0\n"
    write(tmp_path, {**pictures("a.png"), "landmarks.csv": table})
    assert read_folder(tmp_path)[0].points is None
    convert(tmp_path, tmp_path / "b.csv", write_as="csv")
    assert (tmp_path / "b.csv").read_text().startswith("image,base_x,base_y,tip_x,tip_y")
