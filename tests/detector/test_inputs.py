"""What a detector is given: shapes and crops agree about where things are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from brule.data import Sample, SampleList
from brule.detector.inputs import as_annotated, labelled_crops, shapes_of
from brule.training.config import load_config


def test_the_shape_of_an_annotated_image_lies_in_its_crop_as_its_landmarks_do(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = []
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
        samples.append(Sample(tmp_path / f"{i}.png", rng.uniform(20, 80, (6, 2)), (5.0, 10.0, 100.0, 85.0) if i else None))
    annotated = as_annotated(SampleList(samples), skip_bad=False)
    crop = load_config("cpu").crop
    in_crops = labelled_crops(annotated, crop, skip_bad=False, progress=None)
    shapes = shapes_of(annotated, crop.scale)
    np.testing.assert_allclose(shapes.points, in_crops.points, atol=1e-5)
    assert shapes.placed == {1, 2}
