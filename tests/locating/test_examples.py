"""Examples: angles of annotated objects, windows of turned boxes, patches that show the object upright."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brule.errors import DataError
from brule.locating.examples import ExampleMaker, annotated_places, filter_shape, typical_box
from brule.locating.filters import Filter
from brule.locating.places import turned
from brule.locating.pyramid import GreyImage

SHAPE = np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 12.0], [9.0, 12.0]])


def test_windows_turn_with_their_boxes() -> None:
    assert filter_shape((60, 30), 0, cell=6, context=1.2) == (6, 12)
    assert filter_shape((60, 30), 90, cell=6, context=1.2) == (12, 6)
    assert filter_shape((48, 48), 45, cell=6, context=1.0) == (8, 8)


def test_boxes_have_the_area_asked_for_and_are_never_too_thin() -> None:
    width, height = typical_box(2.0, cells=50, cell=6, context=1.0)
    assert width * height == pytest.approx(50 * 36) and width / height == pytest.approx(2)
    width, height = typical_box(40.0, cells=50, cell=6, context=1.0)
    assert width / height == pytest.approx(3)


def test_small_tilts_count_as_upright_and_large_ones_do_not() -> None:
    small = [turned(SHAPE, angle) for angle in (-10.0, 0.0, 10.0)]
    large = [turned(SHAPE, angle) for angle in (-60.0, 0.0, 60.0)]
    assert [float(places[0, 4]) for places in annotated_places(small, any_rotation=None)] == [0, 0, 0]
    found = [places[0] for places in annotated_places(large, any_rotation=None)]
    assert np.allclose([place[4] for place in found], [-60, 0, 60])
    assert np.allclose([place[2:4] for place in found], [30, 12])  # the size in its own frame
    assert not any(places[0, 4] for places in annotated_places(large, any_rotation=False))


def test_several_objects_and_missing_ones() -> None:
    missing = np.full_like(SHAPE, np.nan)
    places = annotated_places([np.stack([SHAPE, SHAPE + 50]), np.stack([SHAPE, missing])], any_rotation=None)
    assert [len(one) for one in places] == [2, 1]
    assert [len(one) for one in annotated_places([np.array([1.0, 2, 3, 4])], any_rotation=None)] == [1]


def test_missing_boxes_are_left_out_and_impossible_ones_refused() -> None:
    boxes = np.array([[1.0, 2, 3, 4], [np.nan, 2, 3, 4]])
    assert [len(one) for one in annotated_places([boxes, np.full(4, np.nan)], any_rotation=None)] == [1, 0]
    with pytest.raises(DataError, match="right > left"):
        annotated_places([np.array([10.0, 10, 5, 20])], any_rotation=None)  # x, y, width and height, maybe


@pytest.mark.parametrize("shape", [(), (2,), (3,), (4, 3), (2, 4, 4), (1, 1, 4, 2)])
def test_annotations_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="expected landmarks"):
        annotated_places([np.zeros(shape)], any_rotation=None)


def test_examples_show_the_same_whatever_the_size_and_angle_of_the_object() -> None:
    """A white bar, drawn at two sizes and angles, gives nearly the same features; a filter for another angle, others."""

    def picture(side: float, angle: float) -> tuple[GreyImage, np.ndarray]:
        rows, columns = np.indices((160, 160))
        own = turned(np.stack([columns - 80.0, rows - 80.0], -1), -angle) / side
        inside = (np.abs(own[..., 0]) < 0.5) & (own[..., 1] > -0.3) & (own[..., 1] < 0.1)
        return GreyImage((200 * inside).astype(np.uint8), (160, 160)), np.array([[80.0, 80.0, side, 0.6 * side, angle]])

    maker = ExampleMaker(box=(40.0, 24.0), cell=6, mirror=False)
    upright, quarter = Filter(torch.zeros(31, 8, 8), 0.0, 0.0), Filter(torch.zeros(31, 8, 8), 0.0, 90.0)

    def features(side: float, angle: float, one: Filter) -> torch.Tensor:
        return maker.examples(*picture(side, angle), one, copies=1, generator=np.random.default_rng(0))[0]

    def alike(a: torch.Tensor, b: torch.Tensor) -> float:
        return float(torch.nn.functional.cosine_similarity(a, b, dim=0))

    reference = features(60, 0, upright)
    assert alike(reference, features(90, 0, upright)) > 0.9
    assert alike(reference, features(60, 90, upright)) > 0.9
    assert alike(reference, features(60, 0, quarter)) < 0.8
    assert alike(features(60, 0, quarter), features(75, 90, quarter)) > 0.9
