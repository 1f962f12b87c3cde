"""Every term of the objective: minimal at equality, the closed forms, and the gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from brule.errors import BruleError
from brule.geometry import skeleton_heatmap
from brule.losses import (
    barycenter_regularizer,
    discriminator_loss,
    generator_loss,
    geometric_regularizer,
    gradient_penalty,
    heatmap_cross_entropy,
    image_reconstruction,
    landmark_distance,
    landmark_reconstruction,
    style_consistency,
)
from brule.transport import wasserstein2_squared


def cloud(n: int = 6, seed: int = 0, batch: int = 3) -> Tensor:
    return torch.rand(batch, n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shuffled(points: Tensor, seed: int = 7) -> Tensor:
    return points[:, torch.randperm(points.shape[1], generator=torch.Generator().manual_seed(seed))]


def heatmaps(seed: int = 0, batch: int = 3) -> Tensor:
    raw = torch.rand(batch, 1, 5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return raw / raw.sum((2, 3), keepdim=True)


# R_b


def test_r_b_is_zero_at_the_barycenter_in_any_order() -> None:
    barycenter = cloud(batch=1)
    assert torch.allclose(barycenter_regularizer(shuffled(barycenter).expand(3, -1, -1), barycenter), torch.zeros(3).double())


@pytest.mark.parametrize("weights", [(1.0, 2.0, 4.0), (3.0, 0.5, 7.0), (0.0, 1.0, 1.0)])
def test_a_pure_shift_costs_its_square_and_nothing_else(weights: tuple[float, float, float]) -> None:
    barycenter, shift = cloud(), torch.tensor([[0.3, -0.4], [2.0, 0.0], [0.0, 0.01]]).double()
    cost = barycenter_regularizer(
        barycenter + shift[:, None], barycenter, translation=weights[0], affine=weights[1], warp=weights[2]
    )
    assert torch.allclose(cost, weights[0] * shift.square().sum(-1), atol=1e-12)


def test_a_small_affine_map_costs_its_own_move_and_no_warp() -> None:
    """The third term vanishes for affine images of the barycenter; the second is the mean squared move, by hand."""
    barycenter, map_ = cloud(9, batch=1), torch.tensor([[1.05, 0.02], [-0.03, 0.96]]).double()
    centred = barycenter - barycenter.mean(1, keepdim=True)
    points = centred @ torch.linalg.inv(map_)
    assert torch.allclose(barycenter_regularizer(points, centred, affine=0.0), torch.zeros(1).double(), atol=1e-12)
    move = (points - centred).square().sum(-1).mean(-1)
    assert torch.allclose(barycenter_regularizer(points, centred, warp=0.0), 2.0 * move)


def test_r_b_does_not_depend_on_indices() -> None:
    points, barycenter = cloud(8, 1), cloud(8, 2, batch=1)
    assert torch.allclose(barycenter_regularizer(shuffled(points), barycenter), barycenter_regularizer(points, barycenter))


def test_the_defaults_are_the_papers() -> None:
    points, barycenter = cloud(8, 1), cloud(8, 2)
    parts = [barycenter_regularizer(points, barycenter, **one) for one in _ONE_AT_A_TIME]
    assert torch.allclose(barycenter_regularizer(points, barycenter), parts[0] + 2 * parts[1] + 4 * parts[2])
    assert all((part > 0).all() for part in parts)


_ONE_AT_A_TIME = [
    {"translation": 1.0, "affine": 0.0, "warp": 0.0},
    {"translation": 0.0, "affine": 1.0, "warp": 0.0},
    {"translation": 0.0, "affine": 0.0, "warp": 1.0},
]


def test_the_barycenter_may_have_another_size() -> None:
    points, barycenter = cloud(6, 1), cloud(4, 2, batch=1)
    cost = barycenter_regularizer(points, barycenter)
    assert cost.shape == (3,)
    assert (cost > 0).all()


def test_the_gradient_of_the_shift_term() -> None:
    points, barycenter = cloud(5, 1, batch=2).requires_grad_(), cloud(5, 2, batch=1)
    assert torch.autograd.gradcheck(lambda x: barycenter_regularizer(x, barycenter, **_ONE_AT_A_TIME[0]), (points,))


def test_the_gradient_of_the_affine_term_pulls_the_prediction_to_its_frozen_image() -> None:
    """By hand: a cloud half as large as the barycenter has the image 2X, so each point is pulled outwards along itself."""
    barycenter = cloud(5, 2, batch=1) - cloud(5, 2, batch=1).mean(1, keepdim=True)
    points = (0.5 * barycenter).requires_grad_()
    cost = barycenter_regularizer(points, barycenter, **_ONE_AT_A_TIME[1])
    assert float(cost.detach()) == pytest.approx(float((0.5 * barycenter).square().sum(-1).mean()))  # ‖X - 2X‖²
    (slope,) = torch.autograd.grad(cost.sum(), points)
    assert torch.allclose(slope, -2 / 5 * (0.5 * barycenter), atol=1e-12)  # d/dX of mean ‖X - target‖², towards the target


def test_the_gradient_of_the_warp_term() -> None:
    """A minimises it, so holding A leaves the gradient exact: as long as both plans are the same, to first order."""
    barycenter = cloud(7, 2, batch=1)
    points = (barycenter + 0.02 * cloud(7, 3, batch=2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: barycenter_regularizer(x, barycenter, **_ONE_AT_A_TIME[2]), (points,))


def test_gradient_descent_on_r_b_arrives_at_the_barycenter() -> None:
    points, barycenter = cloud(8, 1).requires_grad_(), cloud(8, 2, batch=1)
    for _ in range(400):
        (slope,) = torch.autograd.grad(barycenter_regularizer(points, barycenter).sum(), points)
        points = (points - 0.4 * slope).detach().requires_grad_()
    assert float(wasserstein2_squared(points.detach(), barycenter).max()) < 1e-4


# H[a | b] and R_g


def test_cross_entropy_by_hand() -> None:
    a, b = torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5])
    expected = -(0.5 * math.log(0.75) + 0.5 * math.log(0.25)) * 2 / 256**2
    given = heatmap_cross_entropy(a.view(1, 1, 1, 2), b.view(1, 1, 1, 2))
    assert float(given) == pytest.approx(expected)


def test_at_256_pixels_it_is_the_mean_over_them() -> None:
    """Half of the mass where it should be: -½ log a - ½ log (1 - a) for both of two pixels, over all pixels."""
    a, b = torch.zeros(1, 1, 256, 256, dtype=torch.double), torch.zeros(1, 1, 256, 256, dtype=torch.double)
    a[0, 0, 0, 0], a[0, 0, 9, 9] = 0.9, 0.1
    b[0, 0, 0, 0] = 1.0
    assert float(heatmap_cross_entropy(a, b)) == pytest.approx((-math.log(0.9) - math.log(0.9)) / 256**2, rel=1e-6)


def test_its_pull_does_not_depend_on_the_resolution() -> None:
    """The excess over the minimum, for the same shapes and the same σ in units of the crop."""
    target, moved = 0.2 + 0.6 * cloud(9, batch=2), 0.2 + 0.6 * cloud(9, batch=2) + 0.02
    excess = []
    for size in (64, 128, 256):
        ours, theirs = (skeleton_heatmap(one, size=size, sigma=4 * size / 256) for one in (moved, target))
        excess.append((heatmap_cross_entropy(ours, theirs) - heatmap_cross_entropy(theirs, theirs)).mean())
    assert float(excess[2]) > 0
    assert [float(one / excess[2]) for one in excess] == pytest.approx([1, 1, 1], rel=0.1)


def test_cross_entropy_is_smallest_at_equality() -> None:
    target = heatmaps(0)
    least = heatmap_cross_entropy(target, target)
    for seed in range(1, 6):
        mixed = 0.9 * target + 0.1 * heatmaps(seed)
        assert (heatmap_cross_entropy(heatmaps(seed), target) > least).all()
        assert (heatmap_cross_entropy(mixed, target) > least).all()
    prediction = target.clone().requires_grad_()
    (slope,) = torch.autograd.grad(heatmap_cross_entropy(prediction, target).sum(), prediction)
    assert torch.allclose(slope, torch.zeros_like(slope), atol=1e-12)


def test_cross_entropy_pulls_the_prediction_and_not_the_target() -> None:
    prediction, target = heatmaps(0).requires_grad_(), heatmaps(1).requires_grad_()
    heatmap_cross_entropy(prediction, target).sum().backward()
    assert target.grad is None
    assert float(prediction.grad.abs().max()) > 0


def test_cross_entropy_stays_finite_where_heatmaps_are_empty() -> None:
    empty, point = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    point[..., 1, 1] = 1.0
    for a, b in ((empty, point), (point, empty), (point, point.flip(-1)), (empty, empty)):
        a = a.clone().requires_grad_()
        cost = heatmap_cross_entropy(a, b)
        cost.sum().backward()
        assert torch.isfinite(cost).all()
        assert torch.isfinite(a.grad).all()


def test_cross_entropy_refuses_maps_of_two_shapes() -> None:
    with pytest.raises(BruleError, match=r"H\[a\|b\]"):
        heatmap_cross_entropy(torch.rand(1, 1, 4, 4), torch.rand(1, 1, 5, 5))


@pytest.mark.parametrize("n", [4, 68])
def test_moving_one_coordinate_costs_its_move_whatever_the_number_of_landmarks(n: int) -> None:
    maps, points = heatmaps(0), cloud(n, 0)
    for delta in (0.25, -0.5):
        moved = points.clone()
        moved[:, 2, 1] += delta
        more = geometric_regularizer(maps, maps, moved, points) - geometric_regularizer(maps, maps, points, points)
        assert torch.allclose(more, torch.full((3,), 0.001 * abs(delta)).double(), atol=1e-12)


def test_r_g_is_h_where_the_coordinates_agree() -> None:
    maps, other, points = heatmaps(0), heatmaps(1), cloud(4, 0)
    assert torch.allclose(geometric_regularizer(other, maps, points, points), heatmap_cross_entropy(other, maps))
    assert (geometric_regularizer(other, maps, points, points) > geometric_regularizer(maps, maps, points, points)).all()


def test_both_sides_of_the_norm_have_a_gradient_and_the_target_heatmap_none() -> None:
    points, target, wanted = cloud(4, 0).requires_grad_(), cloud(4, 1).requires_grad_(), heatmaps(1).requires_grad_()
    geometric_regularizer(heatmaps(0), wanted, points, target, coordinates=1.0).sum().backward()
    assert wanted.grad is None
    assert torch.equal(points.grad.abs(), torch.ones_like(points))
    assert torch.equal(target.grad, -points.grad)


def test_r_g_is_smallest_at_the_moved_landmarks_through_the_skeleton() -> None:
    target = 0.2 + 0.6 * cloud(6, batch=1)
    goal = skeleton_heatmap(target, size=24, sigma=2.0)

    def cost(points: Tensor) -> float:
        return float(geometric_regularizer(skeleton_heatmap(points, size=24, sigma=2.0), goal, points, target))

    assert all(cost(target + 0.05 * (cloud(6, seed, 1) - 0.5)) > cost(target) for seed in range(1, 9))


def test_gradients_of_r_g() -> None:
    maps, points = heatmaps(0, 2).requires_grad_(), cloud(3, 0, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, x: geometric_regularizer(a, heatmaps(1, 2), x, cloud(3, 1, 2)), (maps, points))


# Distances by index


def test_distances_by_hand() -> None:
    """One landmark 3-4-5 away, one in place."""
    x, y = torch.tensor([[[3.0, 4.0], [1.0, 1.0]]]), torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    assert float(landmark_distance(x, y)) == pytest.approx(2.5, abs=1e-5)


def test_a_softened_distance_is_zero_at_equality_and_quadratic_near_it() -> None:
    x = cloud(4)
    assert torch.allclose(landmark_distance(x, x, softening=0.01), torch.zeros(3).double(), atol=1e-8)
    near = landmark_distance(x, x + torch.tensor([0.001, 0.0]).double(), softening=0.01)
    assert torch.allclose(near, torch.full((3,), 0.001**2 / 0.02).double(), rtol=1e-2)
    far = landmark_distance(x, x + torch.tensor([10.0, 0.0]).double(), softening=0.01)
    assert torch.allclose(far, torch.full((3,), 10 - 0.01).double(), rtol=1e-5)


def test_gradients_of_the_distances() -> None:
    x, y = cloud(3, 0, 2).requires_grad_(), cloud(3, 1, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: landmark_distance(a, b, softening=0.05), (x, y))
    slope = torch.autograd.grad(landmark_distance(x, x.detach()).sum(), x)[0]
    assert torch.isfinite(slope).all()


def test_distances_refuse_sets_of_two_shapes() -> None:
    with pytest.raises(BruleError, match="one shape"):
        landmark_distance(cloud(3), cloud(4))


# The decoder's terms


def test_image_reconstruction_is_zero_at_equality_and_the_mean_difference() -> None:
    image = torch.rand(2, 3, 4, 4)
    assert torch.equal(image_reconstruction(image, image), torch.zeros(2))
    assert torch.allclose(image_reconstruction(image + 0.25, image), torch.full((2,), 0.25))
    other = torch.rand(2, 3, 4, 4, dtype=torch.double)
    assert gradcheck(lambda x: image_reconstruction(x, other), (image.double().requires_grad_(),))


def test_landmark_reconstruction_is_smallest_at_equality() -> None:
    torch.manual_seed(0)
    points = torch.rand(1, 6, 2)
    heatmap = skeleton_heatmap(points, size=24, sigma=1.5)
    best = landmark_reconstruction(heatmap, heatmap)
    for _ in range(5):
        moved = points + 0.05 * torch.randn(1, 6, 2)
        assert landmark_reconstruction(skeleton_heatmap(moved, size=24, sigma=1.5), heatmap) > best


def test_the_adversarial_losses_are_log_2_a_term_at_zero_logits() -> None:
    zero = torch.zeros(3)
    assert torch.allclose(discriminator_loss(zero, zero), torch.full((3,), 2 * math.log(2)))
    assert torch.allclose(generator_loss(zero), torch.full((3,), math.log(2)))


def test_the_adversarial_losses_are_the_papers_logarithms() -> None:
    real, fake = torch.tensor([0.7, -1.0]).double(), torch.tensor([-0.2, 3.0]).double()
    chance = lambda logits: 1 / (1 + torch.exp(-logits))  # noqa: E731
    assert torch.allclose(discriminator_loss(real, fake), -(chance(real).log() + (1 - chance(fake)).log()))
    assert torch.allclose(generator_loss(fake), -chance(fake).log())
    assert torch.isfinite(generator_loss(torch.tensor([-200.0]))).all()
    assert gradcheck(discriminator_loss, (real.requires_grad_(), fake.requires_grad_()))
    assert gradcheck(generator_loss, (fake,))


def test_the_penalty_of_a_linear_discriminator_is_its_weight_squared() -> None:
    weight = torch.randn(3 * 4 * 4, dtype=torch.double, requires_grad=True)
    images = torch.randn(2, 3, 4, 4, dtype=torch.double, requires_grad=True)
    penalty = gradient_penalty(images.flatten(1) @ weight, images)
    assert torch.allclose(penalty, weight.square().sum().expand(2))
    (gradient,) = torch.autograd.grad(penalty.sum(), weight)
    assert torch.allclose(gradient, 4 * weight)  # d/dw of 2 ‖w‖²


def test_style_consistency_is_the_sum_of_both_halves() -> None:
    style = torch.randn(2, 2, 5)
    assert torch.equal(style_consistency(style, style, style), torch.zeros(2))
    assert torch.allclose(style_consistency(style, style - 0.5, style), torch.full((2,), 0.5))  # it ignores g
    assert torch.allclose(style_consistency(style, style, style + 0.25), torch.full((2,), 0.25))
    assert torch.allclose(style_consistency(style, style - 0.5, style + 0.25), torch.full((2,), 0.75))


def test_the_random_style_is_a_target_and_the_other_two_are_not() -> None:
    styles = [torch.randn(2, 2, 5, dtype=torch.double).requires_grad_() for _ in range(3)]
    style_consistency(*styles).sum().backward()
    assert styles[1].grad is None
    assert torch.allclose(styles[2].grad.abs(), torch.full((2, 2, 5), 0.1).double())
    assert styles[0].grad.abs().max() == pytest.approx(0.2)  # where both halves pull the same way


def test_styles_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BruleError, match="of one shape"):
        style_consistency(torch.zeros(1, 2, 4), torch.zeros(1, 2, 5), torch.zeros(1, 2, 4))


@pytest.mark.parametrize(
    ("loss", "first", "second"),
    [
        (image_reconstruction, (1, 3, 4, 4), (1, 1, 4, 4)),
        (image_reconstruction, (3, 4, 4), (3, 4, 4)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(loss, first, second) -> None:
    with pytest.raises(BruleError, match="of one shape"):
        loss(torch.zeros(first), torch.zeros(second))
