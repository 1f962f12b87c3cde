"""The laws of the .pts reader: what is written comes back, and nothing but DataError gets out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brule.data import read_annotations
from brule.data.formats import read_pts, write_pts
from brule.errors import DataError

GOOD = "version: 1\nn_points: 2\n{\n1.0 1.0\n11.5 21.25\n}\n"
FEW = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_file_counts_from_one(tmp_path: Path) -> None:
    points = read_pts(write(tmp_path / "a.pts", GOOD))
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points, [[0.0, 0.0], [10.5, 20.25]])


@FEW
@given(arrays(np.float32, st.tuples(st.integers(1, 80), st.just(2)), elements=st.floats(-5000, 5000, width=32)))
def test_round_trip(tmp_path: Path, points: np.ndarray) -> None:
    marks = [(points == place).all(axis=1, keepdims=True) for place in (-1, -2)]  # 0 0 and -1 -1 in the file: missing points
    points = np.where(marks[0] | marks[1], 5, points)
    write_pts(tmp_path / "a.pts", points)
    np.testing.assert_allclose(read_pts(tmp_path / "a.pts"), points, rtol=2e-7, atol=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace("{\n", "{\n\n").replace("\n}", "\n\n   \n}\n\n"),
        GOOD.replace("1.0 1.0", "\t1.0   1.0  "),
        GOOD.replace("n_points: 2", "n_points:  2"),
        GOOD.replace("n_points: 2\n", ""),
        GOOD.rstrip("\n"),
    ],
    ids=["CRLF", "BOM", "blank lines", "spaces", "wide header", "no count", "no last newline"],
)
def test_harmless_variants(tmp_path: Path, content: str) -> None:
    np.testing.assert_array_equal(read_pts(write(tmp_path / "a.pts", content)), [[0.0, 0.0], [10.5, 20.25]])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        ("1 2\n3 4\n", "expected a .pts"),
        (GOOD[:-3], "truncated"),
        (GOOD[:30], "truncated"),
        (GOOD + GOOD, "one pair of braces"),
        (GOOD.replace("n_points: 2", "n_points: 68"), "68.*holds 2"),
        (GOOD.replace("n_points: 2", "n_points: many"), "many"),
        ("version: 1\nn_points: 0\n{\n}\n", "no points"),
        (GOOD.replace("11.5", "nan"), "finite.*nan"),
        (GOOD.replace("11.5", "inf"), "finite.*inf"),
        (GOOD.replace("11.5", "1e99"), "finite.*1e99"),
        (GOOD.replace("11.5", "eleven"), "eleven"),
        (GOOD.replace("11.5 21.25", "11.5"), "two numbers"),
        (GOOD.replace("11.5 21.25", "11.5 21.25 3"), "two numbers"),
        (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4, "expected"),
    ],
)
def test_bad_file_says_its_name_and_why(tmp_path: Path, content: str | bytes, says: str) -> None:
    path = write(tmp_path / "bad face.pts", content)
    with pytest.raises(DataError, match=f"(?s)bad face.pts: .*{says}"):
        read_pts(path)


def test_missing_folder_and_endless_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.pts: .*no such file"):
        read_pts(tmp_path / "none.pts")
    with pytest.raises(DataError, match="no such file"):
        read_pts(tmp_path)
    with (tmp_path / "long.pts").open("wb") as file:
        file.truncate(2**26)
    with pytest.raises(DataError, match=r"long\.pts: longer than"):
        read_pts(tmp_path / "long.pts")


@FEW
@given(st.binary(max_size=300))
@example(b"{" + b"9" * 5000 + b" 1}")
@example(b"n_points: " + b"9" * 5000 + b"{1 1}")
@example("{\u0663 \u0664}".encode())
def test_any_bytes_give_points_or_a_data_error(tmp_path: Path, content: bytes) -> None:
    expect_points_or_data_error(write(tmp_path / "a.pts", content))


PARTS = ["{", "}", "\n", " ", "n_points:", "version:", "2", "1.5", "-1e30", "nan", "x", "\0"]


@FEW
@given(st.lists(st.sampled_from(PARTS), max_size=30))
def test_any_order_of_its_parts_gives_points_or_a_data_error(tmp_path: Path, tokens: list[str]) -> None:
    expect_points_or_data_error(write(tmp_path / "a.pts", "".join(tokens)))


@FEW
@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.text(max_size=3))
def test_any_damage_gives_points_or_a_data_error(tmp_path: Path, start: int, stop: int, instead: str) -> None:
    expect_points_or_data_error(write(tmp_path / "a.pts", GOOD[:start] + instead + GOOD[stop:]))


def expect_points_or_data_error(path: Path) -> None:
    try:
        points = read_pts(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert points.dtype == np.float32
        assert points.ndim == 2 and points.shape[1] == 2 and len(points) > 0
        assert np.isfinite(points).all()


@pytest.mark.parametrize("points", [np.zeros((3, 3)), np.zeros((0, 2)), np.array([[1.0, np.nan]]), np.zeros(4)])
def test_what_the_format_cannot_hold_is_not_written(tmp_path: Path, points: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"a\.pts: "):
        write_pts(tmp_path / "a.pts", points)
    assert not (tmp_path / "a.pts").exists()


def test_a_suffix_in_capitals_is_one(tmp_path: Path) -> None:
    write_pts(tmp_path / "new" / "a.PTS", np.ones((3, 2)))
    found = read_annotations(tmp_path / "new" / "a.PTS")
    assert [item.image for item in found.items] == [""]
    np.testing.assert_array_equal(found.items[0].points, np.ones((3, 2)))
