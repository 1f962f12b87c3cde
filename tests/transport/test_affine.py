"""The translation and the affine map of Eq. (1)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from brule.errors import BruleError
from brule.transport import affine_from_plan, translation_to, transport_plan


def cloud(n: int, seed: int = 0, batch: int = 3) -> Tensor:
    return torch.rand(batch, n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def identity_plan(n: int, batch: int = 3) -> Tensor:
    return torch.eye(n, dtype=torch.float64).expand(batch, n, n) / n


@pytest.mark.parametrize("m", [6, 4])
def test_the_centres_of_mass_coincide_after_t(m: int) -> None:
    x, y = cloud(6, 1), cloud(m, 2)
    shift = translation_to(x, y)
    assert shift.shape == (3, 2)
    assert torch.allclose((x + shift[:, None]).mean(1), y.mean(1))
    assert torch.allclose((x + translation_to(x, y[:1])[:, None]).mean(1), y[:1].mean(1).expand(3, 2))


@pytest.mark.parametrize("seed", range(5))
def test_a_known_map_is_recovered_exactly(seed: int) -> None:
    """From ``P = I/N``, shears included, wherever the two clouds lie."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.randn(3, 2, 2, generator=generator, dtype=torch.float64)
    x = cloud(9, seed)
    y = (x - x.mean(1, keepdim=True)) @ known + torch.tensor([5.0, -3.0]).double()
    assert torch.allclose(affine_from_plan(x + 11.0, y, identity_plan(9)), known, atol=1e-10)


def test_a_turn_by_hand_is_applied_from_the_right() -> None:
    """``(1, 0) @ A = (0, 1)``."""
    x = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]])
    y = torch.stack([-x[..., 1], x[..., 0]], -1)
    found = affine_from_plan(x, y, torch.eye(4)[None] / 4)
    assert torch.allclose(found, torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]]), atol=1e-6)


def test_no_other_map_comes_closer_under_the_plan() -> None:
    """Eq. (1) is a least-squares problem: its gradient in A vanishes, for any plan."""
    x, y = cloud(6, 1), cloud(4, 2)
    plan = transport_plan(x, y)
    xc, yc = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    map_ = affine_from_plan(x, y, plan).requires_grad_()
    miss = (plan * ((xc @ map_)[:, :, None] - yc[:, None]).square().sum(-1)).sum()
    (slope,) = torch.autograd.grad(miss, map_)
    assert torch.allclose(slope, torch.zeros_like(slope), atol=1e-12)


def test_indices_do_not_matter() -> None:
    x, y = cloud(6, 1), cloud(6, 2)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(3))
    there, shuffled = affine_from_plan(x, y, transport_plan(x, y)), x[:, order]
    assert torch.allclose(affine_from_plan(shuffled, y, transport_plan(shuffled, y)), there)


def test_masses_are_those_of_the_plan() -> None:
    """A point without mass has no say."""
    x, known = cloud(6, 1), torch.tensor([[1.2, 0.3], [-0.1, 0.8]]).double()
    y = x @ known
    plan = identity_plan(6).clone()
    plan[:, 5] = 0
    plan = plan / plan.sum((1, 2), keepdim=True)
    y[:, 5] = 100.0
    assert torch.allclose(affine_from_plan(x, y, plan), known.expand(3, 2, 2))


def test_a_cloud_on_one_line_gets_the_smallest_map() -> None:
    x = torch.tensor([[[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]]).double()
    found = affine_from_plan(x, 2 * x, identity_plan(3, 1))
    assert torch.allclose(found, torch.tensor([[[2.0, 0.0], [0.0, 0.0]]]).double())


def test_one_point_gets_the_zero_map() -> None:
    x = torch.rand(1, 1, 2).double()
    assert torch.equal(affine_from_plan(x, x, torch.ones(1, 1, 1).double()), torch.zeros(1, 2, 2).double())


def test_gradients() -> None:
    x, y = cloud(5, 1, 2).requires_grad_(), cloud(5, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: affine_from_plan(a, b, identity_plan(5, 2)), (x, y))


def test_a_plan_of_another_shape_is_refused() -> None:
    with pytest.raises(BruleError, match=r"\(3, 6, 4\)"):
        affine_from_plan(cloud(6), cloud(4), identity_plan(6))
