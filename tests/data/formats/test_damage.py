"""Whatever lies in an annotation file: records come out, or a DataError that begins with the file's name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from brule.data import FORMATS, Annotation, Annotations, Format, Layout, read_annotations, read_folder, read_shapes
from brule.errors import DataError

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
POINTS = np.array([[1.5, 2], [30, 4], [5, 36]], dtype=np.float32)
GAP = np.array([[1.5, 2], [np.nan, np.nan], [5, 36]], dtype=np.float32)
LAYOUT = Layout(("eye", "nose", "tail"), ((0, 1), (1, 2)))
FULL = Annotations([Annotation("a.png", POINTS, (1, 2, 33, 35), (48, 40)), Annotation("b.png", GAP, None, (48, 40))], LAYOUT)
WHOLE = Annotations([FULL.items[0], replace(FULL.items[1], points=POINTS)], LAYOUT)


def good(format: Format) -> str:
    full = FULL if "missing" in format.holds else WHOLE
    return format.dump(Annotations(full.items[:1] if format.one_image else full.items, LAYOUT))


GOOD = {name: good(format) for name, format in FORMATS.items()}
# What tends to break a reader, in the place of anything.
POISON = [
    *("nan", "NaN", "inf", "-Infinity", "1e999", "-1", "0", "9" * 400, "9" * 5000, "null", "true", '""', "[]", "{}", "[[]]"),
    *('"x"', "\\ud800", "\\u0000", "\x00", "&#0;", "\ud7ff\ufffe", ",", ";", "\n", "=", "<", "</image>", "é", "1e30", "-1e31"),
]

every_format = pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (48, 40)).save(folder / name)
    return folder


def expect_records_or_data_error(folder: Path, format: Format, content: bytes) -> None:
    path = format.own_file(folder / "a.png") if format.one_image else folder / f"broken{format.suffixes[0]}"
    path.write_bytes(content)
    for read in (
        lambda: check(read_annotations(path, format=format, skip_bad=True)),
        lambda: check(read_annotations(path)),
        lambda: read_folder(path, skip_bad=True),
        lambda: read_shapes(path, skip_bad=True),
    ):
        try:
            read()
        except DataError as error:
            assert path.name in str(error)
            assert len(str(error)) < 3000
            str(error).encode()  # can be printed
    path.unlink()


def check(found: Annotations) -> None:
    assert found.items or found.problems
    for item in found.items:
        assert item.points is None or (item.points.dtype == np.float32 and item.points.shape[1] == 2)
        assert item.points is None or not np.isinf(item.points).any()


@every_format
def test_the_undamaged_file_is_read(folder: Path, format: Format) -> None:
    path = format.own_file(folder / "a.png") if format.one_image else folder / f"good{format.suffixes[0]}"
    path.write_text(GOOD[format.name], encoding="utf-8")
    assert len(read_annotations(path)) == (1 if format.one_image else 2)
    path.unlink()


@every_format
@FEW
@given(content=st.binary(max_size=200))
def test_any_bytes(folder: Path, format: Format, content: bytes) -> None:
    expect_records_or_data_error(folder, format, content)


@every_format
@FEW
@given(data=st.data())
def test_cut_off_anywhere(folder: Path, format: Format, data: st.DataObject) -> None:
    good = GOOD[format.name].encode()
    expect_records_or_data_error(folder, format, good[: data.draw(st.integers(0, len(good)))])


@every_format
@FEW
@given(seed=st.integers(0, 10**9))
def test_poisoned_anywhere(folder: Path, format: Format, seed: int) -> None:
    rng = np.random.default_rng(seed)
    good = GOOD[format.name]
    for _ in range(rng.integers(1, 4)):
        # Half of the time, a whole value is replaced, so that the file stays JSON, XML or a table.
        ends = (
            [i for i, sign in enumerate(good) if sign in '",:;<>{}[]()= \n'] if rng.random() < 0.7 else list(range(len(good)))
        )
        start = int(rng.choice(ends)) if ends else 0
        stop = next((end for end in ends if end > start + 1), start)
        good = good[: start + 1] + str(rng.choice(POISON)) + good[stop:]
    expect_records_or_data_error(folder, format, good.encode("utf-8", "surrogatepass"))


def values(content: object, path: tuple = ()) -> list[tuple]:
    """The places of all values in a JSON document."""
    children = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path] + [place for key, value in children for place in values(value, (*path, key))]


def one_of_each_kind(places: list[tuple]) -> list[tuple]:
    """The first of all places that differ in nothing but their position in lists."""
    kinds = {tuple("[]" if isinstance(key, int) else key for key in place): place for place in reversed(places)}
    return list(kinds.values())


VALUES = [
    *(None, True, -1, 0, 1, 2, 1.5, float("nan"), float("inf"), 10**400, -1e31, "", "x", "\ud800", "a\0b", "nan", "a.png"),
    *([], {}, [[]], [1], [1, 2], [{}], {"a": 1}, "../" * 50 + "x", "y" * 5000),
]


@pytest.mark.parametrize("which", [one_of_each_kind, pytest.param(list, marks=pytest.mark.long)], ids=["kinds", "all"])
@pytest.mark.parametrize("name", [name for name, format in FORMATS.items() if ".json" in format.suffixes])
def test_every_value_of_a_json_file_by_every_other(
    folder: Path, name: str, which: Callable[[list[tuple]], list[tuple]]
) -> None:
    for place in which(values(json.loads(GOOD[name]))):
        for value in VALUES:
            content = json.loads(GOOD[name])
            if not place:
                content = value
            else:
                target = content
                for key in place[:-1]:
                    target = target[key]
                target[place[-1]] = value
            path = folder / "broken.json"
            path.write_text(json.dumps(content))
            try:
                check(read_annotations(path, format=FORMATS[name], skip_bad=True))
            except DataError as error:
                assert str(error).startswith(f"{path}: "), (place, value)
                str(error).encode()
            path.unlink()


@every_format
@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "empty"), (b" \n\n ", "empty"), ("é".encode("latin-1") * 20, ""), (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "")],
)
def test_what_is_no_annotation_at_all(tmp_path: Path, format: Format, content: bytes, says: str) -> None:
    path = tmp_path / f"my file{format.suffixes[0]}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"(?s)my file\\{format.suffixes[0]}: .*{says}"):
        read_annotations(path, format=format)
    with pytest.raises(DataError, match=r"none.*: .*no such file"):
        read_annotations(tmp_path / f"none{format.suffixes[0]}")


BOMB = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<dataset><images><image file="&b;"/></images></dataset>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_entities_are_refused_unread(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "bomb.xml").write_bytes(BOMB.encode(encoding))
    with pytest.raises(DataError, match=r"bomb\.xml: declares a DOCTYPE"):
        read_annotations(tmp_path / "bomb.xml")


DEEP = {".json": "[" * 200_000, ".xml": "<a>" * 200_000 + "</a>" * 200_000}


@pytest.mark.parametrize("suffix", DEEP)
def test_depth(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"deep{suffix}").write_text(DEEP[suffix])
    with pytest.raises(DataError, match=f"deep\\{suffix}: "):
        read_annotations(tmp_path / f"deep{suffix}")


SAYS = {
    "a.json": [
        (GOOD["coco"].replace('"eye"', '"nose"'), "two landmarks are called 'nose'"),
        (GOOD["coco"].replace('"id": 2, "file_name"', '"id": 1, "file_name"'), "ids must differ"),
        (GOOD["coco"].replace("30.0, 4.0, 2", "30.0, 4.0, 3"), "keypoint 2: expected visibility 0, 1 or 2, got 3"),
        (GOOD["coco"].replace("30.0, 4.0, 2", "NaN, 4.0, 2"), "keypoint 2: expected a finite number as x, got nan"),
        (GOOD["coco"].replace('"image_id": 1', '"image_id": 9'), "no image has the id 9"),
        (GOOD["coco"].replace("[1, 2]", "[1, 4]"), r"the edge \(0, 3\) leads to"),
        (GOOD["coco"][:-40], "not JSON, or cut off"),
    ],
    "a.csv": [
        (GOOD["dlc"].replace("b.png", "a.png"), "row 5: a.png has a row already"),
        (GOOD["dlc"].replace("30.0,4.0", "30.0,"), "row 4 .a.png.: 'nose': has one coordinate without the other"),
        (GOOD["dlc"].replace("nose", "eye"), "two columns 'x' of the body part 'eye'"),
        (GOOD["csv"].replace("30.0", "inf"), "row 2 .a.png.: nose_x: expected a finite number"),
        (GOOD["csv"].replace("nose_x", "eye_x"), "two columns are called 'eye_x'"),
        (GOOD["csv"].replace("nose_x", "nose"), "lacks a column for x or y"),
        ("image,x0,y0,x2,y2\na,1,2,3,4", "aren't numbered one after the other"),
        ("image,x0,y0\na.png,1,2,3\n", "has 3 cells|has 4 cells"),
        ("image,x0,y0,left,top\na.png,1,2,3,4\n", "all of left, top, right and bottom"),
    ],
    "a.xml": [
        (GOOD["cvat"].replace('label="nose"', 'label="eye"'), "two points are called 'eye'"),
        (GOOD["cvat"].replace('xbr="33.5"', 'xbr="-3"'), "expected a box with an area, got one -4.5 wide"),
        (GOOD["imglab"].replace('width="32"', 'width="-32"'), "expected a box with an area"),
        (GOOD["imglab"].replace('x="30"', 'x="∞"'), "part 'nose': expected a number as x, got '∞'"),
        (GOOD["imglab"][:-20], "not XML, or cut off"),
    ],
    "a.tps": [
        (GOOD["tps"].replace("LM=3", "LM=4"), "line 1: expected 4 lines 'x y', but number 4 is 'IMAGE=a.png'"),
        (GOOD["tps"].replace("LM=3", "LM=-3"), "expected the number of points, got '-3'"),
        (GOOD["tps"].replace("NA NA", "NA 3"), "point 2: has one coordinate without the other"),
        ("1 2\n3 4\n", "expected KEY=value"),
        ("LM=2\n1 2", "expected 2 lines 'x y', but the file ends after 1"),
    ],
}


@pytest.mark.parametrize(("name", "content", "says"), [(name, *case) for name, cases in SAYS.items() for case in cases])
def test_what_is_wrong_is_said(folder: Path, name: str, content: str, says: str) -> None:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"{name}: .*(?:{says})"):
        read_annotations(path)
    path.unlink()
