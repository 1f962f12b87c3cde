"""Free-support barycenters: closed forms, descent, and the order of the indices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from brule.data.shapes import to_crop
from brule.data.synthetic import synthetic_faces
from brule.errors import BruleError
from brule.transport import free_support_barycenter, wasserstein2_squared


def cloud(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def faces(n: int) -> list[Tensor]:
    return [torch.as_tensor(to_crop(points)) for points in synthetic_faces(n, size=64).points]


def test_two_diracs_meet_in_the_middle() -> None:
    result = free_support_barycenter([torch.tensor([[0.0, 2.0]]), torch.tensor([[4.0, 0.0]])])
    assert torch.allclose(result.points, torch.tensor([[2.0, 1.0]]))
    assert result.objective == pytest.approx(5.0)


def test_weights_pull() -> None:
    result = free_support_barycenter([torch.tensor([[0.0, 0.0]]), torch.tensor([[4.0, 0.0]])], weights=[3, 1])
    assert torch.allclose(result.points, torch.tensor([[1.0, 0.0]]))
    assert result.objective == pytest.approx(0.75 * 1 + 0.25 * 9)


def test_translates_of_one_set_give_the_mean_translate() -> None:
    base = cloud(7)
    shifts = torch.tensor([[0.0, 0.0], [30.0, -4.0], [6.0, 10.0]]).double()
    result = free_support_barycenter([base + shift for shift in shifts])
    assert torch.allclose(result.points, base + shifts.mean(0))
    assert result.objective == pytest.approx(float((shifts - shifts.mean(0)).square().sum(-1).mean()))


def test_one_set_is_its_own_barycenter() -> None:
    base = cloud(7)
    result = free_support_barycenter([base])
    assert torch.allclose(result.points, base)
    assert result.objective == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("sizes", [(9, 9, 9, 9), (5, 9, 7, 7)])
def test_the_objective_never_rises(sizes: tuple[int, ...]) -> None:
    sets = [cloud(n, seed) for seed, n in enumerate(sizes)]
    result = free_support_barycenter(sets)
    assert all(later <= earlier for earlier, later in zip(result.history, result.history[1:], strict=False))
    assert len(result.history) > 1
    assert result.history[-1] == result.objective


def test_the_objective_is_the_weighted_mean_of_w2_squared() -> None:
    sets, weights = [cloud(6, seed) for seed in range(3)], [1.0, 2.0, 5.0]
    result = free_support_barycenter(sets, weights=weights)
    distances = torch.cat([wasserstein2_squared(result.points[None], one[None]) for one in sets])
    assert result.objective == pytest.approx(float((distances * torch.tensor(weights) / 8).sum()))


def test_it_beats_every_given_set_and_every_small_nudge() -> None:
    sets = [cloud(6, seed) for seed in range(4)]

    def objective(points: Tensor) -> float:
        return float(torch.cat([wasserstein2_squared(points[None], one[None]) for one in sets]).mean())

    result = free_support_barycenter(sets)
    assert all(result.objective <= objective(one) for one in sets)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        nudge = 1e-3 * torch.randn(6, 2, generator=generator, dtype=torch.float64)
        assert objective(result.points + nudge) >= result.objective


@pytest.mark.parametrize(("sizes", "asked", "expected"), [((4, 6, 6), None, 6), ((4, 6, 6), 4, 4), ((4, 6), 9, 9)])
def test_sizes_may_differ_and_be_asked_for(sizes: tuple[int, ...], asked: int | None, expected: int) -> None:
    sets = [cloud(n, seed) for seed, n in enumerate(sizes)]
    result = free_support_barycenter(sets, n_points=asked)
    assert result.points.shape == (expected, 2)
    assert torch.isfinite(result.points).all()


def test_the_order_of_the_indices_is_that_of_the_annotations() -> None:
    """Of real shapes: point i of the barycenter lies by point i of the annotated shapes, far nearer than any other way."""
    shapes = faces(6)
    points = free_support_barycenter(shapes).points
    mean = torch.stack(shapes).mean(0)
    assert float((points - mean).norm(dim=-1).mean()) < 0.02
    assert float((points.flip(0) - mean).norm(dim=-1).mean()) > 0.2


def test_one_shape_in_another_order_is_outvoted() -> None:
    shapes = faces(6)
    shuffled = [shapes[0][torch.randperm(68, generator=torch.Generator().manual_seed(0))], *shapes[1:]]
    assert torch.allclose(free_support_barycenter(shuffled).points, free_support_barycenter(shapes).points, atol=1e-6)


def test_a_missing_point_costs_nothing_and_moves_no_index() -> None:
    """Worked out by hand: what both have is halfway, what one has alone stays; both halves pay 1 of their 2 points' 1²."""
    one = torch.tensor([[0.0, 0.0], [60.0, 0.0], [0.0, 90.0]]).double()
    two = torch.tensor([[2.0, 0.0], [float("nan"), 5.0], [0.0, 92.0]]).double()
    for sets in ([one, two], [two, one]):
        result = free_support_barycenter(sets)
        assert torch.allclose(result.points, torch.tensor([[1.0, 0.0], [60.0, 0.0], [0.0, 91.0]]).double())
        assert result.objective == pytest.approx(2 / 3)


