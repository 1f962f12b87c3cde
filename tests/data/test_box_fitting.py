"""Boxes of five points made into boxes of 68: one scale and one shift, found from pairs or from shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from brule.data import Sample
from brule.data.box_fitting import BoxFit, fitted_sample, five_of
from brule.data.samples import landmark_box
from brule.data.synthetic import synthetic_faces
from brule.errors import DataError


def test_a_known_scale_and_shift_are_found() -> None:
    """A box of 10 × 4 about (5, 2) becomes a square of 20 about (6, 5): twice as wide, shifted by (0.1, 0.3) of its side."""
    given, wanted = (0.0, 0.0, 10.0, 4.0), (-4.0, -5.0, 16.0, 15.0)
    fit = BoxFit.between([given], [wanted])
    assert (fit.scale, *fit.shift) == pytest.approx((2, 0.1, 0.3))
    assert fit(given) == pytest.approx(wanted)
    moved = tuple(3 * edge + 7 for edge in given)
    assert fit(moved) == pytest.approx([3 * edge + 7 for edge in wanted])  # where and how large doesn't matter


def test_of_several_pairs_the_mean_is_taken() -> None:
    unit = (0.0, 0.0, 1.0, 1.0)
    fit = BoxFit.between([unit, unit], [(-0.5, 0.0, 0.5, 1.0), (0.5, -1.5, 4.5, 2.5)])
    assert (fit.scale, *fit.shift) == pytest.approx((2, 0.75, 0))  # √(1·4); centres at 0 and 2.5, shifts −0.5 and 2


def test_the_five_points_of_a_face() -> None:
    points = np.zeros((68, 2))
    points[36:42, 0], points[42:48, 0] = [0, 1, 2, 3, 4, 5], [10, 11, 12, 13, 14, 15]
    points[[30, 48, 54]] = [[7, 1], [8, 2], [9, 3]]
    assert five_of(points).tolist() == [[2.5, 0], [12.5, 0], [7, 1], [8, 2], [9, 3]]


def test_fitted_boxes_hold_the_landmarks_of_other_faces() -> None:
    """What ten shapes show fits others: nearly all of the 68 points lie in the crop, where a third did not before."""
    faces = [np.asarray(points) for points in synthetic_faces(40, size=64).points]
    fit = BoxFit.of_shapes(faces[:10])

    def outside(sample: Sample, points: np.ndarray) -> float:
        left, top, right, bottom = sample.crop() or (0, 0, 0, 0)
        x, y = points.T
        return float(((x < left) | (x > right) | (y < top) | (y > bottom)).mean())

    plain = [Sample(Path("face"), five_of(points)) for points in faces[10:]]
    fitted = [fitted_sample(sample, fit, landmarks=68, five_only=True) for sample in plain]
    before, after = (np.mean([outside(*pair) for pair in zip(samples, faces[10:], strict=True)]) for samples in (plain, fitted))
    assert before > 0.2 and after < 0.02


def test_which_samples_are_fitted() -> None:
    fit, five = BoxFit(2, (0, 0)), np.array([[0.0, 0], [4, 0], [2, 2], [0, 4], [4, 4]])
    doubled = (-2.0, -2.0, 6.0, 6.0)
    plain = Sample(Path("a"), five)
    both = Sample(Path("b"), five, (0, 0, 100, 100))
    alone = Sample(Path("c"), None, (0, 0, 4, 4))
    whole = Sample(Path("d"), np.arange(136).reshape(68, 2))
    nothing = Sample(Path("e"))
    gap = Sample(Path("f"), np.where(np.arange(5)[:, None] == 0, np.nan, five))
    automatic = {"landmarks": 68, "five_only": True}
    assert fitted_sample(plain, fit, **automatic).box == doubled
    assert fitted_sample(both, fit, **automatic).box == doubled  # the five points, not the box beside them
    for kept in (alone, whole, nothing, gap):
        assert fitted_sample(kept, fit, **automatic) is kept
    stated = {"landmarks": 68, "five_only": False}
    assert fitted_sample(alone, fit, **stated).box == doubled
    assert fitted_sample(both, fit, **stated).box == (-50, -50, 150, 150)
    assert fitted_sample(plain, fit, **stated).box == doubled
    assert fitted_sample(whole, fit, **stated) is whole and fitted_sample(nothing, fit, **stated) is nothing


def test_what_gives_no_fit_is_refused() -> None:
    with pytest.raises(DataError, match="68 points each"):
        BoxFit.of_shapes([np.zeros((5, 2))])
    with pytest.raises(DataError, match="pairs of boxes, got 0 and 0"):
        BoxFit.between([], [])
    assert landmark_box(np.array([[0.0, 0], [1, 2]])) == (0, 0, 1, 2)
