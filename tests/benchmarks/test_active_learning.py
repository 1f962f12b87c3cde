"""Rounds of annotation: what each way of choosing returns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.active_learning import WAYS, Crops, chosen_next
from brule import LandmarkDetector
from brule.data import read_samples
from brule.data.synthetic import write_synthetic_faces
from tests.training.tiny import tiny_detector


@pytest.fixture(scope="module")
def detector() -> LandmarkDetector:
    return tiny_detector()


@pytest.mark.parametrize("way", WAYS)
def test_each_way_chooses_images_that_are_not_annotated(way: str, detector: LandmarkDetector, tmp_path: Path) -> None:
    write_synthetic_faces(tmp_path, 9, size=48)
    pool, annotated = Crops.cut(read_samples([tmp_path], require_points=True), 32), np.array([2, 5])
    chosen = chosen_next(way, detector, pool, annotated, count=3, seed=0)
    assert len(set(chosen.tolist())) == 3 and not set(chosen.tolist()) & {2, 5}
    if way == "uncertain":
        uncertainty = detector.predict_crops(pool.images).uncertainty
        assert uncertainty is not None
        others = np.setdiff1d(np.arange(9), [*chosen, *annotated])
        assert uncertainty[chosen].min() >= uncertainty[others].max()
    assert 0 < pool.error(detector) < 100
