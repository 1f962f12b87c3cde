"""Measures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from brule.annotating.measuring import Measurements, centroid_size, repeat_error

POINTS = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 4.0]])
MEASURES = Measurements.model_validate(
    {
        "distances": [{"name": "long", "landmarks": [0, 1]}],
        "angles": [{"name": "right", "landmarks": [0, 2, 1]}, {"name": "small", "landmarks": [1, 0, 2]}],
    }
)


def test_a_right_triangle() -> None:
    assert MEASURES.columns == ["long_px", "long_mm", "right_deg", "small_deg", "centroid_size_px", "centroid_size_mm"]
    found = MEASURES.of(POINTS, 0.5)
    # The centre is (1, 8/3); squared distances 1 + 64/9, 4 + 16/9, 1 + 16/9 add up to 6 + 96/9.
    size = np.sqrt(6 + 96 / 9)
    np.testing.assert_allclose(found, [5, 2.5, 90, np.degrees(np.arctan(3 / 4)), size, size / 2], rtol=1e-12)


def test_without_a_scale_there_are_no_millimetres() -> None:
    assert np.isnan(MEASURES.of(POINTS)[1]) and np.isnan(MEASURES.of(POINTS)[-1])


def test_a_missing_landmark_gives_no_number() -> None:
    holed = POINTS.copy()
    holed[1] = np.nan
    assert np.isnan(MEASURES.of(holed, 0.5)).all()
    assert np.isnan(centroid_size(np.empty((0, 2))))


def test_the_repeat_error_stands_beside_the_detectors() -> None:
    first = {"a": POINTS, "b": POINTS, "alone": POINTS}
    right, down = np.array([4.0, 0.0]), np.array([0.0, 2.0])
    second = {"a": POINTS + down, "b": np.where([[True], [False], [True]], POINTS + right, np.nan), "other": POINTS}
    found = repeat_error(first, second, {"a": POINTS + 2 * down}, count=3)
    assert found.images == 2
    np.testing.assert_allclose(found.repeat, [3, 2, 3])
    np.testing.assert_allclose(found.detector, [3, 3, 3])  # from the middle between the two annotations
    shown = found.to_json(["x", "y", "z"])
    assert shown["repeat_px"] == pytest.approx(8 / 3, abs=1e-3) and shown["landmarks"][1] == {
        "name": "y",
        "repeat_px": 2.0,
        "detector_px": 3.0,
    }
    assert repeat_error({}, {}, {}, count=1).to_json(["x"])["detector_px"] is None
