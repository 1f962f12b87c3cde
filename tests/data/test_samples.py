"""The laws of the record, the boxes, and the crop rule."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brule.data.samples import BadFiles, Sample, SampleList, crop_box, landmark_box, reject_odd_counts, split_by_name
from brule.errors import DataError

coordinate = st.floats(-1000, 1000)


@given(coordinate, coordinate, st.floats(0.5, 500), st.floats(0.5, 500), st.floats(0.1, 4))
def test_crop_is_a_square_about_the_centre(left: float, top: float, width: float, height: float, scale: float) -> None:
    box = crop_box((left, top, left + width, top + height), scale=scale)
    assert box[2] - box[0] == pytest.approx(scale * max(width, height))
    assert box[3] - box[1] == pytest.approx(scale * max(width, height))
    assert (box[0] + box[2]) / 2 == pytest.approx(left + width / 2, abs=1e-9)
    assert (box[1] + box[3]) / 2 == pytest.approx(top + height / 2, abs=1e-9)


def test_crop_by_hand() -> None:
    points = np.array([[10.0, 20.0], [30.0, 60.0], [np.nan, np.nan]])
    assert landmark_box(points) == (10.0, 20.0, 30.0, 60.0)
    assert Sample(Path("a.jpg"), points).crop() == pytest.approx((20 - 26, 40 - 26, 20 + 26, 40 + 26))


@pytest.mark.parametrize("points", [np.full((3, 2), np.nan), np.ones((3, 2)), np.ones((1, 2))])
def test_no_box_around_nothing(points: np.ndarray) -> None:
    with pytest.raises(DataError):
        landmark_box(points)


def test_crop_comes_from_the_box_before_the_points() -> None:
    points, box = np.array([[0.0, 0.0], [9.0, 9.0]]), (10.0, 10.0, 20.0, 20.0)
    assert Sample(Path("a"), points, box).crop() == crop_box(box)
    assert Sample(Path("a"), points).crop() == crop_box((0.0, 0.0, 9.0, 9.0))
    assert Sample(Path("a")).crop() is None
    assert Sample(Path("a"), np.full((2, 2), np.nan)).crop() is None


def test_unlabelled_keeps_the_crop_and_nothing_else() -> None:
    labelled = SampleList([Sample(Path("a"), np.array([[0.0, 3.0], [9.0, 7.5]])), Sample(Path("b"))])
    bare = labelled.unlabelled()
    assert all(sample.points is None for sample in bare)
    assert [sample.crop() for sample in bare] == [sample.crop() for sample in labelled]
    assert bare.n_points is None and labelled.n_points == 2


@pytest.mark.parametrize(
    ("points", "box"),
    [
        (np.zeros((2, 3)), None),
        (np.zeros((0, 2)), None),
        ([[0, "x"]], None),
        ([[0, np.inf]], None),
        (None, (5, 0, 5, 9)),
        (None, (5, 0, 1, 9)),
        (None, (0, 0, 9, np.nan)),
        (None, (0, 0, 9)),
    ],
)
def test_a_record_is_checked(points: object, box: object) -> None:
    with pytest.raises(DataError, match=r"face\.jpg: "):
        Sample(Path("face.jpg"), points, box)  # type: ignore[arg-type]


def test_error_of_points_in_one_place_names_the_file() -> None:
    with pytest.raises(DataError, match=r"face\.jpg: .*one place"):
        Sample(Path("face.jpg"), np.ones((3, 2))).crop()


def test_bad_files_raise_or_are_listed() -> None:
    with pytest.raises(DataError, match=r"a\.jpg: it is broken\. .*--skip-bad"):
        BadFiles().reject(Path("a.jpg"), "it is broken")
    listed = BadFiles(skip=True)
    listed.reject_error(Path("a.jpg"), DataError("a.jpg: it is broken"))
    assert listed == [(Path("a.jpg"), "it is broken")]
    assert str(listed[0]) == "a.jpg: it is broken"


def test_the_odd_number_of_points_is_bad_wherever_it_stands() -> None:
    def sample(name: str, n: int) -> Sample:
        return Sample(Path(name), np.arange(2.0 * n).reshape(n, 2))

    samples = [sample("odd", 5), sample("b", 3), Sample(Path("bare")), sample("c", 3)]
    bad = BadFiles(skip=True)
    assert [kept.name for kept in reject_odd_counts(samples, bad)] == ["b", "bare", "c"]
    assert "5 points" in bad[0].reason and "2 of the 3" in bad[0].reason
    with pytest.raises(DataError, match=r"b: has 3 points, but odd has 5"):
        _ = SampleList(samples).n_points


def test_split_depends_on_the_name_alone() -> None:
    names = [f"image_{i:04d}.jpg" for i in range(1000)]
    split = split_by_name(Sample(Path("here") / name) for name in names)
    again = split_by_name(Sample(Path("there") / name) for name in reversed(names[::2]))
    held_out = {sample.path.name for sample in split.validation}
    assert held_out == {n for n in names if int(hashlib.sha256(n.encode()).hexdigest(), 16) % 10 == 0}
    assert {sample.path.name for sample in again.validation} == held_out & set(names[::2])
    assert len(split.train) + len(split.validation) == 1000


def test_records_stay_small() -> None:
    """A record holds its three fields and nothing else, and what has nothing to lose is itself without labels."""
    path = Path("a.png")
    sample = Sample(path, box=(0.0, 0.0, 1.0, 1.0))
    assert not hasattr(sample, "__dict__") and sample.path is path
    assert sample.unlabelled() is sample


def test_a_sample_shows_itself_in_a_line() -> None:
    sample = Sample(Path("faces/a.png"), np.zeros((68, 2), np.float32), (0.0, 1.0, 2.0, 3.0))
    assert repr(sample) == "Sample('faces/a.png', 68 landmarks, (0.0, 1.0, 2.0, 3.0))"
    assert repr(Sample(Path("a.png"))) == "Sample('a.png', None, None)"
