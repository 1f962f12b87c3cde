"""Settings and shapes of trainings that take a second; a test adds what it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from brule import LandmarkDetector
from brule.data.shapes import to_crop
from brule.data.synthetic import SyntheticFaces, synthetic_faces
from brule.training.config import TrainingConfig, load_config

ENCODER = {"crop.image_size": 32, "encoder.width": 8, "encoder.depth": 2}
ONE_STACK = {**ENCODER, "encoder.stacks": 1, "encoder.stem_stride": 2}
DECODER = {
    "decoder.width": 4,
    "decoder.style_dim": 8,
    "decoder.noise_dim": 8,
    "decoder.mapping_depth": 2,
}
RUN = {"batch_size": 4, "time_limit": 0, "preview_every": 0, "log_every": 1}


def shapes_of(faces: SyntheticFaces, count: int | None = None) -> Tensor:
    """The landmarks of faces, or of the first of them, in the unit square of their crops: ``(K, N, 2)`` float32."""
    return torch.stack([torch.as_tensor(to_crop(points)) for points in faces.points[:count]]).float()


def tiny_detector() -> LandmarkDetector:
    """A detector of crops of 32 px, trained for one iteration on drawn faces without labels."""
    faces = synthetic_faces(12, size=32)
    settings: dict[str, Any] = {**ENCODER, **RUN, "iterations": 1, "quiet": True, "device": "cpu"}
    return LandmarkDetector(**settings).fit(faces.images, shapes=faces.points[:5])


def settings_from(base: Mapping[str, Any], preset: str = "cpu") -> Callable[..., TrainingConfig]:
    """A function from changes, ``gan__enabled=False``, to a preset with the base settings and these."""

    def settings(preset: str = preset, **changes: object) -> TrainingConfig:
        return load_config(preset, {**base, **{key.replace("__", "."): value for key, value in changes.items()}})

    return settings
