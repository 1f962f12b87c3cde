"""The laws of names: they decide which landmark is which, whatever the order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from brule.data import Layout, Sample, SampleList, read_shapes, write_shapes
from brule.data.names import match_names, name_remarks, samples_in_order
from brule.data.shapes import Shapes
from brule.errors import DataError

FOUR = np.array([[1, 2], [3, 4], [5, 6], [7, 8]], dtype=np.float32)


def match(own: str | None, wanted: str | None):
    split = [None if names is None else tuple(names.split()) for names in (own, wanted)]
    return match_names(split[0], split[1], what="te.json", reference="the detector")


def test_points_and_edges_move_with_their_names() -> None:
    found = match("tip base fork hook", "base hook tip fork")
    np.testing.assert_array_equal(found.points(FOUR), [[3, 4], [7, 8], [1, 2], [5, 6]])
    assert found.edges([(0, 1), (3, 2)]) == ((2, 0), (1, 3)) and found.remark == ""


def test_what_only_one_side_has_is_dropped_or_missing() -> None:
    more = match("tip base fork hook", "fork tip")
    np.testing.assert_array_equal(more.points(FOUR), [[5, 6], [1, 2]])
    assert more.edges([(0, 1), (0, 2)]) == ((1, 0),) and "left out: 'base', 'hook'" in more.remark
    fewer = match("tip base", "base fork tip")
    np.testing.assert_array_equal(fewer.points(FOUR[:2]), [[3, 4], [np.nan, np.nan], [1, 2]])
    assert "missing here: 'fork'" in fewer.remark


@pytest.mark.parametrize(("own", "wanted"), [("a b", "a b"), (None, None)])
def test_equal_names_and_no_names_move_nothing(own: str | None, wanted: str | None) -> None:
    assert match(own, wanted).order is None and match(own, wanted).remark == ""


def test_names_on_one_side_are_remarked() -> None:
    assert match("a b", None).remark.startswith("the detector has no landmark names, te.json has ('a', 'b')")
    assert match(None, "a b").remark.startswith("te.json has no landmark names, the detector has ('a', 'b')")


@pytest.mark.parametrize(
    ("own", "wanted", "text"),
    [
        ("Tip base", "tip base", "'tip' of the detector, got 'Tip' \\('Tip' is almost 'tip'\\)"),
        ("left_eye nose", "lefteye nose", "'left_eye' is almost 'lefteye'"),
        ("noze x", "nose x", "'noze' is almost 'nose'"),
        ("a b", "c d", "expected the landmarks 'c', 'd' of the detector, got 'a', 'b'; "),
    ],
)
def test_other_names_stop(own: str, wanted: str, text: str) -> None:
    with pytest.raises(DataError, match=f"te\\.json: .*{text}"):
        match(own, wanted)


def test_samples_keep_the_crop_of_all_their_landmarks() -> None:
    samples = SampleList([Sample(Path("a.png"), FOUR), Sample(Path("b.png"))], layout=Layout(tuple("abcd"), ((0, 3),)))
    ordered = samples_in_order(samples, ("d", "a"))
    np.testing.assert_array_equal(ordered[0].points, [[7, 8], [1, 2]])
    assert ordered.layout == Layout(("d", "a"), ((1, 0),)) and len(ordered.notes) == 1 and samples.notes == []
    wide = samples_in_order(samples, tuple("abcde"))
    assert wide[0].crop() == samples[0].crop() and np.isnan(wide[0].points[4]).all() and wide[1].points is None


def test_almost_equal_names_are_pointed_out() -> None:
    names = ["tip", "Tip ", "base"]
    (remark,) = name_remarks(names, np.array([[1, 0, 1], [0, 1, 1]], dtype=bool))
    assert "'tip' (in 1 of 2) and 'Tip ' (in 1 of 2)" in remark
    assert name_remarks(names, np.ones((2, 3), dtype=bool)) == []  # both in one object: two landmarks


def test_a_rare_name_in_the_place_of_another_is_pointed_out() -> None:
    present = np.ones((6, 3), dtype=bool)
    present[:, 2] = False
    present[3] = [False, True, True]
    (remark,) = name_remarks(["tip", "base", "tpi"], present)
    assert "'tpi' is in 1 of 6 objects only, where 'tip' is missing" in remark
    present[3, 0] = True  # nothing is missing: a landmark of its own
    assert name_remarks(["tip", "base", "tpi"], present) == []


def test_names_survive_a_file_of_shapes(tmp_path: Path) -> None:
    shapes = Shapes([FOUR.astype(np.float64), FOUR[::-1] ** 2], ["one", "two"], landmarks=tuple("dcba"))
    write_shapes(tmp_path / "shapes.json", shapes)
    assert read_shapes(tmp_path / "shapes.json").landmarks == tuple("dcba")
    (tmp_path / "bad.json").write_text('{"shapes": [[[0, 0], [1, 1], [2, 1]]], "landmarks": ["a", "a", "b"]}')
    with pytest.raises(DataError, match=r"bad\.json: two landmarks are called 'a'"):
        read_shapes(tmp_path / "bad.json")
