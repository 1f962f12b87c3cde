"""Gradient histograms: what they see of edges, and that light, mirroring and turning change them as they should."""

from __future__ import annotations

import pytest
import torch

from brule.locating.features import CHANNELS, SIGNED, hog
from brule.locating.filters import Filter, filter_responses, max_margin

CELL = 6


def edge(angle_cells: int = 8) -> torch.Tensor:
    """Dark on the left, bright on the right: the gradient points to the right everywhere along the middle."""
    image = torch.zeros(1, angle_cells * CELL, angle_cells * CELL)
    image[:, :, angle_cells * CELL // 2 :] = 1
    return image


def test_one_vector_per_cell() -> None:
    assert hog(torch.rand(2, 4 * CELL + 5, 7 * CELL), CELL).shape == (2, CHANNELS, 4, 7)


def test_a_flat_image_has_no_features() -> None:
    assert hog(torch.full((1, 30, 30), 0.7), CELL).abs().max() == 0


def test_opposite_gradients_vote_for_opposite_orientations() -> None:
    bright_right, bright_left = (hog(image, CELL)[0, :SIGNED, 3:5, 3:5].sum((1, 2)) for image in (edge(), edge().flip(2)))
    assert bright_right.argmax() == (int(bright_left.argmax()) + SIGNED // 2) % SIGNED


def test_signed_orientations_distinguish_opposite_edges_and_unsigned_ones_do_not() -> None:
    one, other = hog(edge(), CELL)[0, :, 4, 3:5], hog(edge().flip(2), CELL)[0, :, 4, 3:5].flip(-1)
    unsigned = slice(SIGNED, SIGNED + SIGNED // 2)
    assert torch.allclose(one[unsigned], other[unsigned], atol=1e-5)
    assert not torch.allclose(one[:SIGNED], other[:SIGNED], atol=1e-2)


def test_contrast_and_brightness_hardly_matter() -> None:
    image = torch.rand(1, 60, 60, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(hog(image, CELL), hog(0.5 * image + 0.2, CELL), atol=2e-3)


def test_shifting_by_a_cell_shifts_the_features() -> None:
    image = torch.rand(1, 72, 72, generator=torch.Generator().manual_seed(0))
    shifted = image.roll((CELL, 2 * CELL), (1, 2))
    inner, moved = hog(image, CELL)[:, :, 2:-4, 2:-4], hog(shifted, CELL)[:, :, 3:-3, 4:-2]
    assert torch.allclose(inner, moved, atol=1e-5)


def test_responses_are_the_sums_that_a_plain_loop_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    maps, one = (
        torch.rand(2, CHANNELS, 5, 6, generator=generator),
        Filter(torch.rand(CHANNELS, 3, 2, generator=generator), 0.5, 0),
    )
    responses = one.responses(maps)
    assert responses.shape == (2, 7, 7)
    for row, column in ((2, 1), (4, 5), (0, 0), (6, 6)):
        window = one.window(maps[1], row, column)
        assert window.shape == one.weights.shape
        assert responses[1, row, column] == pytest.approx(float((window * one.weights).sum()) + 0.5, rel=1e-4)


def test_a_window_beyond_the_map_counts_as_zero() -> None:
    one = Filter(torch.ones(CHANNELS, 3, 3), 0.0, 0)
    maps = torch.ones(1, CHANNELS, 4, 4)
    assert float(one.responses(maps)[0, 0, 0]) == pytest.approx(CHANNELS)  # one of nine cells is on the map
    assert float(one.window(maps[0], 0, 0).sum()) == CHANNELS


def test_max_margin_puts_separable_sides_at_the_margin() -> None:
    positives, negatives = torch.tensor([[2.0, 0.0], [3.0, 1.0]]), torch.tensor([[0.0, 0.0], [-1.0, 1.0], [-5.0, 0.0]])
    w, b = max_margin(positives, negatives, weights=torch.ones(2), regularization=1e-4)
    # The widest street between x = 0 and x = 2: w = (1, 0), b = -1, and what lies beyond doesn't matter.
    assert torch.allclose(w, torch.tensor([1.0, 0.0]), atol=0.02)
    assert b == pytest.approx(-1, abs=0.02)


def test_filters_together_respond_as_they_do_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    shapes = [(3, 3), (2, 4), (3, 3), (3, 3)]
    filters = [Filter(torch.randn(CHANNELS, *shape, generator=generator), float(k), 0) for k, shape in enumerate(shapes)]
    maps = torch.rand(2, CHANNELS, 6, 5, generator=generator)
    for one, together in zip(filters, filter_responses(filters, maps), strict=True):
        assert torch.allclose(one.responses(maps), together, atol=1e-4)
