"""Hand edits of landmark sets, and what lies between two of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from brule.errors import BruleError
from brule.redrawing import between, interpolated, moved, scaled, turned

CROSS = torch.tensor([[0.5, 0.4], [0.6, 0.5], [0.5, 0.6], [0.4, 0.5]], dtype=torch.float64)  # up, right, down, left


def shape(seed: int, n: int = 7) -> Tensor:
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distances(points: Tensor) -> Tensor:
    return torch.cdist(points, points)


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-12)


def test_a_shift_adds_the_same_to_every_chosen_landmark() -> None:
    points = shape(0)
    assert close(moved(points, (0.1, -0.2)) - points, torch.tensor([0.1, -0.2], dtype=torch.float64).expand(7, 2))
    part = moved(points, (0.1, -0.2), indices=[1, 3])
    assert close(part[[0, 2, 4, 5, 6]], points[[0, 2, 4, 5, 6]])
    assert close(part[[1, 3]], points[[1, 3]] + torch.tensor([0.1, -0.2], dtype=torch.float64))


def test_a_quarter_turn_is_clockwise_as_one_looks_at_it() -> None:
    assert close(turned(CROSS, 90), CROSS[[1, 2, 3, 0]])  # what was up is right now


def test_a_turn_keeps_lengths_and_the_centre_and_can_be_taken_back() -> None:
    points = shape(1)
    there = turned(points, 33)
    assert close(distances(there), distances(points)) and close(there.mean(0), points.mean(0))
    assert not close(there, points) and close(turned(there, -33), points)


def test_a_part_turns_about_its_own_centre() -> None:
    both = torch.cat([CROSS, CROSS + 5])
    assert close(turned(both, 90, indices=range(4, 8)), torch.cat([CROSS, CROSS[[1, 2, 3, 0]] + 5]))


def test_scaling_multiplies_lengths_about_the_centre() -> None:
    points = shape(2)
    large = scaled(points, 1.5)
    assert close(distances(large), 1.5 * distances(points)) and close(large.mean(0), points.mean(0))
    part = scaled(points, 2.0, indices=[0, 1])
    assert close(part[2:], points[2:]) and close(part[:2].mean(0), points[:2].mean(0))
    assert close(part[0] - part[1], 2 * (points[0] - points[1]))


def test_edits_take_batches_and_change_nothing_in_place() -> None:
    batch = torch.stack([shape(3), shape(4)])
    before = batch.clone()
    for edit in (lambda p: moved(p, (0.1, 0)), lambda p: turned(p, 20), lambda p: scaled(p, 0.5)):
        assert close(edit(batch), torch.stack([edit(batch[0]), edit(batch[1])]))
    assert torch.equal(batch, before)


@pytest.mark.parametrize("indices", [[7], [-1], []])
def test_indices_that_are_not_there(indices: list[int]) -> None:
    for edit in (lambda: moved(shape(0), (0, 0), indices=indices), lambda: turned(shape(0), 1, indices=indices)):
        with pytest.raises(BruleError, match="from 0 to 6"):
            edit()


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_factors_that_make_no_sense(factor: float) -> None:
    with pytest.raises(BruleError, match="positive factor"):
        scaled(shape(0), factor)


def test_the_way_between_two_sets_starts_and_ends_at_them_and_is_the_same_both_ways() -> None:
    a, b = shape(5), shape(6)
    assert close(between(a, b, 0), a) and close(between(a, b, 1), b)
    for share in (0.25, 0.5, 0.8):
        assert close(between(a, b, share), between(b, a, 1 - share))


def test_between_a_set_and_its_turned_image_everything_is_turned() -> None:
    points = shape(7)
    assert close(between(points, turned(points, 120), 0.25), turned(points, 30))
    straight = (points + turned(points, 120)) / 2
    assert distances(straight).max() < 0.6 * distances(points).max()  # what the plain mean would do


def test_between_a_set_and_its_moved_and_enlarged_image_lie_moved_and_enlarged_ones() -> None:
    points = shape(8)
    image = moved(scaled(points, 4.0), (0.2, 0.6))
    assert close(between(points, image, 0.5), moved(scaled(points, 2.0), (0.1, 0.3)))


def test_without_a_turn_between_them_two_shapes_of_one_size_are_averaged() -> None:
    wide = torch.tensor([[1.0, 0], [0, 0.5], [-1, 0], [0, -0.5]], dtype=torch.float64)
    flat = torch.tensor([[1.0, 0], [0, 0.0], [-1, 0], [0, 0.0]], dtype=torch.float64)
    flat = flat * math.sqrt(2.5 / 2)  # the same norm
    assert close(between(wide, flat, 0.5), (wide + flat) / 2)


def test_interpolation_keeps_the_sets_and_puts_steps_between_them() -> None:
    sets = torch.stack([shape(1), shape(2), shape(3)])
    more = interpolated(sets, 3)
    assert more.shape == (9, 7, 2) and close(more[::4], sets)
    assert close(more[5], between(sets[1], sets[2], 0.25))
    assert torch.equal(interpolated(sets, 0), sets) and torch.equal(interpolated(sets[:1], 3), sets[:1])


def test_interpolation_refuses() -> None:
    with pytest.raises(BruleError, match="0 steps or more"):
        interpolated(torch.stack([shape(1), shape(2)]), -1)
    with pytest.raises(BruleError, match="7 and 5"):
        between(shape(1), shape(2, 5), 0.5)
    with pytest.raises(BruleError, match="in one place"):
        between(shape(1), torch.full((7, 2), 0.1, dtype=torch.float64), 0.5)


def test_float32_stays_float32() -> None:
    a, b = shape(1).float(), shape(2).float()
    for result in (moved(a, (0.1, 0.1)), turned(a, 3), scaled(a, 2), between(a, b, 0.3)):
        assert result.dtype == torch.float32
