"""One map ``g`` for pictures and for points: what is painted at p is found at g(p)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from brule.coordinates import pixel_centres, sample_at
from brule.errors import BruleError
from brule.geometry import SynchronizedWarp, skeleton_heatmap

# The paper's authors' deformations at 256 px, every strength at its limit.
ROTATION, SCALE, TRANSLATION = 15.0, 0.1, 0.0625


def drawn(batch: int, seed: int = 0, size: int = 64, **strengths: float) -> SynchronizedWarp:
    return SynchronizedWarp.sample(batch, size=size, generator=torch.Generator().manual_seed(seed), **strengths)


def strongest(batch: int, size: int) -> SynchronizedWarp:
    """The paper's elastic fields under turns of ±15°, sizes of 1.1 or 1/1.1 and shifts to the corners."""
    warp = drawn(batch, size=size)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4)[torch.arange(batch) % 16]
    angle, factor = signs[:, 0] * math.radians(ROTATION), (1 + SCALE) ** signs[:, 1]
    rows = [angle.cos() / factor, angle.sin() / factor, -angle.sin() / factor, angle.cos() / factor]
    return replace(warp, inverse=torch.stack(rows, -1).view(batch, 2, 2), shift=TRANSLATION * signs[:, 2:])


def cloud(batch: int, n: int, seed: int = 1, low: float = 0.2, high: float = 0.8) -> Tensor:
    raw = torch.rand(batch, n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return low + (high - low) * raw


def dots(points: Tensor, size: int, sigma: float) -> Tensor:
    """A Gaussian dot of ``sigma`` pixels at each of ``(B, 2)`` points."""
    away = (pixel_centres(size, size, dtype=torch.float64) - points[:, None, None]) * size
    return torch.exp(-away.square().sum(-1) / (2 * sigma**2))[:, None].float()


def centroids(images: Tensor) -> Tensor:
    mass = images[:, 0, :, :, None].double()
    return (mass * pixel_centres(*images.shape[-2:], dtype=torch.float64)).sum((1, 2)) / mass.sum((1, 2))


@pytest.mark.parametrize("size", [16, 33, 64, 100])
def test_the_warp_that_moves_nothing(size: int) -> None:
    images, points = torch.rand(2, 3, size, size), cloud(2, 5)
    for warp in (
        SynchronizedWarp.identity(2),
        drawn(2, size=size, rotation=0, scale=0, translation=0, elastic=0),
    ):
        assert torch.allclose(warp.image(images), images, atol=2e-5)  # the rounding of 100 float32 pixel positions
        assert torch.allclose(warp.points(points), points, atol=1e-12)
        assert torch.allclose(warp.heatmap(images), images, atol=2e-5)


def test_where_sizes_are_powers_of_two_nothing_is_nothing_exactly() -> None:
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(SynchronizedWarp.identity(2).image(images), images)


def test_a_shift_by_whole_pixels_by_hand() -> None:
    """t = (3, -2) pixels of 16: right and up."""
    warp = replace(SynchronizedWarp.identity(1), shift=torch.tensor([[3 / 16, -2 / 16]]))
    image = torch.rand(1, 1, 16, 16)
    moved = warp.image(image, padding="zeros")
    assert torch.allclose(moved[..., :14, 3:], image[..., 2:, :13], atol=1e-6)
    assert torch.equal(moved[..., :, :3], torch.zeros(1, 1, 16, 3))
    assert torch.allclose(warp.points(torch.tensor([[[0.5, 0.5]]])), torch.tensor([[[0.6875, 0.375]]]))


def test_a_quarter_turn_by_hand() -> None:
    """About the centre, and the same way for picture and points."""
    quarter = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])  # the inverse of (x, y) -> (-y, x)
    warp = replace(SynchronizedWarp.identity(1), inverse=quarter)
    assert torch.allclose(warp.points(torch.tensor([[[1.0, 0.5]]])), torch.tensor([[[0.5, 1.0]]]), atol=1e-6)
    image = torch.rand(1, 1, 8, 8)
    assert torch.allclose(warp.image(image), image.rot90(-1, (2, 3)), atol=1e-5)


def test_a_point_is_found_in_the_moved_picture_where_g_carries_it() -> None:
    """The picture of x and y themselves, moved, reads p at g(p): to a fiftieth of a pixel, at the strongest warps."""
    size, warp = 256, strongest(16, 256)
    picture = pixel_centres(size, size).permute(2, 0, 1).expand(16, -1, -1, -1)
    points = cloud(16, 200)
    moved = warp.points(points)
    visible = (moved > 1 / size).all(-1) & (moved < 1 - 1 / size).all(-1)
    read = sample_at(warp.image(picture), moved[:, None].float())[:, :, 0].transpose(1, 2)
    miss = size * (read - points).norm(dim=-1)[visible]
    assert len(miss) > 3000
    assert float(miss.max()) < 0.02


