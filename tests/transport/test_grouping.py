"""Several barycenters: laws of k-means, with the Wasserstein distance."""

from __future__ import annotations

import pytest
import torch

from brule.errors import BruleError
from brule.transport import free_support_barycenter, grouped_barycenters, wasserstein2_squared

SQUARE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
FAR = torch.tensor([10.0, 0.0])
NEAR = [torch.tensor([x, 0.0]) for x in (0.0, 0.1, 0.2)]
SETS = [SQUARE + NEAR[0], SQUARE + FAR, SQUARE + NEAR[1], SQUARE + FAR + NEAR[2], SQUARE + NEAR[2]]


@pytest.mark.parametrize("seed", range(4))
def test_two_heaps_of_translates_have_their_mean_translates(seed: int) -> None:
    found, labels = grouped_barycenters(SETS, 2, seed=seed)
    assert labels == [0, 1, 0, 1, 0]  # the larger group first
    torch.testing.assert_close(found[0].points, SQUARE + torch.tensor([0.1, 0.0]))
    torch.testing.assert_close(found[1].points, SQUARE + FAR + torch.tensor([0.1, 0.0]))


def test_one_group_is_the_barycenter() -> None:
    (one,), labels = grouped_barycenters(SETS, 1)
    torch.testing.assert_close(one.points, free_support_barycenter(SETS).points)
    assert labels == [0] * 5


def test_as_many_groups_as_sets_are_the_sets() -> None:
    found, labels = grouped_barycenters(SETS, 5)
    assert sorted(labels) == [0, 1, 2, 3, 4]
    for own, label in zip(SETS, labels, strict=True):
        torch.testing.assert_close(found[label].points, own)


def test_every_set_belongs_to_the_nearest_barycenter_and_more_of_them_are_nearer() -> None:
    generator = torch.Generator().manual_seed(0)
    sets = [SQUARE + 0.3 * torch.randn(4, 2, generator=generator) for _ in range(12)]
    costs = []
    for count in (1, 2, 4):
        found, labels = grouped_barycenters(sets, count)
        apart = torch.stack([wasserstein2_squared(torch.stack(sets), one.points[None].float()) for one in found], 1)
        assert apart.argmin(1).tolist() == labels
        costs.append(float(apart.amin(1).mean()))
    assert costs[0] > costs[1] > costs[2]


def test_twins_leave_no_group_empty() -> None:
    found, labels = grouped_barycenters([SQUARE] * 4, 3)
    assert len(found) == 3 and set(labels) == {0, 1, 2}


def test_missing_points_and_other_numbers_of_points() -> None:
    holed = SQUARE.clone()
    holed[1] = torch.nan
    found, labels = grouped_barycenters([SQUARE, holed, SQUARE + FAR, SQUARE + FAR], 2)
    assert labels[0] == labels[1] != labels[2] == labels[3]
    torch.testing.assert_close(found[labels[0]].points, SQUARE)
    assert [len(one.points) for one in grouped_barycenters(SETS, 2, n_points=2)[0]] == [2, 2]


@pytest.mark.parametrize("count", [0, 6])
def test_impossible_numbers_of_groups(count: int) -> None:
    with pytest.raises(BruleError, match=f"1 to 5 groups, as many as there are shapes, got {count}"):
        grouped_barycenters(SETS, count)
