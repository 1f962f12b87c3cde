"""The laws of odd shapes: what differs from all others is found, wherever it is, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from brule.data.outliers import MIN_SHAPES, odd_shape_remarks, odd_shapes
from brule.data.synthetic import IBUG_MIRROR, synthetic_faces

WING = np.array([(12, 50), (88, 22), (60, 55), (40, 33)], dtype=np.float64)


def wings(count: int = 10, seed: int = 0) -> list[np.ndarray]:
    """Wings in any place, size and direction, clicked to a pixel or so."""
    random = np.random.default_rng(seed)
    shapes = []
    for _ in range(count):
        angle, size = random.uniform(0, 2 * np.pi), random.uniform(0.2, 5)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shapes.append((WING + random.normal(0, 1, WING.shape)) @ turn * size + random.uniform(-500, 500, 2))
    return shapes


@pytest.mark.parametrize("seed", range(5))
def test_equal_shapes_anywhere_are_not_odd(seed: int) -> None:
    assert odd_shapes(wings(seed=seed)) == []
    assert odd_shapes(list(synthetic_faces(10, size=16, seed=seed).points)) == []


@pytest.mark.parametrize("index", [0, 4, 9])
def test_one_click_far_off_is_found(index: int) -> None:
    shapes = wings()
    shapes[index][2] += 1.2 * np.ptp(shapes[index])
    (odd,) = odd_shapes(shapes, names=["base", "tip", "notch", "fork"])
    assert odd.index == index and "'notch'" in odd.what and "wrong click" in odd.what


def test_two_exchanged_landmarks_are_found() -> None:
    shapes = wings()
    shapes[4] = shapes[4][[1, 0, 2, 3]]
    (odd,) = odd_shapes(shapes)
    assert odd.index == 4 and "'0' and '1' seem to be exchanged" in odd.what


def test_left_and_right_exchanged_is_found() -> None:
    shapes = [points.copy() for points in synthetic_faces(10, size=16, seed=3).points]
    shapes[7] = shapes[7][list(IBUG_MIRROR)]
    (odd,) = odd_shapes(shapes)
    assert odd.index == 7 and "left and right" in odd.what


def test_missing_landmarks_are_not_odd() -> None:
    shapes = [points.copy() for points in synthetic_faces(10, size=16, seed=3).points]
    for k, shape in enumerate(shapes):
        shape[k : k + 20] = np.nan
    assert odd_shapes(shapes) == []
    shapes[2][60] += 3 * np.nanstd(shapes[2])
    assert [one.index for one in odd_shapes(shapes)] == [2]


def test_few_shapes_or_landmarks_show_nothing() -> None:
    shapes = wings(MIN_SHAPES - 1)
    shapes[0][2] += 900
    assert odd_shapes(shapes) == []
    assert odd_shapes([np.full((4, 2), np.nan)] * 9) == []
    assert odd_shapes([own[:3] for own in wings()]) == []


def test_a_sentence_for_each_up_to_ten() -> None:
    shapes = wings(60)
    for shape in shapes[:12]:
        shape[2] += 2 * np.ptp(shape)
    remarks = odd_shape_remarks(shapes, [f"{i}.png" for i in range(60)])
    assert [remark.split()[0] for remark in remarks] == [f"{i}.png" for i in range(10)] + ["2"]
