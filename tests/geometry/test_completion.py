"""The laws of completed shapes: present points stay, affine images of the others' mean come back exactly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from brule.data.shapes import to_crop
from brule.data.synthetic import synthetic_faces
from brule.errors import BruleError
from brule.geometry import complete_shapes

NAN = float("nan")


def faces(n: int) -> Tensor:
    return torch.stack([torch.as_tensor(to_crop(points)) for points in synthetic_faces(n, size=64).points])


def without(shape: Tensor, *points: int) -> Tensor:
    holed = shape.clone()
    holed[list(points)] = NAN
    return holed


def affine(shape: Tensor) -> Tensor:
    return shape @ torch.tensor([[0.7, 0.2], [-0.3, 1.1]]).double() + torch.tensor([0.2, -0.1]).double()


def turned(shape: Tensor) -> Tensor:
    return shape @ torch.tensor([[0.6, 0.3], [-0.3, 0.6]]).double() + torch.tensor([0.2, 0.1]).double()


@pytest.mark.parametrize("missing", [(0,), (3, 30, 60), tuple(range(17)), tuple(range(3, 68))])
def test_an_affine_image_of_the_others_mean_is_completed_exactly(missing: tuple[int, ...]) -> None:
    whole = faces(6)
    if len(missing) > 60:  # three points that span the face: its chin, and one at each side
        missing = tuple(i for i in range(68) if i not in (0, 8, 16))
    image = affine(whole.mean(0))
    completed = complete_shapes([*whole, without(image, *missing)])
    torch.testing.assert_close(completed[-1], image, rtol=0, atol=1e-9)
    assert torch.equal(completed[:-1], whole)


def test_points_on_a_line_complete_a_similar_image() -> None:
    """Nothing across the line says how the shape is stretched, so it isn't taken to be."""
    mean = torch.tensor([[0.0, 0.0], [0.5, 0.0], [1.0, 0.0], [0.5, 1.0], [0.2, 0.4]]).double()
    image = turned(mean)
    torch.testing.assert_close(complete_shapes([mean] * 5 + [without(image, 3, 4)])[-1], image, rtol=0, atol=1e-9)


def test_similar_shapes_complete_each_other_though_none_is_whole() -> None:
    base = faces(1)[0]
    shapes = [without(base, *range(17)), without(turned(base), *range(40, 60)), without(0.5 * base, 20, 21, 64)]
    completed = complete_shapes(shapes)
    for found, expected in zip(completed, (base, turned(base), 0.5 * base), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_present_points_stay_and_a_lone_half_is_missing() -> None:
    whole = faces(6)
    holed = whole[0].clone()
    holed[5, 1] = NAN
    completed = complete_shapes([holed, *whole[1:]])[0]
    assert torch.isfinite(completed).all()
    others = torch.arange(68) != 5
    assert torch.equal(completed[others], holed[others])


def test_scale_and_place_do_not_matter() -> None:
    whole = faces(6)
    holed = without(whole[0], *range(48, 68))
    there = complete_shapes([holed, *whole[1:]])[0]
    moved = complete_shapes([0.5 * holed + 0.3, *whole[1:]])[0]
    torch.testing.assert_close(moved, 0.5 * there + 0.3, rtol=0, atol=1e-9)


def test_what_whole_shapes_say_beats_the_affine_image() -> None:
    """Where one point follows another in the whole shapes, it does so in the completed one."""
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(12, 2, generator=generator).double()
    moves = 0.2 * torch.randn(31, 1, generator=generator).double()
    shapes = base.expand(31, -1, -1).clone()
    shapes[:, 3, :1] += moves
    shapes[:, 9, 1:] += moves  # as far up as 3 is to the right
    completed = complete_shapes([without(shapes[0], 9), *shapes[1:]])[0]
    plain = complete_shapes([without(shapes[0], 9), *base.expand(30, -1, -1)])[0]
    assert (completed - shapes[0])[9].norm() < 0.2 * (plain - shapes[0])[9].norm()


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ([], "expected"),
        ([torch.zeros(3, 2), torch.zeros(4, 2)], r"\(3, 2\), \(4, 2\)"),
        ([torch.rand(4, 2), without(torch.rand(4, 2), 0, 1)], "shape 1 has 2 points"),
        ([without(torch.rand(4, 2), 2), without(torch.rand(4, 2), 2)], "none of the 2 has the point 2"),
        ([without(torch.rand(6, 2), 0, 1, 2), without(torch.rand(6, 2), 3, 4, 5)], "share fewer than two points"),
    ],
)
def test_what_cannot_be_completed_is_said(shapes: list[Tensor], said: str) -> None:
    with pytest.raises(BruleError, match=said):
        complete_shapes(shapes)
