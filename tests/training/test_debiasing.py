"""The mean shape of all images, from a few annotated ones and a teacher that hasn't learnt from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from brule.data.synthetic import synthetic_faces
from brule.geometry import ShapeModel, mirrored
from brule.tensors import read_safetensors
from brule.tracking.run_files import CHECKPOINT
from brule.training import debiasing
from brule.training.batches import LabelledImages
from brule.training.config import TrainingConfig, load_config
from brule.training.ema import MeanPredictions
from brule.training.loop import train
from brule.training.run import build_model, build_shape_model
from tests.training.tiny import ENCODER, RUN, shapes_of

FACES = synthetic_faces(40, size=32)
SHAPES = shapes_of(FACES)
SETTINGS = {**ENCODER, **RUN, "crop.context": 1.0, "iterations": 8, "precision": "float32"}


def corrected(labels: LabelledImages, found: Tensor, shape_model: ShapeModel, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The mean that is arrived at if the teacher finds these landmarks ``(40, N, 2)`` on the faces."""
    config = load_config("cpu", SETTINGS)
    means = MeanPredictions(SHAPES.mean(0))
    means.ema.copy_(found.mean(0))
    monkeypatch.setattr(debiasing, "predict_crops", lambda teacher, images, config, chosen: [(None, found[chosen])])
    debiasing.debias_mean(means, build_model(SHAPES.mean(0), config), labels, shape_model=shape_model, config=config)
    assert means.corrected
    return shape_model.prior.mean + means.shift


def shape_model_of(*, mirror: bool) -> ShapeModel:
    return build_shape_model(SHAPES[:5].mean(0), SHAPES[:5], load_config("cpu", SETTINGS | {"loss.mirror": mirror}))


def test_an_error_that_all_images_share_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    bias = 0.05 * torch.randn(68, 2, generator=torch.Generator().manual_seed(0))
    labels = LabelledImages(FACES.images[:5], SHAPES[:5])
    mean = corrected(labels, SHAPES + bias, shape_model_of(mirror=False), monkeypatch)
    assert torch.allclose(mean, SHAPES.mean(0), atol=1e-5)
    assert not torch.allclose(SHAPES[:5].mean(0), SHAPES.mean(0), atol=5e-3)  # which these five don't show


def test_a_teacher_that_knows_nothing_leaves_the_mean_of_the_annotated(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = LabelledImages(FACES.images[:5], SHAPES[:5])
    mean = corrected(labels, SHAPES.mean(0).expand_as(SHAPES), shape_model_of(mirror=False), monkeypatch)
    assert torch.allclose(mean, SHAPES[:5].mean(0), atol=1e-5)


def test_a_teacher_that_guesses_does_little_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    guess = SHAPES.mean(0) + 0.05 * torch.randn(SHAPES.shape, generator=torch.Generator().manual_seed(0))
    mean = corrected(LabelledImages(FACES.images[:20], SHAPES[:20]), guess, shape_model_of(mirror=False), monkeypatch)
    moved = (mean - SHAPES[:20].mean(0)).square().mean().sqrt()
    plain = (guess.mean(0) - guess[:20].mean(0)).square().mean().sqrt()  # as far as it would move with all its weight
    assert 0 < moved < 0.3 * plain


def test_as_far_as_the_shapes_follow_the_teacher_they_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = SHAPES[:5]
    unlike = 2 * truth.mean(0) - truth  # the more to the left it is, the more to the right the teacher has it
    exaggerated = truth.mean(0) + 2 * (truth - truth.mean(0))
    for found_of_five, follows in ((unlike, 0.0), (exaggerated, 0.5)):
        found = torch.cat([found_of_five, SHAPES[5:] + 0.1])
        mean = corrected(LabelledImages(FACES.images[:5], truth), found, shape_model_of(mirror=False), monkeypatch)
        expected = truth.mean(0) + follows * (found.mean(0) - found_of_five.mean(0))
        assert torch.allclose(mean, expected, atol=1e-5)


def test_a_missing_landmark_is_corrected_by_the_images_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bias = torch.full((68, 2), 0.03)
    points = SHAPES[:5].clone()
    points[2, 7] = float("nan")
    points[:, 9] = float("nan")
    mean = corrected(LabelledImages(FACES.images[:5], points), SHAPES + bias, shape_model_of(mirror=False), monkeypatch)
    assert torch.allclose(mean[7], SHAPES.mean(0)[7], atol=1e-5)
    assert torch.allclose(mean[9], SHAPES.mean(0)[9] + bias[9], atol=1e-5)  # nothing says how wrong the teacher is there


def test_where_the_shape_is_symmetric_so_is_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    shape_model = shape_model_of(mirror=True)
    assert shape_model.mirror is not None
    found = SHAPES + 0.02 * torch.randn(SHAPES.shape, generator=torch.Generator().manual_seed(0))
    mean = corrected(LabelledImages(FACES.images[:5], SHAPES[:5]), found, shape_model, monkeypatch)
    assert torch.allclose(mean, mirrored(mean, shape_model.mirror), atol=1e-6)


@pytest.mark.parametrize(("unlabelled", "expected"), [(True, [False] * 4 + [True] * 4), (False, [True] * 8)])
def test_labels_teach_from_their_start_on(unlabelled: bool, expected: list[bool], tmp_path: Path) -> None:
    config: TrainingConfig = load_config("cpu", SETTINGS | {"labelled.start": 0.5})
    labels = LabelledImages(FACES.images[:5], SHAPES[:5])
    images = FACES.images if unlabelled else None
    train(images, SHAPES[:5].mean(0), config, labelled=labels, shapes=SHAPES[:5], directory=tmp_path, quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert ["labels" in line for line in lines] == expected
    tensors, _ = read_safetensors(tmp_path / CHECKPOINT)
    assert bool(tensors["means/corrected"]) == unlabelled
    assert bool(tensors["means/shift"].any()) == unlabelled
