"""Patches of two sets of images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from brule.data.synthetic import synthetic_faces
from brule.errors import DataError
from brule.redrawing.two_samples import _doubled, laplacian_pyramid, patch_distance, sliced_wasserstein

FACES = synthetic_faces(16, size=32).images


def test_on_a_line_the_sliced_distance_is_the_distance_of_the_sorted() -> None:
    x, y = torch.tensor([[1.0], [0.0], [5.0]]), torch.tensor([[2.0], [7.0], [3.0]])
    assert sliced_wasserstein(x, y, torch.ones(1, 1)) == pytest.approx((2 + 2 + 2) / 3)  # 0→2, 1→3, 5→7


def test_a_shift_costs_its_mean_length_in_the_directions() -> None:
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(0))
    shift = torch.tensor([0.3, -0.4])
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, -0.8]])
    assert sliced_wasserstein(x, x + shift, directions) == pytest.approx((0.3 + 0.4 + 0.5) / 3, abs=1e-5)
    many = F.normalize(torch.randn(20000, 2, generator=torch.Generator().manual_seed(1)), dim=1)
    assert sliced_wasserstein(x[:2], x[:2] + shift, many) == pytest.approx(0.5 * 2 / math.pi, rel=0.02)  # E|cos| = 2/π


def test_the_order_of_the_points_does_not_matter() -> None:
    x, y = torch.rand(2, 30, 4, generator=torch.Generator().manual_seed(0))
    directions = F.normalize(torch.randn(40, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    there = sliced_wasserstein(x, y, directions)
    assert there == pytest.approx(float(sliced_wasserstein(y.flip(0), x, directions))) and there > 0
    assert sliced_wasserstein(x, x.flip(0), directions) == pytest.approx(0, abs=1e-7)


def test_the_levels_of_a_pyramid_add_up_to_the_image() -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    levels = laplacian_pyramid(images, 16)
    assert [level.shape[-1] for level in levels] == [64, 32, 16]
    whole = levels[-1]
    for level in levels[-2::-1]:
        whole = level + _doubled(whole)
    assert torch.allclose(whole, images, atol=1e-6)


def test_a_constant_image_has_no_detail() -> None:
    fine, coarse = laplacian_pyramid(torch.full((1, 1, 32, 32), 0.7), 16)
    inner = fine[..., 2:-3, 2:-3]  # zeros between the pixels reach over the border
    assert torch.allclose(inner, torch.zeros_like(inner), atol=1e-6)
    assert torch.allclose(coarse, torch.full_like(coarse, 0.7))


def test_the_same_set_has_no_distance_and_one_seed_gives_one_figure() -> None:
    assert patch_distance(FACES, FACES).mean == 0
    first, again = (patch_distance(FACES[:8], FACES[8:], seed=3) for _ in range(2))
    assert first == again and set(first.levels) == {32, 16}
    assert first.mean == pytest.approx(sum(first.levels.values()) / 2)
    assert patch_distance(FACES[:8], FACES[8:], seed=4).mean != first.mean


def test_the_more_a_set_is_blurred_the_farther_it_is() -> None:
    def blurred(times: int) -> np.ndarray:
        maps = torch.from_numpy(FACES).permute(0, 3, 1, 2).float()
        for _ in range(times):
            maps = F.avg_pool2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        return maps.permute(0, 2, 3, 1).round().byte().numpy()

    values = [patch_distance(FACES, blurred(times)) for times in (0, 1, 4)]
    assert values[0].mean < values[1].mean < values[2].mean
    assert values[1].levels[32] > values[1].levels[16]  # it is the finest level that suffers


def test_half_of_the_contrast_lost_costs_half_as_much_as_all_of_it() -> None:
    half, all_of_it = (patch_distance(FACES, other) for other in (FACES // 2, np.zeros_like(FACES)))
    for side in (32, 16):
        assert half.levels[side] == pytest.approx(all_of_it.levels[side] / 2, rel=0.02)  # // rounds


def test_sets_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="of one shape"):
        patch_distance(FACES, FACES[:3])
    for size in ((2, 6, 6, 3), (2, 40, 32, 3), (2, 33, 33, 3)):
        with pytest.raises(DataError, match="8, 16, 32"):
            patch_distance(np.zeros(size, np.uint8), np.zeros(size, np.uint8))


def test_images_without_any_contrast_are_no_error() -> None:
    flat = np.full((4, 16, 16, 3), 90, np.uint8)
    assert patch_distance(flat, flat).mean == 0
