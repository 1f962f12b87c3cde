"""Choosing images: laws of k-means and of the choice, values by hand, and what an encoder sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brule import LandmarkDetector
from brule.choosing import choose, coverage, encoder_descriptors, k_means, measure_choice, plain_descriptors
from brule.data.synthetic import synthetic_faces
from brule.errors import DataError
from brule.networks import LandmarkEncoder


def heaps(sizes: tuple[int, ...] = (30, 20, 10), seed: int = 0) -> np.ndarray:
    """Points in heaps far apart, the heaps one after the other."""
    generator = np.random.default_rng(seed)
    centres = 100 * np.eye(len(sizes), 5)
    return np.concatenate([centre + generator.normal(size=(n, 5)) for centre, n in zip(centres, sizes, strict=True)])


def test_heaps_are_separated_and_the_largest_comes_first() -> None:
    points = heaps()
    choice = choose(points, 3)
    assert choice.sizes.tolist() == [30, 20, 10]
    assert [int(np.searchsorted([30, 50, 60], index, side="right")) for index in choice.indices] == [0, 1, 2]
    # Of each heap the point nearest to its mean.
    assert choice.indices[1] == 30 + np.linalg.norm(points[30:50] - points[30:50].mean(0), axis=1).argmin()


def test_k_means_by_hand() -> None:
    found = k_means(np.array([[0.0], [2.0], [10.0], [14.0]]), 2)
    assert sorted(found.centres.ravel().tolist()) == [1, 12]
    assert found.cost == pytest.approx((1 + 1 + 4 + 4) / 4)
    assert found.labels[0] == found.labels[1] != found.labels[2] == found.labels[3]


def test_centres_are_the_means_of_what_is_nearest_to_them() -> None:
    points = np.random.default_rng(1).normal(size=(80, 3))
    found = k_means(points, 6, seed=2)
    for index, centre in enumerate(found.centres):
        np.testing.assert_allclose(points[found.labels == index].mean(0), centre)
    nearest = np.linalg.norm(points[:, None] - found.centres, axis=2).argmin(1)
    assert np.array_equal(nearest, found.labels)


def test_the_seed_decides_and_moving_all_points_changes_nothing() -> None:
    points = np.random.default_rng(3).normal(size=(60, 4))
    choice = choose(points, 5, seed=4)
    assert np.array_equal(choice.indices, choose(points, 5, seed=4).indices)
    moved = choose(points + 7, 5, seed=4)
    assert np.array_equal(choice.indices, moved.indices)
    assert moved.coverage == pytest.approx(choice.coverage)


@pytest.mark.parametrize("n", [1, 6])
def test_no_image_is_chosen_twice_even_among_twins(n: int) -> None:
    twins = np.repeat([[0.0, 1.0], [5.0, 5.0]], 3, axis=0)
    assert len(set(choose(twins, n).indices.tolist())) == n
    assert choose(twins, 6).coverage == 0


def test_coverage_by_hand() -> None:
    points = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0], [3.0, 3.0]])
    assert coverage(points, np.array([0, 1])) == pytest.approx((0 + 0 + 2 + 1) / 4)


@pytest.mark.parametrize("n", [0, 61])
def test_as_many_as_there_are(n: int) -> None:
    with pytest.raises(DataError, match=f"1 to 60 images, as many as there are, got {n}"):
        choose(heaps(), n)


def test_descriptors_have_to_be_numbers() -> None:
    with pytest.raises(DataError, match="finite"):
        choose(np.array([[0.0], [np.nan]]), 1)


def test_a_choice_beats_chance_where_images_lie_in_heaps() -> None:
    points = heaps()
    shapes = 0.5 + 0.001 * points[:, :4].reshape(60, 2, 2)  # two landmarks that go with the heap
    choice = choose(points, 3)
    score = measure_choice(points, choice.indices, shapes=shapes, draws=50)
    assert score.coverage.own == pytest.approx(choice.coverage)
    assert score.coverage.beaten > 0.8
    assert score.shape_coverage is not None
    assert score.shape_coverage.beaten > 0.8
    assert score.coverage.low <= score.coverage.random <= score.coverage.high


def test_measures_of_shapes_by_hand() -> None:
    """Two landmarks; the second shape lies (3, 4) % of the side beside the first, which alone is chosen."""
    shapes = np.full((2, 2, 2), 0.5)
    shapes[1] += [0.03, 0.04]
    score = measure_choice(np.zeros((2, 1)), np.array([0]), shapes=shapes, draws=3)
    assert score.mean_shape is not None and score.shape_coverage is not None
    assert score.mean_shape.own == pytest.approx(2.5)
    assert score.shape_coverage.own == pytest.approx(2.5)
    everything = measure_choice(np.zeros((2, 1)), np.array([0, 1]), shapes=shapes, draws=3)
    assert everything.mean_shape is not None
    assert everything.mean_shape.own == pytest.approx(0)


def test_images_without_complete_shapes_are_left_out() -> None:
    shapes = np.full((3, 2, 2), 0.5)
    shapes[2, 0] = np.nan
    score = measure_choice(np.zeros((3, 1)), np.array([0]), shapes=shapes, draws=3)
    assert score.mean_shape is not None
    assert score.mean_shape.own == 0
    with pytest.raises(DataError, match="0 of 1 have one"):
        measure_choice(np.zeros((3, 1)), np.array([2]), shapes=shapes, draws=3)
    with pytest.raises(DataError, match="one for each image"):
        measure_choice(np.zeros((4, 1)), np.array([2]), shapes=shapes, draws=3)


def test_thumbnails_know_no_brightness_and_like_images_lie_close() -> None:
    faces = synthetic_faces(6, size=48).images
    dark = (0.5 * faces.astype(np.float64)).round().astype(np.uint8)
    descriptors = plain_descriptors(np.concatenate([faces, dark]))
    apart = np.linalg.norm(descriptors[:, None] - descriptors, axis=2) + 1e9 * np.eye(12)
    assert apart.argmin(1).tolist() == [*range(6, 12), *range(6)]


@pytest.mark.parametrize(("backbone", "stacks", "deepest"), [("compact", 1, (16, 4)), ("hourglass", 2, (8, 4))])
def test_the_deepest_map_is_found(backbone: str, stacks: int, deepest: tuple[int, int]) -> None:
    encoder = LandmarkEncoder(
        torch.rand(5, 2), image_size=32, backbone=backbone, width=8 if backbone == "hourglass" else 4,  # type: ignore[arg-type]
        stacks=stacks, depth=2, stem_stride=2, head="softmax",
    )  # fmt: skip
    shapes: list[torch.Size] = []
    hook = encoder.deepest.register_forward_hook(lambda _m, _i, maps: shapes.append(maps.shape))
    encoder(torch.zeros(3, 3, 32, 32))
    hook.remove()
    channels, side = deepest
    assert shapes == [torch.Size([3, channels, side, side])]


def test_encoder_descriptors_depend_on_each_image_alone_and_leave_no_hook() -> None:
    faces = synthetic_faces(70, size=32)
    detector = LandmarkDetector(
        crop__image_size=32, encoder__width=8, encoder__depth=2, batch_size=4, iterations=1, time_limit=0,
        preview_every=0, gan__enabled=False, quiet=True, device="cpu",
    ).fit(faces.images[:12], shapes=faces.points[:5])  # fmt: skip
    crops = np.concatenate([faces.images, faces.images[:1]])  # more than a batch; the last is the first again
    descriptors = encoder_descriptors(detector, crops)
    assert descriptors.shape[0] == 71
    np.testing.assert_allclose(descriptors[-1], descriptors[0], atol=1e-3)
    assert np.linalg.norm(descriptors[1] - descriptors[0]) > 0.1
    assert not any(module._forward_hooks for module in detector.model_.modules())


@pytest.mark.parametrize("crops", [np.zeros((0, 8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)])
def test_no_images_are_refused(crops: np.ndarray) -> None:
    with pytest.raises(DataError, match="at least one"):
        plain_descriptors(crops)


def test_one_image_and_images_all_alike_are_no_trouble() -> None:
    alike = np.zeros((4, 20, 20, 3), np.uint8)
    for crops in (alike, alike[:1]):
        assert np.isfinite(plain_descriptors(crops)).all()