def test_a_set_that_lacks_a_part_of_itself_changes_nothing() -> None:
    base = cloud(9)
    holed = base.clone()
    holed[:4] = float("nan")
    result = free_support_barycenter([holed, base, holed])
    assert torch.allclose(result.points, base)
    assert result.objective == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("whole", [0, 4])
def test_with_missing_points_the_order_stays_that_of_the_annotations(whole: int) -> None:
    shapes = faces(6)
    mean = torch.stack(shapes).mean(0)
    holed = [shape.clone() for shape in shapes]
    for k, shape in enumerate(holed[whole:]):
        shape[5 * k : 5 * k + 4] = float("nan")
    points = free_support_barycenter(holed).points
    nearest = torch.cdist(points, mean).argmin(1)
    assert torch.isfinite(points).all()
    assert float((points - mean).norm(dim=-1).mean()) < 0.03
    assert float((nearest - torch.arange(68)).abs().float().mean()) < 0.5


def test_the_order_of_the_shapes_does_not_matter() -> None:
    shapes = faces(5)
    there, back = free_support_barycenter(shapes), free_support_barycenter(shapes[::-1])
    assert there.objective == pytest.approx(back.objective, rel=1e-6)
    assert torch.allclose(there.points, back.points, atol=1e-3)


def test_the_seed_alone_draws_the_starts() -> None:
    sets = [cloud(4, seed) for seed in range(14)]
    first, again = free_support_barycenter(sets, seed=3), free_support_barycenter(sets, seed=3)
    assert torch.equal(first.points, again.points)


def test_the_type_of_the_shapes_is_kept() -> None:
    assert free_support_barycenter([cloud(3).float()]).points.dtype == torch.float32
    assert free_support_barycenter([cloud(3)]).points.dtype == torch.float64


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ([], "empty"),
        ([torch.zeros(3, 3)], r"\(3, 3\)"),
        ([torch.zeros(3, 2), torch.zeros(0, 2)], "shape 1"),
        ([torch.full((3, 2), float("nan"))], "all 3 points of shape 0 are missing"),
        ([torch.full((3, 2), float("inf"))], "shape 0 holds infinity"),
        ([torch.tensor([[0.0, 0.0], [float("nan"), 0.0]])] * 2, "none of 2 shapes has the point 1"),
    ],
)
def test_bad_shapes_are_refused(sets: list[Tensor], said: str) -> None:
    with pytest.raises(BruleError, match=said):
        free_support_barycenter(sets)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, float("nan")]])
def test_bad_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(BruleError, match="weights"):
        free_support_barycenter([cloud(3), cloud(3, 1)], weights=weights)


def test_a_size_that_is_not_positive_is_refused() -> None:
    with pytest.raises(BruleError, match="n_points"):
        free_support_barycenter([cloud(3)], n_points=0)
