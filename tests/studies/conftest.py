"""Tiny drawn faces and settings of a training that takes a second."""

from __future__ import annotations

from typing import Any

import pytest

import brule.tracking.log as run_logging
from brule.data import Shapes, read_folder
from brule.data.shapes import to_crop
from brule.data.synthetic import synthetic_faces, write_synthetic_faces
from brule.studies import StudyData

TINY: dict[str, Any] = {
    "crop.image_size": 32,
    "encoder.width": 8,
    "encoder.depth": 2,
    "batch_size": 4,
    "iterations": 2,
    "time_limit": 0,
    "preview_every": 0,
    "gan.enabled": True,
    "decoder.width": 4,
    "decoder.max_width": 8,
}


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_logging, "_tensorboard", lambda directory: None)


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """Settings of a training that takes a second."""
    return TINY


@pytest.fixture(scope="session")
def study_data(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    folder = tmp_path_factory.mktemp("faces")
    write_synthetic_faces(folder, 8, size=40)
    samples = read_folder(folder)
    points = [to_crop(one) for one in synthetic_faces(6, size=40, seed=5).points]
    return StudyData(samples, Shapes(points, [f"shape {i}" for i in range(6)]), 4, samples)
