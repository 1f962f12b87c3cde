"""The table of limits in docs/formats.md: its numbers are those of the code, and what is beyond is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from brule import files
from brule.data import FORMATS, Annotation, Annotations, image_lookup, large, read_annotations, write_annotations
from brule.data.formats import grouping, meant, record, values
from brule.errors import DataError, OutputError
from tests.data.cases.case import labelme, picture, pts, wing, write
from tests.data.formats.test_table import table

TPS_LANDMARKS = 1_000_000
NUMBERS = {
    "an annotation file": values.MAX_BYTES >> 20,
    "a name or path in it": values.MAX_TEXT_LENGTH,
    "a cell of a table": csv.field_size_limit(),
    "a coordinate, without its sign": values.MAX_NUMBER,
    "empty places in a file of named landmarks (objects × landmarks)": record.MAX_EMPTY,
    "landmarks of an object in TPS": TPS_LANDMARKS,
    "boxes × points of an image that nothing groups": grouping._MAX_PAIRS,
    "the embedded image of labelme": meant._MAX_EMBEDDED,
    "folders in a path of another machine": image_lookup.MAX_FOLDERS,
    "a side of an image": large.MAX_SIDE,
    "an image that is read in parts": large.MAX_PIXELS,
    "an image that is decoded in one piece": large.MAX_BYTES >> 20,
    "the name of a file that is written": files.MAX_NAME,
}
CSV = "image,x0,y0\n{},{},2\n"


def test_the_numbers_of_the_table() -> None:
    rows = table("Limits")
    assert set(rows) == {*NUMBERS, "nesting of JSON"}
    for what, number in NUMBERS.items():
        shown = f"{number:g}" if isinstance(number, float) else f"{number:,}"
        assert rows[what][0].startswith(shown), what


def deep(levels: int) -> str:
    return '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], "x": ' + "[" * levels + "]" * levels + "}"


def crowded() -> dict:
    """1,001 boxes and 1,000 points of one name, so that only boxes could separate the objects."""
    corners = {"shape_type": "rectangle", "label": "wing", "group_id": None, "points": [[1, 1], [90, 70]]}
    point = {"shape_type": "point", "label": "tip", "group_id": None, "points": [[5, 5]]}
    return {**labelme("a.png", {}), "shapes": [corners] * 1001 + [point] * 1000}


WITHIN = {
    "name": ("a.csv", CSV.format("n" * values.MAX_TEXT_LENGTH, 1)),
    "coordinate": ("a.csv", CSV.format("a.png", "-1e30")),
    "nesting": ("a.json", deep(100)),
}
BEYOND = {
    "name": ("a.csv", CSV.format("n" * (values.MAX_TEXT_LENGTH + 1), 1), "1001 characters"),
    "cell": ("a.csv", CSV.format("n" * (csv.field_size_limit() + 1), 1), "131,072 characters"),
    "coordinate": ("a.csv", CSV.format("a.png", "-1.1e30"), "finite number"),
    "nesting": ("a.json", deep(100_000), "nested"),
    "landmarks-of-tps": ("a.tps", f"LM={TPS_LANDMARKS + 1}\n1 2\n", "number of points"),
    "boxes-and-points": ("a.json", crowded(), "1001 boxes and 1000 points"),
    "empty-places": ("a.csv", "image,point,x,y\n" + "".join(f"{i}.png,p{i},1,2\n" for i in range(2001)), "2,001 landmarks"),
}


@pytest.mark.parametrize(("name", "content"), WITHIN.values(), ids=WITHIN)
def test_what_is_within_is_read(tmp_path: Path, name: str, content: object) -> None:
    write(tmp_path, {name: content})
    assert len(read_annotations(tmp_path / name).items) == 1


@pytest.mark.parametrize(("name", "content", "says"), BEYOND.values(), ids=BEYOND)
def test_what_is_beyond_is_refused(tmp_path: Path, name: str, content: object, says: str) -> None:
    write(tmp_path, {"a.png": picture(), name: content})
    with pytest.raises(DataError, match=says):
        read_annotations(tmp_path / name)


def test_a_file_beyond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a.pts": pts(wing())})
    with pytest.raises(DataError, match="longer than"):
        values.load_bytes(tmp_path / "a.pts", "an annotation", limit=20)


@pytest.mark.parametrize(
    ("name", "image"), [("pts", "ä" * 126 + ".p"), ("labelme", "ä" * 126 + ".p"), ("supervisely", "ä" * 125 + ".p")]
)
def test_names_that_are_too_long_to_write(tmp_path: Path, name: str, image: str) -> None:
    """Umlauts take two bytes: 252 + 4 with ``.pts``, 252 + 5 with ``.json``, 250 + 7 with ``.p.json``. Nothing is written."""
    items = [Annotation(one, np.array(wing(), dtype=np.float32), size=(100, 80)) for one in ("a.png", image)]
    with pytest.raises(OutputError, match=r"bytes, file systems take 255"):
        write_annotations(tmp_path / "out", Annotations(items), format=FORMATS[name])
    assert not (tmp_path / "out").exists()


def test_columns_have_no_limit(tmp_path: Path) -> None:
    count = 20_000
    head = ",".join(f"x{i},y{i}" for i in range(count))
    write(tmp_path, {"a.csv": f"image,{head}\na.png,{','.join(['1,2'] * count)}\n"})
    (item,) = read_annotations(tmp_path / "a.csv").items
    assert item.points is not None and item.points.shape == (count, 2)
