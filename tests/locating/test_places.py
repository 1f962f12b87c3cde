"""Places: boxes and back, angles of turned shapes, suppression, agreement; framing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from brule.errors import DataError
from brule.locating import Framing, agrees, from_boxes, learn_framing, orientations, overlap, place_of, suppress, to_boxes
from brule.locating.places import moved, turned, voted

SHAPE = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 4.0], [3.0, 4.0]])


def test_boxes_and_back() -> None:
    boxes = np.array([[1.0, 2.0, 5.0, 10.0]])
    assert from_boxes(boxes).tolist() == [[3, 6, 4, 8, 0]]
    assert to_boxes(from_boxes(boxes)).tolist() == boxes.tolist()


def test_clockwise_on_the_screen() -> None:
    assert np.allclose(turned(np.array([1.0, 0.0]), 90), [0, 1])  # right → down


@pytest.mark.parametrize("angle", [0.0, 30.0, -75.0, 180.0])
def test_the_place_of_a_turned_shape_has_its_upright_size(angle: float) -> None:
    place = place_of(turned(SHAPE, angle) + 20, angle)
    assert np.allclose(place[2:], [10, 4, angle])
    assert np.allclose(place[:2], turned(np.array([5.0, 2.0]), angle) + 20)


def test_angles_are_those_by_which_shapes_were_turned() -> None:
    angles = np.array([-40.0, 0.0, 15.0, 25.0])  # their mean is 0
    shapes = [3 * turned(SHAPE, angle) + 7 for angle in angles]
    assert np.allclose(orientations(shapes), angles - np.rad2deg(np.angle(np.exp(1j * np.deg2rad(angles)).sum())), atol=1e-6)


def test_a_missing_landmark_does_not_change_the_angle() -> None:
    shapes = [turned(SHAPE, angle) for angle in (-20.0, 0.0, 20.0)]
    shapes[0] = np.vstack([shapes[0], [[np.nan, np.nan]]])
    shapes[1:] = [
        np.vstack([shape, turned(np.array([[-4.0, 9.0]]), angle)]) for shape, angle in zip(shapes[1:], (0, 20), strict=True)
    ]
    assert orientations(shapes)[0] == pytest.approx(-20, abs=12)


def test_half_a_landmark_is_a_missing_one() -> None:
    shapes = [turned(SHAPE, angle) for angle in (-20.0, 0.0, 20.0)]
    missing, infinite = [shape.copy() for shape in shapes], [shape.copy() for shape in shapes]
    missing[0][3] = np.nan
    infinite[0][3, 0] = np.inf
    assert orientations(infinite).tolist() == orientations(missing).tolist()
    assert orientations([]).shape == (0,)


def test_shapes_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="one number of landmarks"):
        orientations([SHAPE, SHAPE[:3]])


def test_overlap_by_hand() -> None:
    place = np.array([0.0, 0.0, 2.0, 2.0, 0.0])
    others = np.array([[0, 0, 2, 2, 45.0], [1, 0, 2, 2, 0], [3, 0, 2, 2, 0]])
    assert np.allclose(overlap(others, place), [1, 1 / 3, 0])


def test_boxes_without_an_area_overlap_nothing_and_are_all_kept() -> None:
    """Predictions on a line have such boxes; two of them apart are two objects."""
    flat = np.array([[0, 0, 4, 0, 0.0], [50, 0, 4, 0, 0]])
    assert overlap(flat, flat[0]).tolist() == [0, 0]
    assert suppress(flat, np.array([0.9, 0.8]), most=5, share=0.3).tolist() == [0, 1]


def test_suppression_keeps_the_best_of_each_pile() -> None:
    places = np.array([[0, 0, 4, 4, 0.0], [1, 0, 4, 4, 0], [20, 0, 4, 4, 0], [21, 0, 4, 4, 0], [40, 0, 4, 4, 0]])
    scores = np.array([0.5, 0.9, 0.7, 0.6, 0.1])
    assert suppress(places, scores, most=9, share=0.3).tolist() == [1, 2, 4]
    assert suppress(places, scores, most=2, share=0.3).tolist() == [1, 2]


def test_agreement_is_of_centre_and_longer_side() -> None:
    truth = np.array([0.0, 0.0, 20.0, 10.0, 0.0])
    places = np.array([[5, 0, 20, 10, 0.0], [5.1, 0, 20, 10, 0], [0, 0, 26, 3, 0], [0, 0, 26.1, 13, 0], [0, 0, 15, 8, 0]])
    assert agrees(places, truth).tolist() == [True, False, True, False, False]


def test_framing_by_hand() -> None:
    framing = learn_framing([(-0.5, -0.5, 19.5, 9.5), (39.5, 9.5, 79.5, 29.5), (0.5, 0.5, 30.5, 15.5)], [(100, 50)] * 3)
    assert (framing.smallest, framing.typical, framing.largest) == (0.2, 0.3, 0.4)
    assert (framing.x, framing.y) == (pytest.approx(0.16), pytest.approx(0.17))
    assert framing.describe() == "your 3 annotated objects fill 20–40 % of the longer side of their images"
    assert Framing(**framing.facts()) == framing


def test_the_likeliest_box_of_another_image() -> None:
    framing = Framing(smallest=0.2, typical=0.5, largest=0.6, x=0.5, y=0.25, aspect=2.0, images=10)
    assert framing.box(200, 100) == (49.5, -0.5, 149.5, 49.5)


def test_usualness_is_a_t_density_that_ends_in_a_uniform_one() -> None:
    """Against SciPy's density, for boxes that are off in place and in size."""
    from scipy import stats

    boxes = [(20, 10, 60, 50), (30, 5, 80, 55), (25, 20, 55, 50)]
    framing = learn_framing(boxes, [(100, 80)] * 3)
    sizes, asked = [(200, 160)] * 3, np.array([(45.0, 29, 125, 109), (100, 60, 180, 140), (-900, 29, -860, 69)])
    low, high = asked[:, :2], asked[:, 2:]
    x, y = ((low + high) / 2 + 0.5).T / [[200], [160]]
    own = [(np.array([40.5, 55.5, 40.5]) / 100, 40.5 / 100), (np.array([30.5, 30.5, 35.5]) / 80, 30.5 / 80)]
    own.append((np.log([0.4, 0.5, 0.3]), np.log(0.4)))
    expected = np.zeros(3)
    for (values, middle), value, assumed in zip(own, (x, y, np.log((high - low)[:, 0] / 200)), (0.15, 0.15, 0.4), strict=True):
        spread = np.sqrt((3 * assumed**2 + ((values - middle) ** 2).sum()) / 5 * (1 + 1 / 3))
        expected += stats.t(5, middle, spread).logpdf(value) - stats.t(5, middle, spread).logpdf(middle)
    expected = np.logaddexp(np.log(0.98) + expected, np.log(0.02))
    np.testing.assert_allclose(framing.usualness(asked, np.array(sizes)), expected)
    assert expected[0] > -0.1 and expected[1] < -0.5 and -4 < expected[2] < -3.5


