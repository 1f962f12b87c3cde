"""What every loss has in common: one number per sample, smallest at its optimum, with gradients that lead there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import brule.losses as losses
from brule.geometry import skeleton_heatmap

BATCH = 3


@dataclass(frozen=True)
class Case:
    """A loss as a function of what it pulls, and the place it pulls to.

    Attributes:
        of: from ``(B, …)`` to ``(B,)``.
        optimum: ``(B, …)``, where it is smallest.
        elsewhere: ``(B, …)``, a place away from there.
        floor: its value at the optimum; ``None`` where that depends on the target.
    """

    of: Callable[[Tensor], Tensor]
    optimum: Tensor
    elsewhere: Tensor
    floor: float | None = 0.0


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(BATCH, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def heatmap(points: Tensor) -> Tensor:
    return skeleton_heatmap(points, size=24, sigma=2.0)


def normalized(logits: Tensor) -> Tensor:
    return logits.flatten(1).softmax(-1).view(logits.shape)


def judged_by(weights: Tensor) -> Tensor:
    """The penalty of discriminators that are linear, each with its own weights."""
    images = random(3, 4, 4, seed=9).requires_grad_()
    return losses.gradient_penalty((weights * images).sum((1, 2, 3)), images)


POINTS, OTHERS = 0.2 + 0.6 * random(6, 2, seed=1), 0.2 + 0.6 * random(6, 2, seed=2)
MAPS, OTHER_MAPS = random(1, 5, 5, seed=3), random(1, 5, 5, seed=4)
IMAGES, OTHER_IMAGES = random(3, 4, 4, seed=5), random(3, 4, 4, seed=6)
STYLES, OTHER_STYLES = random(2, 7, seed=7), random(2, 7, seed=8)
CERTAIN = torch.tensor([[60.0, -60.0]]).double().expand(BATCH, 2)

CASES = {
    "barycenter_regularizer": Case(lambda x: losses.barycenter_regularizer(x, POINTS), POINTS, OTHERS),
    "heatmap_cross_entropy": Case(
        lambda x: losses.heatmap_cross_entropy(normalized(x), normalized(MAPS)), MAPS, OTHER_MAPS, None
    ),
    "geometric_regularizer": Case(
        lambda x: losses.geometric_regularizer(heatmap(x), heatmap(POINTS), x, POINTS), POINTS, OTHERS, None
    ),
    "landmark_distance": Case(lambda x: losses.landmark_distance(x, POINTS), POINTS, OTHERS),
    "image_reconstruction": Case(lambda x: losses.image_reconstruction(x, IMAGES), IMAGES, OTHER_IMAGES),
    "landmark_reconstruction": Case(
        lambda x: losses.landmark_reconstruction(heatmap(x), heatmap(POINTS)), POINTS, OTHERS, None
    ),
    "discriminator_loss": Case(lambda x: losses.discriminator_loss(x[:, 0], x[:, 1]), CERTAIN, random(2)),
    "generator_loss": Case(lambda x: losses.generator_loss(x[:, 0]), CERTAIN[:, :1], random(1)),
    "gradient_penalty": Case(judged_by, torch.zeros_like(IMAGES), IMAGES),
    "style_consistency": Case(lambda x: losses.style_consistency(x, STYLES, STYLES), STYLES, OTHER_STYLES),
}
every_loss = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def test_every_loss_is_held_to_the_contract() -> None:
    public = inspect.getmembers(losses, lambda one: inspect.isfunction(one) and one.__module__ == losses.__name__)
    assert {name for name, _ in public if not name.startswith("_")} == set(CASES)


@every_loss
def test_a_number_for_each_sample_that_depends_on_it_alone(case: Case) -> None:
    place = case.elsewhere.clone().requires_grad_()
    values = case.of(place)
    assert values.shape == (BATCH,) and values.dtype == torch.float64
    (slope,) = torch.autograd.grad(values[1], place)
    assert slope[1].abs().max() > 0
    assert not slope[[0, 2]].any()


@every_loss
def test_it_is_smallest_at_its_optimum(case: Case) -> None:
    least = case.of(case.optimum)
    if case.floor is not None:
        assert torch.allclose(least, torch.full_like(least, case.floor), atol=2e-6)
    assert (case.of(case.elsewhere) > least).all()
    for seed, reach in enumerate((1e-3, 1e-2, 1e-1, 0.1, 0.1)):
        around = case.optimum + reach * (2 * random(*case.optimum.shape[1:], seed=20 + seed) - 1)
        assert (case.of(around) >= least - 1e-12).all()


@every_loss
@pytest.mark.parametrize("place", ["optimum", "elsewhere"])
def test_its_gradient_is_finite(case: Case, place: str) -> None:
    at = getattr(case, place).clone().requires_grad_()
    (slope,) = torch.autograd.grad(case.of(at).sum(), at)
    assert slope.isfinite().all()


@every_loss
def test_a_step_against_its_gradient_lowers_it(case: Case) -> None:
    at = case.elsewhere.clone().requires_grad_()
    values = case.of(at)
    (slope,) = torch.autograd.grad(values.sum(), at)
    assert (case.of(at.detach() - 1e-4 * slope / slope.norm()) < values).all()


@pytest.mark.parametrize("loss", ["landmark_distance", "barycenter_regularizer"])
def test_landmarks_may_be_numbered_anew_in_both_sets(loss: str) -> None:
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    of = getattr(losses, loss)
    assert torch.allclose(of(OTHERS[:, order], POINTS[:, order]), of(OTHERS, POINTS))


@pytest.mark.parametrize("loss", ["landmark_distance", "barycenter_regularizer"])
def test_both_sets_may_be_moved_and_turned_together(loss: str) -> None:
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]]).double()
    of = getattr(losses, loss)
    moved = of(OTHERS @ turn + 0.1, POINTS @ turn + 0.1)
    assert torch.allclose(moved, of(OTHERS, POINTS))
