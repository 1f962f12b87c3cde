"""Transport plans are exact: in their marginals and in their objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from brule.errors import BruleError
from brule.transport import assignment, transport_plan

ot = pytest.importorskip("ot")


def clouds(batch: int, n: int, m: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(batch, size, 2, generator=generator, dtype=torch.float64) for size in (n, m))  # type: ignore[return-value]


def masses(batch: int, n: int, seed: int) -> Tensor:
    raw = torch.rand(batch, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return raw / raw.sum(1, keepdim=True)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 7), (7, 4), (4, 9), (1, 5)])
def test_marginals_are_uniform(n: int, m: int) -> None:
    x, y = clouds(3, n, m)
    plan = transport_plan(x, y)
    assert plan.shape == (3, n, m)
    assert (plan >= 0).all()
    assert torch.allclose(plan.sum(2), torch.full((3, n), 1 / n).double(), atol=1e-12)
    assert torch.allclose(plan.sum(1), torch.full((3, m), 1 / m).double(), atol=1e-12)


def test_marginals_are_the_given_weights() -> None:
    x, y = clouds(2, 6, 6)
    a, b = masses(2, 6, 1), masses(2, 6, 2)
    plan = transport_plan(x, y, x_weights=a, y_weights=b)
    assert torch.allclose(plan.sum(2), a, atol=1e-12)
    assert torch.allclose(plan.sum(1), b, atol=1e-12)


def test_identical_sets_give_the_identity_over_n() -> None:
    x, _ = clouds(2, 8, 8)
    assert torch.equal(transport_plan(x, x), torch.eye(8).double().expand(2, 8, 8) / 8)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(("n", "m"), [(12, 12), (12, 7)])
def test_the_objective_is_that_of_pot(n: int, m: int, power: int) -> None:
    x, y = clouds(4, n, m)
    cost = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist") ** power
    ours = (transport_plan(x, y, power=power) * cost).sum((1, 2))
    for own, matrix in zip(ours, cost.numpy(), strict=True):
        theirs = ot.emd2(np.full(n, 1 / n), np.full(m, 1 / m), matrix)
        assert float(own) == pytest.approx(theirs, abs=1e-12)


def test_an_assignment_is_the_plan_in_its_short_form() -> None:
    x, y = clouds(3, 9, 9)
    partner = assignment(x, y)
    assert all(sorted(row.tolist()) == list(range(9)) for row in partner)
    assert torch.equal(transport_plan(x, y).argmax(2), partner)


@pytest.mark.parametrize("n", [100, 130])
@pytest.mark.parametrize("like", ["random", "affine", "line", "one place"])
def test_large_sets_are_solved_exactly_too(n: int, like: str) -> None:
    """Where the costs are levelled first, against SciPy on the costs as they are."""
    x, y = clouds(2, n, n)
    if like == "affine":
        y = x @ torch.tensor([[1.2, 0.3], [0.1, 0.7]]).double() + 5.0 + 0.05 * y
    elif like == "line":
        y = torch.stack([y[..., 0], torch.zeros_like(y[..., 0])], -1)
    elif like == "one place":
        x = torch.zeros_like(x)
    partner = assignment(x, y)
    for points, targets, found in zip(x.numpy(), y.numpy(), partner.numpy(), strict=True):
        cost = ((points[:, None] - targets[None]) ** 2).sum(-1)
        rows, columns = linear_sum_assignment(cost)
        assert sorted(found) == list(range(n))
        assert cost[np.arange(n), found].sum() == pytest.approx(cost[rows, columns].sum(), rel=1e-9, abs=1e-9)


def test_crossing_is_worth_it_when_the_partners_say_so() -> None:
    """By hand: two points that have changed places."""
    x = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])
    assert assignment(x, x.flip(1)).tolist() == [[1, 0]]


def test_one_target_serves_the_whole_batch() -> None:
    x, y = clouds(3, 5, 5)
    alone = torch.cat([transport_plan(one[None], y[:1]) for one in x])
    assert torch.equal(transport_plan(x, y[:1]), alone)


def test_type_stays_and_no_gradient_comes() -> None:
    x = torch.rand(1, 4, 2, requires_grad=True)
    plan = transport_plan(x, torch.rand(1, 3, 2))
    assert plan.dtype == torch.float32
    assert not plan.requires_grad


def test_what_is_not_finite_is_refused() -> None:
    x = torch.rand(1, 4, 2)
    x[0, 2, 1] = float("nan")
    with pytest.raises(BruleError, match="finite"):
        transport_plan(x, torch.rand(1, 4, 2))


def test_batches_that_differ_are_refused() -> None:
    with pytest.raises(BruleError, match="2 and 3"):
        transport_plan(torch.rand(2, 4, 2), torch.rand(3, 4, 2))


@pytest.mark.parametrize("weights", [[[0.5, 0.6]], [[1.5, -0.5]]])
def test_weights_that_are_no_distribution_are_refused(weights: list[list[float]]) -> None:
    with pytest.raises(BruleError, match="x_weights"):
        transport_plan(torch.rand(1, 2, 2), torch.rand(1, 2, 2), x_weights=torch.tensor(weights))


def test_an_assignment_needs_sets_of_one_size() -> None:
    with pytest.raises(BruleError, match="transport_plan"):
        assignment(torch.rand(1, 3, 2), torch.rand(1, 4, 2))
