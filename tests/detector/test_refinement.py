"""Refinement passes: wrong boxes are mended, angles are found, answers that make no sense change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brule.data import CROP_SCALE
from brule.detector.refinement import CropFrame, read_crops, refinement_pass, square_of, to_pixels, turns_of
from brule.locating import place_of
from tests.detector.marks import SHAPE, marks_at, read_marks, scene

SIZE = 48


def test_the_frame_of_shapes_that_fill_their_crop_by_the_crop_rule() -> None:
    """By hand: the box is 1 / 1.3 of the crop and lies about its middle; moved down by 0.1, its middle lies 0.13 lower."""
    unit = 0.5 + np.array([[-0.5, -0.5], [0.5, 0.5], [0.5, -0.5]]) / CROP_SCALE
    frame = CropFrame.of(torch.from_numpy(np.stack([unit] * 3)))
    assert frame.scale == pytest.approx(1.3) and frame.shift == pytest.approx((0.0, 0.0))
    lower = CropFrame.of(torch.from_numpy(np.stack([unit + np.array([0, 0.1])] * 3)))
    assert lower.shift == pytest.approx((0.0, -0.13))


def test_the_square_of_a_place_by_hand() -> None:
    """A box of 20 × 10 about (50, 40), turned by 90°: the crop's shift to the object's right is a shift down on the screen."""
    frame = CropFrame(1.5, (0.1, 0.0))
    place = np.array([[50.0, 40.0, 20.0, 10.0, 90.0]])
    np.testing.assert_allclose(frame.squares(place), [[50.0, 42.0, 30.0, 90.0]], atol=1e-9)


def test_points_of_a_turned_square_in_pixels() -> None:
    """By hand: turned by 90° clockwise, the middle of the upper edge comes to the right."""
    points = to_pixels(np.array([[[0.5, 0.0], [0.5, 0.5]]]), np.array([[10.0, 20.0, 8.0, 90.0]]))
    np.testing.assert_allclose(points, [[[14.0, 20.0], [10.0, 20.0]]], atol=1e-9)


@pytest.mark.parametrize("degrees", [0.0, 35.0, -120.0])
def test_the_turn_of_a_shape(degrees: float) -> None:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turned = 3 * SHAPE @ np.array([[c, s], [-s, c]]) + [7, -2]
    assert turns_of(turned[None], SHAPE)[0] == pytest.approx(degrees)


def frame_of_marks() -> CropFrame:
    return CropFrame(CROP_SCALE)


def off_by(wrong: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The exact square of an object, and one that is shifted in its sides and scaled."""
    exact = frame_of_marks().squares(place_of(marks_at(70.0, 60.0, 30.0))[None])
    return exact, exact * [1, 1, wrong[2], 1] + np.array([wrong[0], wrong[1], 0, 0]) * exact[0, 2]


@pytest.mark.parametrize("wrong", [(0.1, 0.0, 1.0), (0.0, -0.1, 1.0), (0.1, 0.1, 1.3), (0.0, 0.0, 0.9), (-0.2, 0.1, 1.5)])
def test_a_box_that_shows_the_whole_object_is_mended_in_one_pass(wrong: tuple[float, float, float]) -> None:
    """The reader finds whatever the crop shows; after a pass the crop lies about the landmarks as in training."""
    picture, truth = scene((70.0, 60.0, 30.0, 0.0)), marks_at(70.0, 60.0, 30.0)
    exact, off = off_by(wrong)
    first = read_crops([picture], off, np.zeros((1, 4)), read=read_marks, size=SIZE)
    second = refinement_pass([picture], first, read_marks, size=SIZE, frame=frame_of_marks())
    np.testing.assert_allclose(second.squares, exact, atol=1.0)
    np.testing.assert_allclose(second.points[0], truth, atol=0.7)
    assert np.isnan(first.moved).all() and 0 <= second.moved[0] < 0.05


@pytest.mark.parametrize("wrong", [(0.15, 0.0, 1.0), (0.0, -0.15, 1.0), (0.0, 0.0, 0.75)])
def test_a_box_that_cuts_the_object_is_mended_in_three(wrong: tuple[float, float, float]) -> None:
    picture = scene((70.0, 60.0, 30.0, 0.0))
    exact, off = off_by(wrong)
    answers = read_crops([picture], off, np.zeros((1, 4)), read=read_marks, size=SIZE)
    for _ in range(3):
        answers = refinement_pass([picture], answers, read_marks, size=SIZE, frame=frame_of_marks())
    np.testing.assert_allclose(answers.squares, exact, atol=1.0)


def test_a_turned_object_is_cut_out_upright() -> None:
    picture = scene((70.0, 60.0, 30.0, 25.0))
    truth = marks_at(70.0, 60.0, 30.0, 25.0)
    start = frame_of_marks().squares(place_of(truth)[None])
    answers = read_crops([picture], start, np.zeros((1, 4)), read=read_marks, size=SIZE)
    answers = refinement_pass([picture], answers, read_marks, size=SIZE, frame=frame_of_marks(), upright=SHAPE)
    assert answers.squares[0, 3] == pytest.approx(25.0, abs=1.5)
    np.testing.assert_allclose(answers.points[0], truth, atol=0.7)
    assert turns_of(answers.found.points.double().numpy(), SHAPE)[0] == pytest.approx(0.0, abs=1.5)
    kept = refinement_pass([picture], answers, read_marks, size=SIZE, frame=frame_of_marks())
    assert kept.squares[0, 3] == answers.squares[0, 3]


def test_an_answer_that_makes_no_sense_leaves_the_crop_where_it_was() -> None:
    """All landmarks in one point have no box; and a crop doesn't shrink to a twentieth in one pass."""
    picture = scene((70.0, 60.0, 30.0, 0.0))
    square = square_of((40.0, 30.0, 100.0, 90.0))[None]
    answers = read_crops([picture], square, np.array([[45.0, 35.0, 95.0, 85.0]]), read=read_marks, size=SIZE)
    for points in (torch.full((1, 3, 2), 0.5), 0.5 + 0.02 * (answers.found.points - 0.5)):
        odd = answers.chosen([0])
        odd.found.points[:] = points
        again = refinement_pass([picture], odd, read_marks, size=SIZE, frame=frame_of_marks())
        np.testing.assert_array_equal(again.squares, square)
        np.testing.assert_array_equal(again.boxes, answers.boxes)
