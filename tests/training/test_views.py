"""Two views of an image: what g does to the picture, it does to the landmarks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from brule.coordinates import pixel_centres, sample_at
from brule.geometry import AugmentedPair, ShapeModel, skeleton_heatmap
from brule.tensors import to_input
from brule.training.batches import BatchSource
from brule.training.config import TrainingConfig, load_config
from brule.training.sections import Augmentation
from brule.training.views import central_crop, draw_augmented_pair, draw_moved

MIRROR = torch.tensor([1, 0, 2, 4, 3])
PLAIN = {f"augmentation.{name}": 0 for name in Augmentation.model_fields} | {"crop.image_size": 64, "warp.bends": 0}


def config(**changes: object) -> TrainingConfig:
    return load_config("cpu", PLAIN | {key.replace("__", "."): value for key, value in changes.items()})


def known(mirror: Tensor | None) -> ShapeModel:
    return ShapeModel(torch.full((1, 5, 2), 0.5), mirror=mirror)


def ramps(batch: int, settings: TrainingConfig) -> Tensor:
    """Pictures of their own coordinates, scaled into [-1, 1]; the third channel is 1 (so that outside shows)."""
    context, size = settings.crop.context, round(settings.crop.image_size * settings.crop.context)
    unit = (pixel_centres(size, size) - 0.5) * context + 0.5
    return torch.cat([unit, torch.ones(size, size, 1)], -1).permute(2, 0, 1).expand(batch, -1, -1, -1)


def views(settings: TrainingConfig, batch: int = 12, *, seed: int = 0, mirror: Tensor | None = None) -> AugmentedPair:
    generator = torch.Generator().manual_seed(seed)
    return draw_augmented_pair(ramps(batch, settings), known(mirror), settings, generator=generator)


def read(pictures: Tensor, points: Tensor) -> Tensor:
    return sample_at(pictures, points[:, None])[:, :2, 0].transpose(1, 2)


def cloud(batch: int = 12, n: int = 5) -> Tensor:
    return 0.3 + 0.4 * torch.rand(batch, n, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("context", [1.0, 1.25, 1.5, 1.3])
def test_the_moved_picture_shows_a_landmark_where_move_puts_it(context: float) -> None:
    drawn = views(config(crop__context=context))
    assert drawn.view1.shape == drawn.view2.shape == (12, 3, 64, 64)
    points = cloud()
    moved = drawn.move(points)
    inside = (moved > 0.02).all(-1) & (moved < 0.98).all(-1)
    miss = (read(drawn.view2, moved) - read(drawn.view1, points)).norm(dim=-1)[inside]
    assert float(miss.max()) * 64 < 0.25
    assert float((moved - points).norm(dim=-1).mean()) * 64 > 1  # it does move


def test_and_under_mirroring_with_the_indices_swapped() -> None:
    """Landmark i of gI shows, mirrored, what its partner shows in I; of images that g turns over and of others."""
    drawn = views(config(crop__context=1.25), batch=24, mirror=MIRROR)
    assert drawn.flipped is not None
    assert 0 < int(drawn.flipped.sum()) < 24
    points = cloud(24)
    moved = drawn.move(points)
    inside = (moved > 0.02).all(-1) & (moved < 0.98).all(-1)
    source = torch.where(drawn.flipped[:, None, None], points[:, MIRROR], points)
    miss = (read(drawn.view2, moved) - read(drawn.view1, source)).norm(dim=-1)[inside]
    assert float(miss.max()) * 64 < 0.25


@pytest.mark.parametrize("mirror", [None, MIRROR])
def test_back_is_the_inverse(mirror: Tensor | None) -> None:
    drawn = views(config(), mirror=mirror)
    assert torch.allclose(drawn.move_back(drawn.move(cloud())), cloud(), atol=1e-5)


def test_heatmaps_move_with_the_landmarks() -> None:
    drawn = views(config(warp__elastic=0, warp__scale=0), mirror=MIRROR)
    edges = torch.tensor([[0, 1], [3, 4], [0, 3], [1, 4], [2, 2]])  # symmetric, as L of mirrored landmarks has to be
    moved = drawn.move_heatmap(skeleton_heatmap(cloud(), size=64, sigma=3.0, edges=edges))
    redrawn = skeleton_heatmap(drawn.move(cloud()), size=64, sigma=3.0, edges=edges)
    assert float((moved - redrawn).abs().sum((1, 2, 3)).max()) < 0.05


def test_context_brings_in_real_surroundings() -> None:
    """With little context, the border repeats; with enough, the moved picture shows coordinates beyond the square."""
    wide = views(config(crop__context=1.5)).view2[:, :2]
    narrow = views(config(crop__context=1.0)).view2[:, :2]
    assert float(wide.max()) > 1.02
    assert float(narrow.max()) <= 1


def test_the_plain_view_is_the_central_crop() -> None:
    settings = config(crop__context=1.25)
    centres = pixel_centres(64, 64).permute(2, 0, 1).expand(12, -1, -1, -1)
    assert torch.allclose(views(settings).view1[:, :2], centres, atol=1e-5)
    odd = config(crop__context=1.3)  # 83 stored pixels: an odd rest
    assert torch.allclose(central_crop(ramps(2, odd), odd)[:, :2], centres[:2], atol=2e-3)


def test_a_teacher_may_see_images_as_they_are() -> None:
    settings = load_config("cpu", {"crop.image_size": 32, "teacher.plain": True})
    stored = np.random.default_rng(0).integers(0, 256, (24, 40, 40, 3), dtype=np.uint8)
    with BatchSource(stored, None, known(MIRROR), config=settings) as source:
        drawn = source.batch(0).views
    assert drawn is not None and drawn.flipped is not None
    assert torch.equal(drawn.view1, central_crop(to_input(torch.from_numpy(stored)), settings))
    assert 0 < int(drawn.flipped.sum()) < 24  # the other view is mirrored as ever


def test_the_generator_alone_decides() -> None:
    settings = load_config("cpu", {"crop.image_size": 32})
    images = torch.rand(4, 3, 40, 40)

    def drawn(seed: int) -> AugmentedPair:
        return draw_augmented_pair(images, known(MIRROR), settings, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(drawn(3).view2, drawn(3).view2)
    assert torch.equal(drawn(3).view1, drawn(3).view1)
    assert not torch.allclose(drawn(3).view2, drawn(4).view2)


def test_bytes_become_minus_one_to_one() -> None:
    given = torch.tensor([[[[0, 255, 51]]]], dtype=torch.uint8)
    assert torch.allclose(to_input(given), torch.tensor([-1.0, 1.0, -0.6]).view(1, 3, 1, 1))
    assert to_input(torch.zeros(2, 4, 5, 3, dtype=torch.uint8)).shape == (2, 3, 4, 5)


def test_both_views_move_and_still_show_each_landmark_where_move_puts_it() -> None:
    # bytes, as stores hold them: a ramp of 100 px
    settings = config(warp__both=True, warp__rotation=20, crop__context=1.25, batch_size=6, threads=1)
    ramp = ((ramps(6, settings) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    still = config(warp__rotation=20, crop__context=1.25, batch_size=6, threads=1)
    with (
        BatchSource(ramp, None, known(None), config=settings) as source,
        BatchSource(ramp, None, known(None), config=still) as plain,
    ):
        drawn, before = source.batch(0).views, plain.batch(0).views
    assert drawn is not None and before is not None
    points = cloud(6)
    first, unmoved = read(drawn.view1, points), read(before.view1, points)
    assert float((first - unmoved).norm(dim=-1).mean()) > 0.02  # the image itself has moved
    moved = drawn.move(points)
    inside = (moved > 0.05).all(-1) & (moved < 0.95).all(-1)
    assert float((read(drawn.view2, moved) - first).norm(dim=-1)[inside].max()) * 64 < 1.5


def test_moving_the_image_itself_is_a_similarity_about_the_centre_of_the_crop() -> None:
    settings = config(warp__rotation=90, warp__scale=0.0, warp__translation=0.0, crop__context=1.25)
    images = ramps(8, settings)
    moved = draw_moved(images, settings, generator=torch.Generator().manual_seed(3))
    centre = read(central_crop(moved, settings), torch.full((8, 1, 2), 0.5))
    assert torch.allclose(centre, torch.full((8, 1, 2), 0.5), atol=1e-3)
    away = read(central_crop(moved, settings), torch.tensor([[[0.7, 0.5]]]).expand(8, -1, -1)) - 0.5
    assert torch.allclose(away.norm(dim=-1), torch.full((8, 1), 0.2), atol=2e-3)
    angles = torch.atan2(away[..., 1], away[..., 0])
    assert float(angles.std()) > 0.3 and float(angles.abs().max()) < 1.58