def test_a_painted_dot_lands_where_its_point_does() -> None:
    """Within 0.1 px of 256. The dots are painted and moved at four times that size: one of several pixels, bent by an
    elastic map that changes over ten, has its centre of mass elsewhere than its middle."""
    size, finer, warp, points = 256, 4, strongest(16, 256), cloud(16, 1)
    for k in range(points.shape[1]):
        painted = dots(points[:, k], finer * size, sigma=1.0)
        miss = size * (centroids(warp.image(painted, padding="zeros")) - warp.points(points)[:, k]).norm(dim=-1)
        assert float(miss.max()) < 0.1
        assert float(miss.mean()) < 0.02


def test_dots_of_256_px_land_within_a_tenth_of_a_pixel_on_average() -> None:
    size, warp, points = 256, strongest(64, 256), cloud(64, 1)
    moved = warp.image(dots(points[:, 0], size, sigma=0.7), padding="zeros")
    miss = size * (centroids(moved) - warp.points(points)[:, 0]).norm(dim=-1)
    assert float(miss.mean()) < 0.1


def test_g_is_the_affine_map_after_the_elastic_one() -> None:
    warp = strongest(4, 64)
    still = SynchronizedWarp.identity(4)
    elastic = replace(still, field=warp.field)
    affine = replace(still, inverse=warp.inverse, shift=warp.shift)
    points = cloud(4, 20)
    assert torch.allclose(warp.points(points), affine.points(elastic.points(points)), atol=1e-6)
    picture = pixel_centres(256, 256).permute(2, 0, 1).expand(4, -1, -1, -1)
    in_two = affine.image(elastic.image(picture))
    inner = (..., slice(64, 192), slice(64, 192))  # nothing from outside, and no border of the first result
    assert torch.allclose(warp.image(picture)[inner], in_two[inner], atol=1e-3)


def test_points_come_back_through_the_inverse() -> None:
    """``g^-1(g(p)) = p``, where ``g^-1`` is what the picture is drawn with."""
    warp, points = strongest(4, 64), cloud(4, 30, low=0.0, high=1.0)
    size = 512
    picture = pixel_centres(size, size, dtype=torch.float64).permute(2, 0, 1).expand(4, -1, -1, -1)
    moved = warp.points(points)
    visible = (moved > 2 / size).all(-1) & (moved < 1 - 2 / size).all(-1)
    read = sample_at(warp.image(picture), moved[:, None])[:, :, 0].transpose(1, 2)
    inside = visible & (points > 2 / size).all(-1) & (points < 1 - 2 / size).all(-1)
    assert float((read - points).norm(dim=-1)[inside].max()) < 1e-3


def test_every_element_has_a_map_of_its_own() -> None:
    warp, points = drawn(3), cloud(1, 5).expand(3, -1, -1)
    moved = warp.points(points)
    assert all(not torch.allclose(moved[i], moved[j], atol=1e-3) for i, j in ((0, 1), (0, 2), (1, 2)))
    image = torch.rand(1, 3, 32, 32).expand(3, -1, -1, -1)
    for k in range(3):
        alone = SynchronizedWarp(warp.inverse[k : k + 1], warp.shift[k : k + 1], warp.field[k : k + 1])
        assert torch.allclose(warp.image(image)[k], alone.image(image[:1])[0], atol=1e-6)
        assert torch.allclose(moved[k], alone.points(points[:1])[0], atol=1e-6)


def test_the_generator_alone_decides() -> None:
    points = cloud(2, 5)
    assert torch.equal(drawn(2, 3).points(points), drawn(2, 3).points(points))
    assert not torch.allclose(drawn(2, 3).points(points), drawn(2, 4).points(points), atol=1e-3)


def test_strengths_are_limits() -> None:
    """Over many draws: angles, factors and shifts fill their ranges and stay within."""
    warp = drawn(400, elastic=0, rotation=20.0, scale=0.25, translation=0.1)
    forward = torch.linalg.inv(warp.inverse)
    factor = torch.linalg.det(forward).sqrt()
    angle = torch.rad2deg(torch.atan2(forward[:, 1, 0], forward[:, 0, 0]))
    for value, low, high in ((angle, -20.0, 20.0), (factor, 1 / 1.25, 1.25), (warp.shift, -0.1, 0.1)):
        margin = 0.05 * (high - low)
        assert low - 1e-4 <= float(value.min()) < low + margin
        assert high - margin < float(value.max()) <= high + 1e-4


@pytest.mark.parametrize("length", [0.039, 0.12, 0.2])
def test_the_elastic_strength_is_a_standard_deviation(length: float) -> None:
    """Of weak displacements, which never fold and so are never reduced."""
    warp = drawn(128, rotation=0, scale=0, translation=0, elastic=0.003, elastic_scale=length)
    moved = warp.points(cloud(128, 50)) - cloud(128, 50)
    assert float(moved.std()) == pytest.approx(0.003, rel=0.15)