def test_without_variances_every_place_is_as_usual() -> None:
    framing = Framing(smallest=0.2, typical=0.5, largest=0.6, x=0.5, y=0.25, aspect=2.0, images=10)
    assert framing.usualness(np.zeros((2, 4)), np.ones((2, 2))).tolist() == [0, 0]
    assert Framing(**{**framing.facts(), "variance": [0.1, 0.2, 0.3]}).variance == (0.1, 0.2, 0.3)


@pytest.mark.parametrize("damaged", [[0.1], [0.1, -1, 0.1], [0.1, float("nan"), 0.1]])
def test_damaged_variances_are_refused(damaged: list[float]) -> None:
    with pytest.raises(ValueError, match="three variances"):
        Framing(smallest=0.2, typical=0.5, largest=0.6, x=0.5, y=0.25, aspect=2.0, images=10, variance=tuple(damaged))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("typical", float("nan")),
        ("x", float("inf")),
        ("y", "0.5"),
        ("aspect", 0.0),
        ("smallest", -0.1),
        ("images", 0),
        ("x", None),
    ],
)
def test_values_that_no_framing_has_are_refused(name: str, value: object) -> None:
    framing = Framing(smallest=0.2, typical=0.5, largest=0.6, x=0.5, y=0.25, aspect=2.0, images=10)
    with pytest.raises(ValueError, match="framing: expected"):
        Framing(**{**framing.facts(), name: value})


def test_no_boxes_no_framing() -> None:
    with pytest.raises(DataError, match="one image size for each"):
        learn_framing([], [])
    with pytest.raises(DataError, match="NaN or infinity"):
        learn_framing([(0, 0, 5, np.nan)], [(10, 10)])


def test_votes_of_equal_detections_meet_in_the_middle() -> None:
    places = np.array([[10, 10, 20, 10, 0.0], [12, 10, 20, 10, 0], [90, 90, 20, 10, 0]])
    assert np.allclose(voted(places, np.array([1.0, 1.0, 5.0]), 0), [11, 10, 20, 10, 0])
    assert np.allclose(voted(places, np.array([1.0, -20.0, 5.0]), 0), places[0])


def test_votes_for_the_size_count_by_its_logarithm() -> None:
    places = np.array([[0, 0, 10, 10, 0.0], [0, 0, 12.1, 12.1, 0]])
    assert np.allclose(voted(places, np.zeros(2), 0), [0, 0, 11, 11, 0])


def test_moving_is_along_the_axes_of_the_object() -> None:
    places = np.array([[50, 50, 20, 10, 0.0], [50, 50, 20, 10, 90.0]])
    assert np.allclose(moved(places, np.array([0.5, 0.0, math.log(2)])), [[60, 50, 40, 20, 0], [50, 60, 40, 20, 90]])
