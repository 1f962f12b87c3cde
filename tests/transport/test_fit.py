"""What R_b takes as given, and plans that are held."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from brule.errors import BruleError
from brule.losses import barycenter_regularizer
from brule.transport import Coupling, fit_barycenter, transport_plan, wasserstein1, wasserstein2_squared


def cloud(n: int, seed: int, batch: int = 3) -> Tensor:
    return torch.rand(batch, n, 2, generator=torch.Generator().manual_seed(seed)).double()


def test_a_shifted_barycenter_is_fitted_by_the_shift_alone() -> None:
    barycenter, shift = cloud(7, 0, batch=1), torch.tensor([[0.1, 0.2], [-0.3, 0.0]]).double()
    fit = fit_barycenter(barycenter + shift[:, None], barycenter)
    assert torch.allclose(fit.shift, -shift)
    assert torch.allclose(fit.map, torch.eye(2).double().expand(2, 2, 2))
    assert torch.equal(fit.rest.partner, torch.arange(7).expand(2, 7))


@pytest.mark.parametrize("size", [5, 4])
def test_r_b_is_the_same_with_its_fit_found_before(size: int) -> None:
    points, barycenter = cloud(5, 0).requires_grad_(), cloud(size, 1, batch=1)
    fit = fit_barycenter(points, barycenter)
    costs = [barycenter_regularizer(points, barycenter), barycenter_regularizer(points, barycenter, fit=fit)]
    slopes = [torch.autograd.grad(cost.sum(), points)[0] for cost in costs]
    assert torch.equal(*costs)
    assert torch.equal(*slopes)


@pytest.mark.parametrize("size", [6, 4])
@pytest.mark.parametrize(("power", "distance"), [(1, wasserstein1), (2, wasserstein2_squared)])
def test_a_held_plan_costs_the_distance_and_never_less_elsewhere(size: int, power: int, distance: object) -> None:
    x, y = cloud(6, 0), cloud(size, 1)
    held = Coupling.between(x, y, power=power)
    assert torch.equal(held.cost(x, y), distance(x, y))
    near = x + 0.3 * cloud(6, 2)
    assert bool((held.cost(near, y) >= distance(near, y) - 1e-12).all())


def test_a_held_plan_costs_what_the_dense_one_does() -> None:
    x, y = cloud(6, 0), cloud(6, 1)
    near = x + 0.3 * cloud(6, 2)
    dense = (transport_plan(x, y) * (near[:, :, None] - y[:, None]).square().sum(-1)).sum((1, 2))
    assert torch.allclose(Coupling.between(x, y).cost(near, y), dense)


def test_points_that_are_not_finite_are_refused() -> None:
    with pytest.raises(BruleError, match="finite"):
        fit_barycenter(torch.full((1, 4, 2), float("nan")), torch.rand(1, 4, 2))


@pytest.mark.parametrize("y", [None, torch.rand(1, 4), torch.rand(1, 4, 3)])
def test_a_coupling_takes_sets_of_points_alone(y: object) -> None:
    with pytest.raises(BruleError, match="y"):
        Coupling.between(torch.rand(1, 4, 2), y)  # type: ignore[arg-type]


def test_the_plans_are_those_of_the_image_under_the_map() -> None:
    """``X_c A`` is nearer to ``X̄_c`` under its own plan than under any other; a transposed A would give other plans."""
    points = cloud(40, 2, batch=1)
    barycenter = points @ torch.tensor([[1.1, 0.2], [-0.2, 0.9]], dtype=torch.float64)
    fit = fit_barycenter(points, barycenter)
    centred, target = (one - one.mean(1, keepdim=True) for one in (points, barycenter))
    image = centred @ fit.map
    assert torch.allclose(fit.rest.cost(image, target), wasserstein2_squared(image, target))
    assert torch.allclose(fit.bent.cost(centred, image), wasserstein2_squared(centred, image))
