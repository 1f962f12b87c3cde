"""The laws of shapes: a shape knows nothing of its frame, and what is written comes back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brule.coordinates import pixels_to_unit
from brule.data import FORMATS, Annotation, Annotations, crop_box, landmark_box, write_annotations
from brule.data.formats import write_pts
from brule.data.shapes import Shapes, draw_shapes, read_shapes, to_crop, write_shapes
from brule.errors import DataError


def random_shapes(n: int, n_points: int = 7) -> list[np.ndarray]:
    return list(np.random.default_rng(n).uniform(0, 300, (n, n_points, 2)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my shapes ü"
    for i, points in enumerate(random_shapes(20)):
        write_pts(folder / f"{i:02d}.pts", points)
    return folder


@given(st.floats(0.01, 100), st.floats(-1000, 1000), st.floats(-1000, 1000))
def test_scale_and_place_do_not_matter(size: float, x: float, y: float) -> None:
    shape = random_shapes(1)[0]
    np.testing.assert_allclose(to_crop(shape * size + [x, y]), to_crop(shape), atol=1e-9)


def test_shape_fills_its_crop_by_the_crop_rule() -> None:
    shape = to_crop(np.array([[10.0, 0.0], [20.0, 130.0]]))
    np.testing.assert_allclose(shape, [[0.5 - 5 / 169, 0.5 - 0.5 / 1.3], [0.5 + 5 / 169, 0.5 + 0.5 / 1.3]])


def test_files_folder_and_json_say_the_same(folder: Path, tmp_path: Path) -> None:
    of_folder = read_shapes(folder)
    of_files = read_shapes(sorted(folder.iterdir()))
    write_shapes(tmp_path / "new" / "shapes.json", of_folder)
    of_json = read_shapes(tmp_path / "new" / "shapes.json")
    assert of_folder.names == of_files.names == of_json.names == [f"{i:02d}" for i in range(20)]
    assert of_folder.n_points == 7 and len(of_folder) == 20
    for a, b, c in zip(of_folder.points, of_files.points, of_json.points, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, atol=1e-12)


def test_draw_is_seeded_and_without_replacement(folder: Path) -> None:
    drawn = read_shapes(folder, n_shapes=10, seed=3)
    assert len(set(drawn.names)) == 10 and drawn.names == sorted(drawn.names)
    assert drawn.names == read_shapes(folder, n_shapes=10, seed=3).names
    assert drawn.names != read_shapes(folder, n_shapes=10, seed=4).names
    assert read_shapes(folder, n_shapes=20, seed=3).names == read_shapes(folder).names
    for n_shapes in (0, 21):
        with pytest.raises(DataError, match="1 to 20"):
            read_shapes(folder, n_shapes=n_shapes)


def test_sizes_may_differ(folder: Path) -> None:
    write_pts(folder / "more.pts", random_shapes(1, n_points=9)[0])
    assert read_shapes(folder).n_points is None


def test_bad_shape_raises_or_is_listed(folder: Path) -> None:
    (folder / "03.pts").write_text("version: 1\nn_points: 2\n{\n1 1\n")
    (folder / "04.jpg").write_text("images don't matter here")
    write_pts(folder / "05.pts", np.ones((4, 2)))
    with pytest.raises(DataError, match=r"03\.pts: .*truncated"):
        read_shapes(folder)
    shapes = read_shapes([*folder.iterdir()], skip_bad=True)
    assert [bad.path.name for bad in shapes.bad] == ["03.pts", "05.pts"]
    assert len(shapes) == 18


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        "[" * 100_000,
        "[]",
        "3",
        "{}",
        '{"shapes": []}',
        '{"shapes": 3}',
        '{"shapes": [3]}',
        '{"shapes": [[]]}',
        '{"shapes": [[[1, 2], [3]]]}',
        '{"shapes": [[[1, 2, 3]]]}',
        '{"shapes": [[[1, 2], [NaN, 3]]]}',
        '{"shapes": [[[1, 2], [1e999, 3]]]}',
        '{"shapes": [[[1, 2], [4, 3], [NaN, 3]]]}',
        '{"shapes": [[[1, 2], [4, 3], null]]}',
        '{"shapes": [[null, null, null]]}',
        '{"shapes": [[[1, 2], ["x", 3]]]}',
        '{"shapes": [[[1, 2], [null, 3]]]}',
        '{"shapes": [[[1, 2], [{}, 3]]]}',
        '{"shapes": [[[1, 2], [1, 2]]]}',
        '{"shapes": [[[1, 2], [' + "9" * 400 + ", 3]]]}",
        '{"shapes": [[[1, 2], [' + "9" * 5000 + ", 3]]]}",
    ],
)
def test_bad_json_is_a_data_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "shapes.json").write_text(content)
    with pytest.raises(DataError, match=r"shapes\.json: "):
        read_shapes(tmp_path / "shapes.json")


def test_missing_points_stay_missing_where_they_are(tmp_path: Path) -> None:
    holed = random_shapes(1)[0]
    holed[2] = np.nan
    for name, content in {"null": "null", "nulls": "[null, null]", "nan": "[NaN, NaN]"}.items():
        rows = [content if np.isnan(x) else f"[{x}, {y}]" for x, y in holed]
        (tmp_path / f"{name}.json").write_text(f'{{"shapes": [[{", ".join(rows)}]]}}')
        shapes = read_shapes(tmp_path / f"{name}.json")
        assert shapes.missing == [1] and np.isnan(shapes.points[0][2]).all()
        np.testing.assert_allclose(shapes.points[0], to_crop(holed))
    write_shapes(tmp_path / "written.json", shapes)
    assert "null" in (tmp_path / "written.json").read_text()
    np.testing.assert_allclose(read_shapes(tmp_path / "written.json").points[0], to_crop(holed), atol=1e-12)


def test_annotations_with_missing_points_are_shapes_if_three_are_left(tmp_path: Path) -> None:
    rows = ["image,x0,y0,x1,y1,x2,y2,x3,y3", "a.png,1,2,9,2,9,9,1,9", "b.png,,,9,2,9,9,1,9"]
    (tmp_path / "good.csv").write_text("\n".join(rows))
    shapes = read_shapes(tmp_path / "good.csv")
    assert shapes.missing == [0, 1] and np.isnan(shapes.points[1][0]).all()
    (tmp_path / "bad.csv").write_text("\n".join([*rows, "c.png,,,,,9,9,1,9"]))
    with pytest.raises(DataError, match=r"bad\.csv: c\.png: has 2 of its 4 points; a shape needs at least 3"):
        read_shapes(tmp_path / "bad.csv")
    left = read_shapes(tmp_path / "bad.csv", skip_bad=True)
    assert left.names == ["a", "b"] and len(left.bad) == 1


def test_json_of_another_encoding_and_no_shapes_at_all(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"shapes": "\xfc"}')
    with pytest.raises(DataError, match=r"latin\.json: not JSON"):
        read_shapes(tmp_path / "latin.json")
    with pytest.raises(DataError, match="no shape found"):
        read_shapes(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read_shapes(tmp_path / "nowhere")
    (tmp_path / "a.xyz").write_text("1 2")
    with pytest.raises(DataError, match=r"a\.xyz: expected an annotation"):
        read_shapes(tmp_path / "a.xyz")


def test_half_a_bad_file_is_left_out_whole(tmp_path: Path) -> None:
    good = random_shapes(1)[0].tolist()
    (tmp_path / "bad.json").write_text(json.dumps({"shapes": [good, [[1, 1], [1, 1]]]}))
    write_shapes(tmp_path / "good.json", Shapes(random_shapes(2), ["é", "b"]))
    shapes = read_shapes([tmp_path / "bad.json", tmp_path / "good.json"], skip_bad=True)
    assert shapes.names == ["é", "b"]
    assert len(shapes.bad) == 1


def boxed_file(folder: Path) -> tuple[Path, list[np.ndarray]]:
    """A COCO file of three objects; the first two have a box, which isn't that of their landmarks."""
    sets = random_shapes(3)
    boxes = [(-40.0, -30.0, 360.0, 300.0), (10.0, 20.0, 400.0, 350.0), None]
    items = [Annotation(f"{i}.jpg", one, box, (500, 500)) for i, (one, box) in enumerate(zip(sets, boxes, strict=True))]
    write_annotations(folder / "objects.json", Annotations(items), format=FORMATS["coco"])
    frames = [crop_box(box or landmark_box(one)) for one, box in zip(sets, boxes, strict=True)]
    return folder / "objects.json", [pixels_to_unit(one, frame) for one, frame in zip(sets, frames, strict=True)]


def test_a_known_box_says_where_a_shape_lies_in_its_crop(tmp_path: Path) -> None:
    path, wanted = boxed_file(tmp_path)
    shapes = read_shapes(path)
    assert shapes.placed == {0, 1}
    for found, expected in zip(shapes.points, wanted, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)  # the file has a few decimals


def test_its_place_survives_json_and_drawing(tmp_path: Path) -> None:
    shapes = read_shapes(boxed_file(tmp_path)[0])
    write_shapes(tmp_path / "kept.json", shapes)
    kept = read_shapes(tmp_path / "kept.json")
    assert kept.placed == shapes.placed
    for found, expected in zip(kept.points, shapes.points, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    for seed in range(5):
        drawn = draw_shapes(kept, 2, seed)
        assert drawn.placed == {i for i, name in enumerate(drawn.names) if kept.names.index(name) in kept.placed}
