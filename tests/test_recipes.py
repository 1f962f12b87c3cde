"""The recipes of CONTRIBUTING.md ("How to add …"), followed with a stand-in: one file, one line, and the rest takes it in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn

from brule import LandmarkDetector
from brule.choosing import encoder_descriptors
from brule.cli.data import convert
from brule.data.formats import FORMATS
from brule.data.synthetic import synthetic_faces
from brule.errors import ConfigError
from brule.networks import BACKBONES
from brule.training import terms
from brule.training.terms import Term, over_stages

FACES = synthetic_faces(12, size=32)
SETTINGS = {
    "crop__image_size": 32, "crop__context": 1.0, "batch_size": 4, "iterations": 2, "time_limit": 0, "preview_every": 0,
    "encoder__width": 8, "encoder__depth": 2, "log_every": 1,
}  # fmt: skip


def detector(**changes: object) -> LandmarkDetector:
    return LandmarkDetector(quiet=True, device="cpu", **{**SETTINGS, **changes})


class PlainBackbone(nn.Module):
    """Three convolutions and nothing else: what the recipe of a backbone asks for."""

    def __init__(self, n_maps: int, *, channels: int, width: int, stacks: int, depth: int, stem_stride: int) -> None:
        super().__init__()
        if stacks != 1:
            raise ConfigError(f"stacks: expected 1 with the plain backbone, got {stacks}")
        self.deepest = nn.Conv2d(channels, width, 3, stride=stem_stride, padding=1)
        self.maps = nn.ModuleList([nn.Conv2d(width, n_maps, 1)])

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.maps[0](self.deepest(images).relu())]


@pytest.fixture
def plain_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "plain", PlainBackbone)


@pytest.mark.usefixtures("plain_backbone")
def test_a_backbone_trains_describes_images_and_is_saved(tmp_path: Path) -> None:
    fitted = detector(encoder__backbone="plain").fit(FACES.images, shapes=FACES.points[:5])
    assert isinstance(fitted.model_.encoder.hourglass, PlainBackbone)
    assert encoder_descriptors(fitted, FACES.images).shape[0] == len(FACES.images)
    fitted.save(tmp_path)
    loaded = LandmarkDetector.load(tmp_path)
    np.testing.assert_allclose(loaded.predict_crops(FACES.images).points, fitted.predict_crops(FACES.images).points, atol=1e-6)


@pytest.mark.usefixtures("plain_backbone")
def test_a_backbone_may_refuse_settings() -> None:
    with pytest.raises(ConfigError, match="expected 1 with the plain backbone, got 2"):
        detector(encoder__backbone="plain", encoder__stacks=2).fit(FACES.images, shapes=FACES.points[:5])


def test_a_backbone_whose_maps_are_a_single_layer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its landmarks could not be put in another order, and nobody would notice."""

    class OneLayer(PlainBackbone):
        def __init__(self, n_maps: int, *, width: int, **settings: int) -> None:
            super().__init__(n_maps, width=width, **settings)
            self.maps = nn.Conv2d(width, n_maps, 1)  # type: ignore[assignment]

    monkeypatch.setitem(BACKBONES, "one layer", OneLayer)
    with pytest.raises(TypeError, match="ModuleList"):
        detector(encoder__backbone="one layer").fit(FACES.images, shapes=FACES.points[:5])


def with_term(monkeypatch: pytest.MonkeyPatch, term: Term) -> None:
    monkeypatch.setattr(terms, "ENCODER_TERMS", (*terms.ENCODER_TERMS, term))
    monkeypatch.setattr("brule.training.steps.encoder.ENCODER_TERMS", terms.ENCODER_TERMS)


def values_of(name: str, folder: Path, **changes: object) -> list[float]:
    detector(**changes).fit(FACES.images, shapes=FACES.points[:5], directory=folder)
    lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [line[name] for line in lines if name in line]


def test_a_loss_is_computed_weighed_and_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weight, of a setting, is the only other thing that it needs."""
    with_term(monkeypatch, Term("constant", "loss.equivariance", lambda found: over_stages([0 * x + 3.0 for x in found.view1])))
    assert values_of("constant", tmp_path) == pytest.approx([3.0, 3.0])


def test_a_loss_on_fakes_gets_fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def coordinates(found: terms.EncoderPass) -> Tensor:
        assert found.fakes is not None
        return (0 * found.fakes[0]).sum() + found.fakes[0].shape[-1]

    with_term(monkeypatch, Term("on fakes", "loss.equivariance", coordinates, ("fakes",)))
    decoder = {"decoder__image_size": 32, "decoder__width": 4, "decoder__style_dim": 8, "decoder__noise_dim": 8}
    drawn = {"gan__enabled": True, "loss__drawn": 0, "loss__landmark_reconstruction": 0}
    assert values_of("on fakes", tmp_path / "with", **drawn, **decoder) == pytest.approx([2.0, 2.0])
    assert values_of("on fakes", tmp_path / "without") == []


def test_the_help_of_convert_names_every_format() -> None:
    """The line that the recipe of a format asks for, in the docstring of the command."""
    text = convert.__doc__ or ""
    listed = set(re.findall(r"`([a-z]+)`", text[text.index("Formats:") : text.index("Missing points")]))
    assert listed == set(FORMATS)
