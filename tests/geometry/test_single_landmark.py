"""The skeleton of a single landmark is a dot: there is no edge, and yet the map has to sum to one."""

from __future__ import annotations

import pytest
import torch

from brule.geometry import skeleton_heatmap, skeleton_heatmap_plain

SIZE, SIGMA = 24, 1.5
POINTS = torch.tensor([[[0.3125, 0.6875]], [[0.52, 0.31]]], dtype=torch.float64)  # the first is the centre of pixel (7, 16)


@pytest.mark.parametrize("draw", [skeleton_heatmap, skeleton_heatmap_plain])
def test_it_is_a_gaussian_about_the_landmark(draw) -> None:
    maps = draw(POINTS, size=SIZE, sigma=SIGMA, normalize=False)
    y, x = torch.meshgrid(*[torch.arange(SIZE, dtype=torch.float64)] * 2, indexing="ij")
    for found, (left, top) in zip(maps[:, 0], POINTS[:, 0].tolist(), strict=True):
        squared = (x - (left * SIZE - 0.5)) ** 2 + (y - (top * SIZE - 0.5)) ** 2
        torch.testing.assert_close(found, torch.exp(-squared / (2 * SIGMA**2)), atol=1e-7, rtol=0)
    torch.testing.assert_close(draw(POINTS, size=SIZE, sigma=SIGMA).sum((1, 2, 3)), torch.ones(2, dtype=torch.float64))


def test_its_gradient_is_that_of_the_plain_version() -> None:
    found = []
    for draw in (skeleton_heatmap, skeleton_heatmap_plain):
        points = POINTS.clone().requires_grad_()
        weights = torch.linspace(0, 1, SIZE**2, dtype=torch.float64).view(SIZE, SIZE)
        (draw(points, size=SIZE, sigma=SIGMA) * weights).sum().backward()
        found.append(points.grad)
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-5)
    assert found[0].abs().min() > 0
