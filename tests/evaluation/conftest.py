"""Evaluations of drawn faces by a predictor whose errors are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from brule.data import CropCache, cache_from_arrays
from brule.data.synthetic import synthetic_faces
from brule.evaluation import Evaluation, evaluate


@dataclass
class Found:
    """What a predictor returns."""

    points: np.ndarray
    spread: np.ndarray


@pytest.fixture(scope="session")
def drawn() -> CropCache:
    """24 drawn faces, cut out."""
    faces = synthetic_faces(24, size=64)
    return cache_from_arrays(list(faces.images), points=list(faces.points), size=64)


@pytest.fixture(scope="session")
def measured(drawn: CropCache) -> Callable[..., Evaluation]:
    """Evaluate a predictor that is off by ``noise`` (in sides of the crop) in directions drawn with a seed."""

    def run(noise: float = 0.02, seed: int = 0) -> Evaluation:
        generator = np.random.default_rng(seed)
        sizes = noise * generator.gamma(2, 0.5, size=(len(drawn), 1, 1))
        points = drawn.points + sizes * generator.normal(size=drawn.points.shape)
        found = Found(points, np.broadcast_to(sizes[..., 0], points.shape[:2]))
        middle = drawn.points.mean(axis=0)
        return evaluate(lambda _: found, drawn, barycenter=middle, shapes=drawn.points[:5])

    return run
