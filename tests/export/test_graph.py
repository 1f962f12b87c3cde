"""What is exported, still in PyTorch: the cut is Pillow's, the frames are those of prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from brule import LandmarkDetector
from brule.coordinates import box_edges
from brule.data import crop_image, landmark_box
from brule.data.synthetic import synthetic_faces
from brule.export.graph import CropDetector, Finder, ImageDetector, cut

FACES = synthetic_faces(8, size=96)
TINY = {"crop.image_size": 32, "encoder.width": 8, "encoder.depth": 2, "batch_size": 4, "gan.enabled": False}


def tiny_detector(**changes: object) -> LandmarkDetector:
    settings = TINY | {"iterations": 1, "time_limit": 0, "preview_every": 0, "quiet": True, "device": "cpu"}
    detector = LandmarkDetector(**(settings | changes)).fit(FACES.images, shapes=FACES.points[:5])
    with torch.no_grad():  # an encoder at its start answers the barycenter, whatever it sees
        generator = torch.Generator().manual_seed(1)
        for parameter in detector.model_.encoder.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    detector.model_.set_order(torch.arange(68).roll(5))
    return detector


SQUARES = {
    "inside": (20.2, 10.0, 80.7, 70.5),
    "enlarged": (40.0, 41.5, 55.0, 56.5),
    "reaching out": (-30.0, 8.0, 50.0, 88.0),
    "all of it": (-0.5, -0.5, 95.5, 95.5),  # at an edge the filter ends, and nothing is repeated
    "far outside": (-400.0, -300.0, 500.0, 600.0),
}


@pytest.mark.parametrize("enlarged", [1, 5, 12])  # from 8 times the result's size on, blocks are averaged first
@pytest.mark.parametrize("box", SQUARES.values(), ids=SQUARES.keys())
def test_the_cut_is_pillows(box: tuple[float, float, float, float], enlarged: int) -> None:
    picture = Image.fromarray(FACES.images[0]).resize((96 * enlarged, 95 * enlarged - 1), Image.Resampling.BICUBIC)
    left, top, right, bottom = (enlarged * edge for edge in box)
    left, top, right, _ = box_edges((left, top, right, bottom))
    mine = cut(torch.from_numpy(np.array(picture)), torch.tensor([left, top]), torch.tensor(right - left), size=32).numpy()
    wanted = crop_image(picture, tuple(enlarged * edge for edge in box), 32).astype(np.float64)
    assert np.abs(mine - wanted).max() <= 1  # Pillow's weights have 22 bits, which rounds a value in a thousand otherwise
    assert (mine != wanted).mean() < 0.01


def test_a_cut_of_one_colour_has_that_colour_everywhere() -> None:
    image = torch.full((11, 17, 3), 93, dtype=torch.uint8)
    for side in (3.0, 16.0, 200.0):
        assert torch.allclose(cut(image, torch.tensor([-5.0, 2.5]), torch.tensor(side), size=16), torch.tensor(93.0), atol=1e-3)


def test_an_image_with_its_box_gives_what_prediction_gives() -> None:
    detector = tiny_detector()
    module = ImageDetector(Finder(detector.model_), size=32, scale=detector.config_.crop.scale).eval()
    box = landmark_box(FACES.points[1])
    wide = FACES.images[2][:70]  # without a box, all of it is shown, also where it is no square
    for image, given, box_or_none in ((FACES.images[1], box, box), (wide, (0.0, 0.0, 0.0, 0.0), None)):
        with torch.no_grad():
            points, spread = module(torch.from_numpy(image), torch.tensor(given, dtype=torch.float32))
        found = detector.predict([image], boxes=[box_or_none])
        assert (points - found.points[0]).norm(dim=-1).max() < 0.1  # pixels of 96; Pillow's rounding is left
        assert torch.allclose(spread, found.spread[0], atol=0.1)


@pytest.mark.parametrize("head", ["softmax", "convolution"])
def test_crops_give_what_prediction_gives(head: str) -> None:
    detector = tiny_detector(**{"encoder.head": head})
    crops = FACES.images[:, ::3, ::3].copy()
    with torch.no_grad():
        points, spread = CropDetector(Finder(detector.model_)).eval()(torch.from_numpy(crops))
    found = detector.predict_crops(crops)
    assert torch.allclose(points, found.points, atol=1e-5) and torch.allclose(spread, found.spread, atol=1e-5)
