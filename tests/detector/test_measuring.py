"""Measuring on whole images: several objects an image, objects annotated twice, annotations without a landmark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from brule import LandmarkDetector
from brule.data import Sample, SampleList
from brule.data.synthetic import synthetic_scenes
from brule.detector import Landmarks
from brule.detector.landmarks import joined
from brule.errors import DataError
from brule.evaluation import Measurement

SCENES = synthetic_scenes(3, size=96, objects=2, seed=1)
OFF = 0.5  # pixels by which the second annotation and the answers differ from the first


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("scenes")
    paths = [folder / f"{k}.png" for k in range(len(SCENES.images))]
    for path, image in zip(paths, SCENES.images, strict=True):
        Image.fromarray(image).save(path)
    return paths


@pytest.fixture(scope="module")
def detector() -> LandmarkDetector:
    tiny: dict[str, Any] = {"crop.image_size": 16, "encoder.width": 8, "encoder.depth": 1, "iterations": 1, "batch_size": 2}
    shapes = [scene[0] for scene in SCENES.points]
    return LandmarkDetector(quiet=True, **tiny).fit([np.zeros((32, 32, 3), np.uint8)] * 4, shapes=shapes)


def measured(detector: LandmarkDetector, samples: list[Sample], answers: list[Any], monkeypatch: Any) -> Measurement:
    """The measurement on whole images if the answers of each image, ``(O, N, 2)``, were these."""
    parts = []
    for k, points in enumerate(answers):
        count = len(points)
        parts.append(
            Landmarks(
                points=torch.tensor(np.array(points), dtype=torch.float32).reshape(count, 68, 2),
                image=torch.full((count,), k),
                score=torch.full((count,), 0.9),
                flagged=torch.zeros(count, dtype=torch.bool),
                spread=torch.ones(count, 68),
                uncertainty=torch.ones(count),
                box=torch.zeros(count, 4),
                angle=torch.zeros(count),
            )
        )

    def answer(self: LandmarkDetector, images: SampleList, **options: Any) -> Iterator[tuple[list[Sample], Landmarks]]:
        yield [], joined(parts)

    monkeypatch.setattr(LandmarkDetector, "iter_predict", answer)
    return detector.evaluate(SampleList(samples), boxes="none")


def test_every_object_of_an_image_has_its_answer(
    detector: LandmarkDetector, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [Sample(path, shape) for path, scene in zip(files, SCENES.points, strict=True) for shape in scene]
    # The answers come in another order; the first image has one too many, the last one too few.
    answers = [list(scene[::-1] + OFF) for scene in SCENES.points]
    answers = [[*answers[0], SCENES.points[0][0] + 300], answers[1], answers[2][:1]]
    found = measured(detector, samples, answers, monkeypatch)
    assert found.objects == {"objects": 6, "answers": 6, "recall": pytest.approx(5 / 6), "precision": pytest.approx(5 / 6)}
    assert found.whole is not None and found.whole.per_image.missed is not None
    assert found.whole.per_image.missed.tolist() == [False] * 4 + [True, False]
    np.testing.assert_allclose(found.whole.per_image.px[:4], np.hypot(OFF, OFF), rtol=1e-3)


def test_an_object_annotated_twice_is_one_object(
    detector: LandmarkDetector, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both annotations are compared with its one answer; counted apart, one of them would be missed."""
    once = [Sample(path, shape) for path, scene in zip(files, SCENES.points, strict=True) for shape in scene]
    again = [replace(sample, points=sample.points + 2 * OFF) for sample in once[:2] if sample.points is not None]
    answers = [scene + OFF for scene in SCENES.points]
    found = measured(detector, [*once, *again], answers, monkeypatch)
    assert found.objects == {"objects": 6, "answers": 6, "recall": 1, "precision": 1}
    assert found.whole is not None
    np.testing.assert_allclose(found.whole.per_image.px, np.hypot(OFF, OFF), rtol=1e-3)
    assert found.repeat["n"] == 2 and found.repeat["nme_px"] == pytest.approx(2 * np.hypot(OFF, OFF), rel=1e-4)


def test_images_of_one_object_annotated_twice_have_one_answer_each(
    detector: LandmarkDetector, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [Sample(path, scene[0] + off) for path, scene in zip(files, SCENES.points, strict=True) for off in (0, 2 * OFF)]
    found = measured(detector, samples, [scene[:1] + OFF for scene in SCENES.points], monkeypatch)
    assert not found.objects  # there is nothing to tell apart
    assert found.whole is not None and found.whole.scores.n == 6
    np.testing.assert_allclose(found.whole.per_image.px, np.hypot(OFF, OFF), rtol=1e-3)


def test_a_number_divides_errors_in_pixels(detector: LandmarkDetector, files: list[Path]) -> None:
    samples = SampleList([Sample(path, scene[0]) for path, scene in zip(files, SCENES.points, strict=True)])
    found = detector.evaluate(samples, normaliser=50.0)
    for way in (found.whole, found.given):
        assert way is not None
        np.testing.assert_allclose(way.errors, 100 * way.per_image.px / 50)


@pytest.mark.parametrize("points", [None, np.full((68, 2), np.nan)])
def test_a_box_without_a_landmark_is_no_annotation(detector: LandmarkDetector, files: list[Path], points: Any) -> None:
    samples = SampleList([Sample(files[0], SCENES.points[0][0]), Sample(files[0], points, box=(40, 40, 80, 80))])
    with pytest.raises(DataError, match=r"0\.png: expected annotated landmarks, all of them are missing"):
        detector.evaluate(samples, boxes="none")
