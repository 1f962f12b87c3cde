"""Test-time augmentation: the prediction for each view of an image is one for the image as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from brule.data.synthetic import synthetic_faces
from brule.detector.uncertainty import MAX_TTA, TtaPredictions, UncertaintyFeatures, View, predict_views, tta_transforms
from brule.errors import ConfigError
from brule.geometry import ShapePrior
from brule.model import CropLandmarks

SWAP = torch.tensor([1, 0])


class ColourFinder(nn.Module):
    """Finds the centres of the red and of the green blob: an answer that goes wherever the image goes.

    Landmark 0 is whichever lies on the left, as a detector has it that knows left from right by the place.
    """

    def encode(self, images: Tensor) -> CropLandmarks:
        centres = (torch.arange(images.shape[-1]) + 0.5) / images.shape[-1]
        weights = (images[:, :2] + 1).clamp_min(1e-6)
        total = weights.sum((2, 3))
        x = (weights.sum(2) * centres).sum(-1) / total
        y = (weights.sum(3) * centres).sum(-1) / total
        points = torch.stack([x, y], -1)
        order = points[..., 0].argsort(1)
        return CropLandmarks(points.gather(1, order[..., None].expand(-1, -1, 2)), torch.full(points.shape[:2], 0.1))


def blobs(size: int = 96) -> tuple[Tensor, Tensor]:
    """Two images with a red blob on the left and a green one on the right, and where these are."""
    places = torch.tensor([[[0.35, 0.45], [0.62, 0.55]], [[0.4, 0.6], [0.7, 0.38]]])
    axis = (torch.arange(size) + 0.5) / size
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    bumps = torch.exp(-(grid - places[:, :, None, None]).square().sum(-1) / (2 * 0.04**2))  # (2, 2, H, W)
    return torch.cat([2 * bumps - 1, torch.full((2, 1, size, size), -1.0)], 1), places


def test_every_prediction_is_mapped_back_to_the_image_as_it_is() -> None:
    images, places = blobs()
    predictions = predict_views(ColourFinder(), images, views=MAX_TTA, mirror=SWAP)  # type: ignore[arg-type]
    assert predictions.points.shape == (MAX_TTA, 2, 2, 2)
    assert torch.allclose(predictions.points, places.expand_as(predictions.points), atol=3e-3)
    without = predict_views(ColourFinder(), images, views=MAX_TTA)  # type: ignore[arg-type]
    assert torch.allclose(without.points, places.expand_as(without.points), atol=3e-3)


def test_a_wrong_swap_shows() -> None:
    images, places = blobs()
    predictions = predict_views(ColourFinder(), images, views=2, mirror=torch.tensor([0, 1]))  # type: ignore[arg-type]
    assert (predictions.points[1] - places).abs().max() > 0.2


def test_more_views_begin_with_those_of_fewer_and_the_first_is_the_image_itself() -> None:
    for mirror in (True, False):
        views = tta_transforms(MAX_TTA, mirror=mirror)
        assert views[0] == View()
        assert len(set(views)) == MAX_TTA
        assert all(tta_transforms(count, mirror=mirror) == views[:count] for count in range(1, MAX_TTA))
        assert any(view.flip for view in views) is mirror


@pytest.mark.parametrize("count", [0, -1, MAX_TTA + 1])
def test_there_are_only_so_many_views(count: int) -> None:
    with pytest.raises(ConfigError, match=f"1 to {MAX_TTA} views, got {count}"):
        tta_transforms(count, mirror=True)


def test_spread_is_the_standard_deviation_of_the_mixture() -> None:
    """Two heatmaps of variance 1 and 3 with means 4 apart along x: 2 + (2² + 2²) / 2 / 2 on average over the axes."""
    points = torch.tensor([[[[0.0, 0.0]]], [[[4.0, 0.0]]]])
    heatmap_spread = torch.tensor([[[1.0]], [[3.0**0.5]]])
    predictions = TtaPredictions(points, heatmap_spread)
    assert predictions.mean.tolist() == [[[2.0, 0.0]]]
    assert float(predictions.spread**2) == pytest.approx(2 + 2)
    assert torch.equal(predictions.first(1).spread, heatmap_spread[0])


def test_features_by_hand() -> None:
    points = torch.tensor([[[[0.5, 0.2]]], [[[0.5, 0.4]]], [[[0.5, 0.6]]]])
    features = UncertaintyFeatures.of(TtaPredictions(points, torch.tensor([[[0.1]], [[0.1]], [[0.2]]])), None)
    assert features.names == ("heatmap_spread", "disagreement")
    assert float(features.heatmap_spread[0, 0]) == pytest.approx((0.06 / 3) ** 0.5)
    assert float(features.disagreement[0, 0]) == pytest.approx((0.08 / 4) ** 0.5)  # type: ignore[index]
    one = UncertaintyFeatures.of(TtaPredictions(points[:1], torch.tensor([[[0.1]]])), None)
    assert one.names == ("heatmap_spread",)
    assert one.logarithms(["heatmap_spread"])[0, 0, 0] == pytest.approx(np.log(0.1))


def test_an_unlikely_shape_raises_the_energy_and_no_feature_is_minus_infinity() -> None:
    shapes = torch.from_numpy(synthetic_faces(8, size=64).points / 64).float()
    prior = ShapePrior.fit(shapes)
    bent = prior.mean.clone()
    bent[30] += 0.2
    predictions = TtaPredictions(torch.stack([prior.mean, bent])[None], torch.zeros(1, 2, 68))
    features = UncertaintyFeatures.of(predictions, prior)
    assert features.energy is not None
    assert features.energy[0] < 1e-6 < 1 < features.energy[1]
    assert np.isfinite(features.logarithms(features.names)).all()
    assert features.some(np.array([1])).energy == pytest.approx(features.energy[1:])