@pytest.mark.parametrize("strength", [{"elastic": 0.05, "elastic_scale": 0.05}, {"elastic": 0.04, "elastic_scale": 0.1}])
def test_no_warp_folds_the_picture(strength: dict[str, float]) -> None:
    """Even where the asked displacement would: neighbours stay in order, so areas stay positive."""
    warp = drawn(8, rotation=0, scale=0, translation=0, **strength)
    grid = pixel_centres(64, 64, dtype=torch.float64).view(1, -1, 2).expand(8, -1, -1)
    moved = warp.points(grid).view(8, 64, 64, 2)
    right, down = moved[:, :-1, 1:] - moved[:, :-1, :-1], moved[:, 1:, :-1] - moved[:, :-1, :-1]
    area = right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]
    assert float(area.min()) > 0


def test_a_heatmap_keeps_its_sum() -> None:
    warp = strongest(8, 64)
    maps = torch.cat([skeleton_heatmap(cloud(8, 20).float(), size=64, sigma=2.0), torch.rand(8, 1, 64, 64)], 1)
    moved = warp.heatmap(maps)
    assert torch.allclose(moved.sum((2, 3)), maps.sum((2, 3)), rtol=1e-5)
    assert (moved >= 0).all()


def test_a_moved_heatmap_is_the_heatmap_of_the_moved_points() -> None:
    """For maps that only shift and turn, lines keep their width; to the resolution of the bilinear picture."""
    warp, points = drawn(4, elastic=0, scale=0), cloud(4, 12, low=0.3, high=0.7).float()
    edges = torch.tensor([[i, i + 1] for i in range(11)])
    moved = warp.heatmap(skeleton_heatmap(points, size=128, sigma=4.0, edges=edges))
    redrawn = skeleton_heatmap(warp.points(points), size=128, sigma=4.0, edges=edges)
    assert float((moved - redrawn).abs().sum((1, 2, 3)).max()) < 0.02


def test_context_agrees_with_the_points() -> None:
    """From a picture of 1.5 squares, the moved unit square: g(p) shows p, from beyond the square's edge too."""
    context, size, warp = 1.5, 128, strongest(8, 128)
    wide = (pixel_centres(192, 192).permute(2, 0, 1) - 0.5) * context + 0.5  # unit coordinates, -0.25 … 1.25
    moved = warp.image(wide.expand(8, -1, -1, -1), size=size, context=context)
    assert moved.shape == (8, 2, size, size)
    points = cloud(8, 100, low=0.05, high=0.95)
    target = warp.points(points)
    visible = (target > 1 / size).all(-1) & (target < 1 - 1 / size).all(-1)
    read = sample_at(moved, target[:, None].float())[:, :, 0].transpose(1, 2)
    assert float((read - points).norm(dim=-1)[visible].max()) * size < 0.05
    # What came from beyond the square is real, not its repeated edge.
    assert float(moved.max()) > 1.01
    assert float(moved.min()) < -0.01


def test_another_size_shows_the_same() -> None:
    warp = drawn(2)
    picture = pixel_centres(64, 64).permute(2, 0, 1).expand(2, -1, -1, -1)
    small = warp.image(picture, size=16)
    assert small.shape == (2, 2, 16, 16)
    # The centre of each block of four is halfway between the middle four.
    block = torch.nn.functional.avg_pool2d(warp.image(picture)[..., 1:-1, 1:-1], 2, stride=4)
    assert torch.allclose(small[..., 2:-2, 2:-2], block[..., 2:-2, 2:-2], atol=2e-3)


def test_gradients_of_the_points() -> None:
    warp = strongest(2, 64)
    assert torch.autograd.gradcheck(warp.points, (cloud(2, 4).requires_grad_(),), atol=1e-3, rtol=1e-3)


def test_the_value_is_the_same_with_and_without_gradient() -> None:
    warp, points = strongest(2, 64), cloud(2, 4)
    assert torch.equal(warp.points(points.clone().requires_grad_()).detach(), warp.points(points))


@pytest.mark.parametrize(
    "strength", [{"rotation": -1.0}, {"elastic": -0.1}, {"elastic_scale": 0.0}, {"scale": -0.1}, {"translation": -1.0}]
)
def test_negative_strengths_are_refused(strength: dict[str, float]) -> None:
    with pytest.raises(BruleError, match=next(iter(strength))):
        drawn(1, **strength)


def test_images_of_another_batch_are_refused() -> None:
    with pytest.raises(BruleError, match=r"\(2, C, H, W\)"):
        drawn(2).image(torch.rand(3, 1, 8, 8))
