"""The laws of ``W_1`` and ``W_2²``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from brule.transport import wasserstein1, wasserstein2_squared

Distance = Callable[[Tensor, Tensor], Tensor]
both = pytest.mark.parametrize("distance", [wasserstein1, wasserstein2_squared])
SIZES = [(6, 6), (6, 4)]


def cloud(n: int, seed: int = 0, batch: int = 3) -> Tensor:
    return torch.rand(batch, n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**31), st.floats(-50, 50), st.floats(-50, 50))
def test_a_shift_costs_its_square(n: int, seed: int, dx: float, dy: float) -> None:
    """``W_2²(X, X + t) = ‖t‖²``, however far t is."""
    x = cloud(n, seed)
    moved = wasserstein2_squared(x, x + torch.tensor([dx, dy], dtype=torch.float64))
    assert torch.allclose(moved, torch.full((3,), dx**2 + dy**2, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_a_shift_costs_its_length_in_w1() -> None:
    x = cloud(7)
    assert torch.allclose(wasserstein1(x, x + torch.tensor([3.0, 4.0]).double()), torch.full((3,), 5.0).double())


def test_a_shift_splits_off() -> None:
    """``W_2²(X, Y) = ‖x̄ - ȳ‖² + W_2²`` of the centred clouds: what R_b is built on."""
    x, y = cloud(6, 1), cloud(6, 2)
    apart = (x.mean(1) - y.mean(1)).square().sum(-1)
    centred = wasserstein2_squared(x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True))
    assert torch.allclose(wasserstein2_squared(x, y), apart + centred)


@both
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_indices_do_not_matter(distance: Distance, n: int, m: int) -> None:
    x, y = cloud(n, 1), cloud(m, 2)
    shuffled = x[:, torch.randperm(n, generator=torch.Generator().manual_seed(5))]
    assert torch.allclose(distance(shuffled, y), distance(x, y))


@both
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_symmetry(distance: Distance, n: int, m: int) -> None:
    x, y = cloud(n, 1), cloud(m, 2)
    assert torch.allclose(distance(x, y), distance(y, x))


@both
def test_zero_at_equality_alone(distance: Distance) -> None:
    x = cloud(6)
    assert torch.equal(distance(x, x.flip(1)), torch.zeros(3).double())
    assert (distance(x, cloud(6, 9)) > 0).all()


def test_triangle_inequality() -> None:
    x, y, z = cloud(6, 1), cloud(5, 2), cloud(7, 3)
    assert (wasserstein1(x, z) <= wasserstein1(x, y) + wasserstein1(y, z) + 1e-12).all()
    roots = [wasserstein2_squared(*pair).sqrt() for pair in ((x, z), (x, y), (y, z))]
    assert (roots[0] <= roots[1] + roots[2] + 1e-12).all()


@both
def test_different_sizes_by_hand(distance: Distance) -> None:
    """One point against two at distance 1 and 3."""
    x = torch.zeros(1, 1, 2)
    y = torch.tensor([[[1.0, 0.0], [0.0, 3.0]]])
    power = 1 if distance is wasserstein1 else 2
    assert float(distance(x, y)) == pytest.approx((1 + 3**power) / 2)


@both
def test_a_doubled_set_is_the_same_measure(distance: Distance) -> None:
    x, y = cloud(5, 1), cloud(5, 2)
    assert torch.allclose(distance(torch.cat([x, x], 1), y), distance(x, y))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 10), st.integers(0, 2**31))
def test_w1_never_exceeds_the_mean_distance_by_index(n: int, seed: int) -> None:
    x, y = cloud(n, seed), cloud(n, seed + 1)
    assert (wasserstein1(x, y) <= (x - y).norm(dim=-1).mean(-1) + 1e-12).all()


def test_w1_is_the_mean_distance_by_index_where_the_identity_is_best() -> None:
    """Displacements well below half the smallest gap leave nothing to gain from other partners."""
    grid = torch.cartesian_prod(torch.arange(4.0), torch.arange(3.0)).double()[None]
    moved = grid + 0.2 * (cloud(12, 4, batch=1) - 0.5)
    assert torch.allclose(wasserstein1(grid, moved), (grid - moved).norm(dim=-1).mean(-1))


def test_w1_has_a_plan_of_its_own() -> None:
    """On a line, W_2 may not cross where W_1 is indifferent; here W_1 prefers one long way to two of middle length."""
    x = torch.tensor([[[0.0, 0.0], [1.0, 0.1]]]).double()
    y = torch.tensor([[[1.0, 0.0], [2.0, 0.0]]]).double()
    by_plan_of_w2 = (1.0 + (1.0 + 0.01) ** 0.5) / 2
    by_own_plan = (2.0 + 0.1) / 2
    assert float(wasserstein1(x, y)) == pytest.approx(min(by_plan_of_w2, by_own_plan))
    far = torch.tensor([[[1.0, 0.1], [1.9, 1.0]]]).double()
    candidates = [(x - far).norm(dim=-1).mean(), (x - far.flip(1)).norm(dim=-1).mean()]
    assert float(wasserstein1(x, far)) == pytest.approx(float(min(candidates)))


@both
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_gradients(distance: Distance, n: int, m: int) -> None:
    x, y = cloud(n, 1, batch=2).requires_grad_(), cloud(m, 2, batch=2).requires_grad_()
    assert torch.autograd.gradcheck(distance, (x, y))


@both
def test_the_gradient_at_equality_is_zero(distance: Distance) -> None:
    x = cloud(4).requires_grad_()
    distance(x, x.detach()).sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))


@both
def test_a_batch_is_so_many_single_pairs(distance: Distance) -> None:
    x, y = cloud(5, 1), cloud(5, 2)
    assert torch.allclose(distance(x, y), torch.cat([distance(a[None], b[None]) for a, b in zip(x, y, strict=True)]))
    assert torch.allclose(distance(x, y[:1]), torch.cat([distance(a[None], y[:1]) for a in x]))
