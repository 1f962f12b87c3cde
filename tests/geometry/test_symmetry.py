"""The mirror permutation: found where there is one, and nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from brule.data.shapes import to_crop
from brule.data.synthetic import IBUG_MIRROR, synthetic_faces
from brule.errors import BruleError
from brule.geometry import mirror_permutation, mirrored, paired_permutation


def butterfly(pairs: int, middle: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A shape with exact symmetry and its permutation, indices shuffled."""
    generator = torch.Generator().manual_seed(seed)
    right = torch.rand(pairs, 2, generator=generator, dtype=torch.float64) + torch.tensor([0.2, 0.0])
    axis = torch.stack([torch.zeros(middle), torch.linspace(0, 1, middle)], -1).double()
    shape = torch.cat([right, right * torch.tensor([-1.0, 1.0]), axis])
    partner = torch.cat([torch.arange(pairs) + pairs, torch.arange(pairs), torch.arange(middle) + 2 * pairs])
    order = torch.randperm(len(shape), generator=generator)
    place = torch.argsort(order)
    return shape[order], place[partner[order]]


def turned(shape: Tensor, degrees: float) -> Tensor:
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]).double()
    return shape @ turn


def face_shapes(n: int) -> Tensor:
    return torch.stack([torch.as_tensor(to_crop(points)) for points in synthetic_faces(n).points])


@pytest.mark.parametrize(("pairs", "middle"), [(4, 0), (6, 3), (20, 5)])
@pytest.mark.parametrize("seed", [0, 1])
def test_exact_symmetry_is_found(pairs: int, middle: int, seed: int) -> None:
    shape, expected = butterfly(pairs, middle, seed)
    assert torch.equal(mirror_permutation(shape * 0.3 + 0.4), expected)


@pytest.mark.parametrize("degrees", [-15.0, -5.0, 5.0, 15.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_and_in_a_slightly_turned_shape(degrees: float, seed: int) -> None:
    shape, expected = butterfly(20, 4, seed)
    assert torch.equal(mirror_permutation(turned(shape, degrees)), expected)


@pytest.mark.parametrize("degrees", [-10.0, 0.0, 10.0])
def test_faces_have_the_known_one(degrees: float) -> None:
    """The mean of ten faces, also tilted: the permutation that everybody writes down by hand for the 68 points."""
    found = mirror_permutation(turned(face_shapes(10).mean(0), degrees))
    assert found is not None
    np.testing.assert_array_equal(found.numpy(), IBUG_MIRROR)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n", [12, 30, 68])
def test_random_points_have_none(n: int, seed: int) -> None:
    shape = torch.rand(n, 2, generator=torch.Generator().manual_seed(100 * n + seed), dtype=torch.float64)
    assert mirror_permutation(shape) is None


def turned_heads(count: int, seed: int) -> Tensor:
    """Five points of faces: eyes, tip of the nose, corners of the mouth; the nose moves aside as a head turns."""
    generator = torch.Generator().manual_seed(seed)
    face = torch.tensor([[0.34, 0.28], [0.66, 0.28], [0.5, 0.46], [0.36, 0.62], [0.64, 0.62]]).double()
    turn = 0.1 * torch.randn(count, 1, generator=generator).double()
    faces = face + 0.01 * torch.randn(count, 5, 2, generator=generator).double()
    faces[..., 0] += turn * torch.tensor([0.3, 0.3, 1.0, 0.2, 0.2]).double()
    return faces


@pytest.mark.parametrize("seed", range(12))
def test_several_shapes_show_what_the_mean_of_turned_heads_hides(seed: int) -> None:
    found = mirror_permutation(turned_heads(10, seed))
    assert found is not None and found.tolist() == [1, 0, 2, 4, 3]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("n", [3, 4, 5, 8, 30])
def test_several_shapes_without_symmetry_have_none(n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(100 * n + seed)
    shape = torch.rand(n, 2, generator=generator, dtype=torch.float64)
    shape[0] = torch.tensor([0.1, -0.3])  # sticks out on one side
    shapes = shape + 0.01 * torch.randn(10, n, 2, generator=generator, dtype=torch.float64)
    assert mirror_permutation(shapes) is None


def test_a_mirror_image_that_is_turned_over_again_is_none() -> None:
    """Each point its own partner: an affine map that reflects would lay any shape on itself."""
    shape = torch.tensor([[0.1, 0.1], [0.9, 0.2], [0.5, 0.6], [0.3, 0.9]]).double()
    assert mirror_permutation(shape) is None


@pytest.mark.parametrize(
    ("line", "expected"), [([[0.2, 0.5], [0.5, 0.5], [0.8, 0.5]], [2, 1, 0]), ([[0.5, 0.2], [0.5, 0.9]], [0, 1])]
)
def test_points_on_a_line(line: list[list[float]], expected: list[int]) -> None:
    found = mirror_permutation(torch.tensor(line))
    assert found is not None and found.tolist() == expected


def test_points_in_one_place_are_no_trouble() -> None:
    assert mirror_permutation(torch.full((6, 4, 2), 0.5)) is None


def test_many_shapes_are_judged_by_some_of_them() -> None:
    assert torch.equal(mirror_permutation(turned_heads(500, 0)), torch.tensor([1, 0, 2, 4, 3]))


def test_pairs_change_places_and_all_others_stay() -> None:
    assert paired_permutation([(0, 1), (4, 3)], 6).tolist() == [1, 0, 2, 4, 3, 5]
    assert paired_permutation([], 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("pairs", "said"), [([(0, 5)], "0 to 4"), ([(-1, 2)], "-1"), ([(0, 1), (1, 2)], "landmark 1 is in two")]
)
def test_pairs_that_are_none(pairs: list[tuple[int, int]], said: str) -> None:
    with pytest.raises(BruleError, match=said):
        paired_permutation(pairs, 5)


def test_half_a_shape_has_none() -> None:
    """A spiral: no reflection of it is near it."""
    t = torch.linspace(0.5, 9.0, 40).double()
    assert mirror_permutation(torch.stack([t * t.cos(), t * t.sin()], -1)) is None


def test_mirroring_by_hand() -> None:
    points = torch.tensor([[0.2, 0.3], [0.9, 0.4]])
    assert torch.allclose(mirrored(points, torch.tensor([1, 0])), torch.tensor([[0.1, 0.4], [0.8, 0.3]]))


def test_mirroring_twice_is_nothing() -> None:
    shape, permutation = butterfly(5, 2)
    shapes = torch.stack([shape, shape + 0.1])
    assert torch.allclose(mirrored(mirrored(shapes, permutation), permutation), shapes)
    assert torch.equal(permutation[permutation], torch.arange(12))


def test_a_symmetric_shape_is_its_own_mirror_image() -> None:
    shape, permutation = butterfly(5, 2)
    shape = shape * 0.3 + torch.tensor([0.5, 0.1])
    assert torch.allclose(mirrored(shape, permutation), shape)


def test_mirroring_is_differentiable() -> None:
    shape, permutation = butterfly(3, 1)
    assert torch.autograd.gradcheck(lambda x: mirrored(x, permutation), (shape[None].requires_grad_(),))
