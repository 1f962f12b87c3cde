"""Laws of shape statistics, conditional guesses and semilandmarks."""

from __future__ import annotations

import numpy as np
import pytest

from brule.annotating.statistics import ShapeStatistics, conditioned, similarity
from brule.errors import BruleError
from brule.geometry import evenly_spaced

SQUARE = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
ANYWHERE = (10.0, 2.0, 2.0)


def moved(shape: np.ndarray, scale: float, degrees: float, offset: tuple[float, float]) -> np.ndarray:
    turn = np.radians(degrees)
    return scale * shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + np.array(offset)


def test_a_similarity_is_recovered_and_a_reflection_is_none() -> None:
    pose = similarity(SQUARE, moved(SQUARE, 3.0, 25, (7, -2)))
    assert pose is not None and pose.scale == pytest.approx(3.0)
    np.testing.assert_allclose(pose(SQUARE), moved(SQUARE, 3.0, 25, (7, -2)), atol=1e-12)
    np.testing.assert_allclose(pose.back(pose(SQUARE)), SQUARE, atol=1e-12)
    assert similarity(SQUARE, np.full((4, 2), np.nan)) is None
    line = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    laid = similarity(line, line * [-1, 1])
    assert laid is not None and np.abs(laid(line) - line * [-1, 1]).max() > 0.1


def test_similar_shapes_have_no_modes_and_a_mean_of_radius_one() -> None:
    shapes = np.stack([moved(SQUARE, s, a, (s, a)) for s, a in ((1, 0), (20, 10), (5, -10))])
    found = ShapeStatistics.of(shapes)
    assert found is not None and len(found.modes) == 0
    np.testing.assert_allclose((found.mean**2).sum(1), 1.0, atol=1e-6)  # a square's corners are all as far from its centre
    np.testing.assert_allclose(found.mean, (SQUARE - 1) / np.sqrt(2), atol=1e-6)  # upright, as the shapes are on average


def test_one_varying_corner_gives_one_mode() -> None:
    rng = np.random.default_rng(0)
    shapes = np.repeat(np.concatenate([SQUARE, SQUARE + 10, SQUARE + np.array([0, 10])])[None], 30, 0)
    shapes[:, 0, 0] += 0.3 * rng.standard_normal(30)
    found = ShapeStatistics.of(shapes)
    assert found is not None
    sizes = np.linalg.norm(found.modes.reshape(len(found.modes), -1), axis=1)
    assert sizes[0] > 10 * sizes[1:].max(initial=0)
    assert np.argmax(np.linalg.norm(found.modes[0], axis=1)) == 0


def test_a_missing_point_is_left_out_of_the_mean() -> None:
    holed = SQUARE.copy()
    holed[2] = np.nan
    found = ShapeStatistics.of(np.stack([SQUARE, holed, SQUARE]))
    assert found is not None
    np.testing.assert_allclose(found.mean, (SQUARE - 1) / np.sqrt(2), atol=1e-6)
    assert ShapeStatistics.of(np.stack([holed, holed])) is None  # nobody knows where the third point is
    assert ShapeStatistics.of(np.full((2, 4, 2), np.nan)) is None


def test_placed_points_stay_and_pull_the_others_along() -> None:
    found = ShapeStatistics.of(np.stack([SQUARE, SQUARE]))
    assert found is not None
    prior = moved(SQUARE, 10.0, 0, (100, 100))
    truth = prior + np.array([30, -12])
    fixed = np.full((4, 2), np.nan)
    fixed[1] = truth[1]
    guess = conditioned(prior, fixed, found, pose_sd=(10.0, 0.0, 0.0))
    np.testing.assert_array_equal(guess[1], truth[1])
    np.testing.assert_allclose(guess, truth, atol=1.0)  # a shape of fixed size and angle can only have been shifted
    np.testing.assert_array_equal(conditioned(prior, np.full((4, 2), np.nan), found, pose_sd=ANYWHERE), prior)


def test_three_points_of_a_similar_shape_give_the_fourth() -> None:
    found = ShapeStatistics.of(np.stack([SQUARE, SQUARE]))
    assert found is not None
    truth = moved(SQUARE, 40.0, 50, (300, 10))
    fixed = truth.copy()
    fixed[3] = np.nan
    np.testing.assert_allclose(conditioned(SQUARE, fixed, found, pose_sd=ANYWHERE), truth, atol=1e-6)


def test_a_circle_becomes_evenly_spaced_points() -> None:
    angles = np.sort(np.random.default_rng(0).uniform(0, 2 * np.pi, 4000))
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    points = evenly_spaced(circle, 12, closed=True)
    np.testing.assert_allclose(np.hypot(*points.T), 1, atol=1e-3)
    steps = np.linalg.norm(points - np.roll(points, 1, 0), axis=1)
    np.testing.assert_allclose(steps, 2 * np.sin(np.pi / 12), rtol=0.01)  # the chord of a twelfth
    np.testing.assert_allclose(points[0], circle[0])


def test_an_open_line_keeps_its_ends() -> None:
    found = evenly_spaced([[0, 0], [0, 0], [3, 0], [3, 1]], 5)
    np.testing.assert_allclose(found, [[0, 0], [1, 0], [2, 0], [3, 0], [3, 1]])
    np.testing.assert_allclose(evenly_spaced(SQUARE, 4, closed=True), SQUARE)
    np.testing.assert_allclose(evenly_spaced(SQUARE, 1), SQUARE[:1])


@pytest.mark.parametrize("line", [[[0, 0]], [[1, 1], [1, 1]], [[0, 0], [np.nan, 1]], [0, 1]])
def test_a_line_that_is_none_is_refused(line: list) -> None:
    with pytest.raises(BruleError, match="curve: "):
        evenly_spaced(line, 3)
