"""Conversion of objects that don't fit together, and of images that are broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from brule.data import convert
from brule.errors import DataError
from tests.data.cases.case import WING, labelme, picture, pictures, write

CORNERS = ((12, 50), (88, 22), (40, 30), (20, 20))


def pts(count: int) -> str:
    return f"version: 1\nn_points: {count}\n{{\n" + "".join(f"{x} {y}\n" for x, y in CORNERS[:count]) + "}\n"


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Two images with three landmarks, and one with four."""
    counts = {"a": 3, "b": 3, "c": 4}
    write(tmp_path / "odd", {**pictures("a.png", "b.png", "c.png"), **{f"{k}.pts": pts(n) for k, n in counts.items()}})
    return tmp_path / "odd"


TARGETS = {
    "csv": "t.csv",
    "via": "t.json",
    "imglab": "t.xml",
    "cvat": "t.xml",
    "labelstudio": "t.json",
    "coco": "t.json",
    "dlc": "t.csv",
    "yolo": "t",
}


@pytest.mark.parametrize("name", TARGETS)
def test_an_odd_number_of_landmarks_is_refused(odd: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "out" / TARGETS[name]
    with pytest.raises(DataError, match=r"c\.png: .* has 4 points, but 2 of 3 objects have 3.*--skip-bad"):
        convert(odd, target, write_as=name)
    assert not target.exists()
    done = convert(odd, target, write_as=name, skip_bad=True)
    assert (done.n_images, done.n_objects, [bad.path.name for bad in done.bad]) == (2, 2, ["c.png"])


def test_a_file_for_each_image_holds_any_number(odd: Path, tmp_path: Path) -> None:
    done = convert(odd, tmp_path / "out", write_as="labelme")
    assert (done.n_objects, list(done.bad)) == (3, [])


def test_names_say_how_many_landmarks_there_are(tmp_path: Path) -> None:
    """Beside landmarks with names, even the more frequent number is odd."""
    content = {"a.pts": pts(3), "b.pts": pts(3), "c.json": labelme("c.png", WING)}
    write(tmp_path / "in", {**pictures("a.png", "b.png", "c.png"), **content})
    with pytest.raises(DataError, match=f"a.png: .* has 3 points, but the landmarks have {len(WING)} names"):
        convert(tmp_path / "in", tmp_path / "out", write_as="labelme")
    done = convert(tmp_path / "in", tmp_path / "out", write_as="labelme", skip_bad=True)
    assert [file.name for file in done.files] == ["c.json"]


def test_broken_images_are_left_out(tmp_path: Path) -> None:
    rows = "".join(f"{name}.png,1,2,3,4\n" for name in "abbc")
    write(tmp_path / "in", {"a.png": picture(), "b.png": b"junk", "c.png": picture(), "t.csv": f"image,x0,y0,x1,y1\n{rows}"})
    for source in (tmp_path / "in", tmp_path / "in" / "t.csv"):
        with pytest.raises(DataError, match=r"b\.png: .*--skip-bad"):
            convert(source, tmp_path / "u.csv", write_as="csv")
        done = convert(source, tmp_path / "u.csv", write_as="csv", skip_bad=True, force=True)
        assert (done.n_images, [bad.path.name for bad in done.bad]) == (2, ["b.png"])
