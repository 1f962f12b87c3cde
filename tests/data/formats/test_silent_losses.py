"""What a table or VIA file holds is read, remarked on or refused: nothing is lost or moved in silence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import read_folder
from brule.data.formats.record import Annotation, Annotations
from brule.data.reading import parse_annotations
from brule.data.samples import SampleList
from brule.errors import DataError
from tests.data.cases.case import via, via_point

LONG = "image,point,x,y\na.png,tip,1,2\na.png,base,30,40\n"


def parsed(folder: Path, content: str, name: str = "points.csv") -> Annotations:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    found = parse_annotations(path, lambda image: (100, 80))
    assert found is not None
    return found


def only(annotations: Annotations) -> Annotation:
    (item,) = annotations.items
    return item


def read(folder: Path, content: str, *, name: str = "points.csv", skip_bad: bool = False) -> SampleList:
    for image in ("a.png", "b.png"):
        Image.new("L", (100, 80)).save(folder / image)
    (folder / name).write_text(content, encoding="utf-8")
    return read_folder(folder, require_points=True, skip_bad=skip_bad)


def points_of(samples: SampleList, image: str) -> list[list[float]]:
    (own,) = (sample.points for sample in samples if sample.path.name == image)
    assert own is not None
    return own.tolist()


def with_columns(head: str, *cells: str) -> str:
    lines = LONG.splitlines()
    return "".join(f"{line},{more}\n" for line, more in zip(lines, (head, *cells), strict=True))


# A long table.


def test_a_long_table_of_predictions_says_so(tmp_path: Path) -> None:
    found = parsed(tmp_path, with_columns("confidence", "0.9", "0.8"))
    assert found.predicted and found.notes == ["predictions, not labels: there is a column 'confidence'"]
    wide = parsed(tmp_path, "image,x0,y0,confidence\na.png,1,2,0.9\n")
    assert wide.notes == found.notes


def test_a_long_table_remarks_on_columns_that_are_not_read(tmp_path: Path) -> None:
    assert parsed(tmp_path, with_columns("visible", "1", "0")).notes == ["columns passed over: visible"]
    assert parsed(tmp_path, LONG).notes == []


def test_a_long_table_has_the_size_of_a_pixel(tmp_path: Path) -> None:
    heads = "pixel_width_mm,pixel_height_mm"
    for cells in (("0.5,0.25", "0.5,0.25"), ("0.5,0.25", ","), (",", "0.5,0.25")):
        found = parsed(tmp_path, with_columns(heads, *cells))
        assert only(found).spacing == (0.5, 0.25) and not found.problems and not found.notes
    assert "the size of a pixel differs" in parsed(tmp_path, with_columns(heads, "0.5,0.25", "0.5,0.5")).problems[0]


@pytest.mark.parametrize("cells", [("0,1,60,70", ",,,"), (",,,", "0,1,60,70"), ("0,1,60,70", "0,1,60,70")])
def test_the_box_may_be_in_any_row_of_its_object(tmp_path: Path, cells: tuple[str, str]) -> None:
    found = parsed(tmp_path, with_columns("left,top,right,bottom", *cells))
    assert only(found).box == (0, 1, 60, 70) and not found.problems


def test_the_size_of_the_image_may_be_in_any_row(tmp_path: Path) -> None:
    for cells in (("100,80", ","), (",", "100,80")):
        assert only(parsed(tmp_path, with_columns("width,height", *cells))).size == (100, 80)


def test_rows_of_one_object_with_different_boxes_are_refused(tmp_path: Path) -> None:
    content = with_columns("left,top,right,bottom", "0,1,60,70", "0,1,60,71") + "b.png,tip,1,2,,,,\nb.png,base,3,40,,,,\n"
    with pytest.raises(DataError, match=r"row 3 \(a.png\): the box differs between rows of one object"):
        read(tmp_path, content)
    assert [sample.path.name for sample in read(tmp_path, content, skip_bad=True)] == ["b.png"]


@pytest.mark.parametrize("broken", ["a.png,oops,4", "a.png,3,", "a.png,3,4,5"])
def test_a_row_left_out_moves_no_other_landmark(tmp_path: Path, broken: str) -> None:
    content = f"image,x,y\na.png,1,2\n{broken}\na.png,50,60\nb.png,1,2\nb.png,30,40\nb.png,51,61\n"
    with pytest.raises(DataError, match="row 3"):
        read(tmp_path, content)
    found = read(tmp_path, content, skip_bad=True)
    assert len(found.bad) == 1 and found.layout.names is None
    assert np.array_equal(points_of(found, "a.png"), [[1, 2], [np.nan, np.nan], [50, 60]], equal_nan=True)
    assert points_of(found, "b.png") == [[1, 2], [30, 40], [51, 61]]


def test_a_counted_row_without_image_is_never_left_out_alone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 3: expected an image's name"):
        parsed(tmp_path, "image,x,y\na.png,1,2\n,3,4\na.png,50,60\n")
    assert len(parsed(tmp_path, "image,point,x,y\na.png,p,1,2\n,q,3,4\na.png,r,50,60\n").problems) == 1


def test_a_row_of_imagej_left_out_moves_no_other_landmark(tmp_path: Path) -> None:
    content = " ,Label,X,Y\n1,a.png,1,2\n2,a.png,oops,4\n3,a.png,50,60\n4,b.png,1,2\n5,b.png,30,40\n6,b.png,51,61\n"
    found = parsed(tmp_path, content)
    assert len(found.problems) == 1 and "row 3 (a.png)" in found.problems[0]
    own = [item.points for item in found.items]
    assert all(points is not None and points.shape == (3, 2) for points in own)
    first = own[0]
    assert first is not None and np.isnan(first[1]).all() and first[2].tolist() == [49.5, 59.5]


# VIA.


def via_file(*names: str | None) -> str:
    """Two images, the first with points of these names, one without a name where it is None."""
    points = [(10.0 * i, 5.0 + i * i) for i in range(len(names))]
    own = [via_point(name or "", point) for name, point in zip(names, points, strict=True)]
    for region, name in zip(own, names, strict=True):
        region["region_attributes"] = {} if name is None else region["region_attributes"]
    other = [via_point(name, point) for name, point in zip(("tip", "base", "fork"), [(1, 2), (30, 40), (50, 5)], strict=True)]
    return json.dumps(via({"a.png": own, "b.png": other}))


@pytest.mark.parametrize("nameless", [None, ""])
def test_a_point_without_a_name_spoils_its_image_and_no_other(tmp_path: Path, nameless: str | None) -> None:
    content = via_file("fork", nameless, "base")
    with pytest.raises(DataError, match=r"a\.png: expected a landmark's name as the attribute 'landmark'"):
        read(tmp_path, content, name="via.json")
    found = read(tmp_path, content, name="via.json", skip_bad=True)
    assert found.layout.names == ("base", "fork", "tip")
    assert [sample.path.name for sample in found] == ["b.png"]
    assert points_of(found, "b.png") == [[30, 40], [50, 5], [1, 2]]


def test_points_are_counted_if_none_has_a_name(tmp_path: Path) -> None:
    regions = [{**via_point("", point), "region_attributes": {"object": "1"}} for point in [(9.0, 8.0), (1.0, 2.0)]]
    found = parsed(tmp_path, json.dumps(via({"a.png": regions})), "via.json")
    points = only(found).points
    assert points is not None and points.tolist() == [[9, 8], [1, 2]] and found.layout.names is None


def test_a_remark_at_one_point_is_not_taken_for_its_name(tmp_path: Path) -> None:
    regions = [via_point(name, point) for name, point in [("tip", (1, 2)), ("base", (30, 40))]]
    regions[0]["region_attributes"]["comment"] = "blurred"
    for region in regions:
        region["region_attributes"]["animal"] = "fly"
    assert parsed(tmp_path, json.dumps(via({"a.png": regions})), "via.json").layout.names == ("base", "tip")


# Commas where commas don't separate.


@pytest.mark.parametrize("separator", [";", "\t"])
def test_commas_that_may_group_thousands_are_refused(tmp_path: Path, separator: str) -> None:
    rows = ["image,x0,y0", "a.png,980,-", "b.png,870,+"]
    content = "".join(f"{row}\n" for row in rows).replace(",", separator).replace("-", "1,250").replace("+", "2,100")
    with pytest.raises(DataError, match=r"'1,250': is the comma a decimal comma, or does it group thousands\?"):
        parsed(tmp_path, content, "points.tsv")


@pytest.mark.parametrize("certain", ["12,5", "0,250", "1250,125", "7,25"])
def test_one_certain_decimal_comma_settles_it(tmp_path: Path, certain: str) -> None:
    found = parsed(tmp_path, f"image;x0;y0\na.png;980;1,250\nb.png;{certain};2,100\n", "points.csv")
    points = [item.points for item in found.items]
    assert points[0] is not None and points[0].tolist() == [[980, 1.25]]
    assert points[1] is not None and points[1][0, 0] == pytest.approx(float(certain.replace(",", ".")))


def test_a_table_that_is_no_annotation_may_have_such_commas(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("item;price\nlens;1,250\ncamera;2,100\n")
    found = read(tmp_path, LONG)
    assert [sample.path.name for sample in found] == ["a.png"]
