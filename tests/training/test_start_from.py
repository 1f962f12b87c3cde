"""A run that begins with the weights of another: its encoder, its own schedule, and landmarks that have to fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.errors import CheckpointError, ConfigError

FACES = synthetic_faces(12, size=32)
TINY = {
    "crop.image_size": 32,
    "encoder.width": 8,
    "encoder.depth": 2,
    "batch_size": 4,
    "iterations": 3,
    "time_limit": 0,
    "preview_every": 0,
    "precision": "float32",
}


def detector(**changes: object) -> LandmarkDetector:
    return LandmarkDetector(quiet=True, **(TINY | {key.replace("__", "."): value for key, value in changes.items()}))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    detector(optimizer__learning_rate=0.01).fit(FACES.images, shapes=FACES.points[:5], directory=folder)
    return folder


def test_it_begins_with_the_other_runs_weights_and_a_new_schedule(first: Path) -> None:
    """With a learning rate of next to nothing the encoder stays where it started; shapes come from the other detector."""
    found = detector(optimizer__learning_rate=1e-12, iterations=1, seed=7).fit(FACES.images, start_from=first)
    expected, actual = LandmarkDetector.load(first).model_.encoder, found.model_.encoder
    for name, parameter in expected.named_parameters():
        assert torch.allclose(parameter, dict(actual.named_parameters())[name], atol=1e-6), name
    assert found.progress_.iteration == 1 and found.finished_
    fresh = detector(optimizer__learning_rate=1e-12, iterations=1, seed=7).fit(FACES.images, shapes=FACES.points[:5])
    assert not torch.allclose(next(fresh.model_.encoder.parameters()), next(expected.parameters()), atol=1e-3)


def test_other_landmarks_are_refused(first: Path) -> None:
    with pytest.raises(ConfigError, match="finds 68 landmarks, and the shapes have 5"):
        detector().fit(FACES.images, shapes=np.stack(FACES.points)[:5, [36, 45, 30, 48, 54]], start_from=first)


def test_other_networks_are_refused(first: Path) -> None:
    with pytest.raises(CheckpointError, match="start from a run with the same encoder"):
        detector(encoder__width=16).fit(FACES.images, shapes=FACES.points[:5], start_from=first)


def test_a_run_can_not_be_resumed_and_started_anew(first: Path) -> None:
    with pytest.raises(ConfigError, match="leave start_from out"):
        detector().fit(FACES.images, directory=first, resume=True, start_from=first)


def test_there_must_be_a_detector_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found no"):
        detector().fit(FACES.images, shapes=FACES.points[:5], start_from=tmp_path)
