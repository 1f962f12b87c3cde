"""The progress of several stages never goes back, and the work at the end of a training has a name."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import brule.detector.estimator as estimator
from brule import LandmarkDetector
from brule.data import Sample, SampleList
from brule.data.synthetic import synthetic_faces, write_synthetic_faces
from brule.detector.calibrating import calibrate_detector
from brule.detector.measuring import measure_detector
from brule.detector.progress import in_stages
from brule.tracking.run_files import STAGE

pytestmark = pytest.mark.usefixtures("no_tensorboard")

FACES = synthetic_faces(12, size=32)
TINY: dict[str, Any] = {
    "iterations": 1, "batch_size": 4, "threads": 1, "split": 1, "crop.image_size": 16, "encoder.width": 8, "encoder.depth": 1,
    "precision": "float32", "preview_every": 0, "quiet": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def detector() -> LandmarkDetector:
    return LandmarkDetector(**TINY).fit(FACES.images, shapes=FACES.points[:5])


@pytest.fixture
def samples(tmp_path: Path) -> SampleList:
    from brule.data import read_samples

    write_synthetic_faces(tmp_path / "faces", 10, size=48)
    return read_samples(tmp_path / "faces", require_points=True)


def only_forward(calls: list[tuple[int, int]]) -> bool:
    totals = {total for _, total in calls}
    return len(totals) == 1 and all(a <= b for (a, _), (b, _) in pairwise(calls)) and calls[-1] == (max(totals),) * 2


def test_stages_follow_each_other() -> None:
    calls: list[tuple[int, int]] = []
    first, second, third = in_stages(lambda done, total: calls.append((done, total)), 2, 0, 3)
    for stage, done, total in ((first, 1, 2), (first, 2, 2), (second, 0, 0), (third, 1, 3), (third, 3, 3)):
        stage(done, total)
    assert calls == [(1, 5), (2, 5), (2, 5), (3, 5), (5, 5)]
    in_stages(None, 1)[0](1, 1)


@pytest.mark.parametrize("refine", [None, 1])
def test_measuring_in_both_ways_is_one_progress(detector: LandmarkDetector, samples: SampleList, refine: int | None) -> None:
    calls: list[tuple[int, int]] = []
    measure_detector(detector, samples, batch_size=4, refine=refine, progress=(None, lambda *step: calls.append(step)))
    assert only_forward(calls) and calls[0][1] == 20


def test_a_batch_without_an_object_is_no_step_back(
    detector: LandmarkDetector, samples: SampleList, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each image may show several objects, nothing comes of images in which nothing is found."""
    genuine, calls = LandmarkDetector.iter_predict, []

    def predict(self: LandmarkDetector, images: Any, **options: Any) -> Any:
        for k, (rows, found) in enumerate(genuine(self, images, **options)):
            yield (rows, found) if k < 1 else ([], found.chosen(np.zeros(0, dtype=np.int64)))

    monkeypatch.setattr(LandmarkDetector, "iter_predict", predict)
    others = [Sample(one.path, np.asarray(one.points) + 400.0) for one in samples]
    measure_detector(
        detector, SampleList([*samples, *others]), boxes="none", batch_size=4, progress=(None, lambda *step: calls.append(step))
    )
    assert only_forward(calls) and calls[0][0] > 0


def test_calibrating_is_one_progress(detector: LandmarkDetector, samples: SampleList) -> None:
    calls: list[tuple[int, int]] = []
    copy = LandmarkDetector.of(detector._stored(estimator_result(detector), None))
    calibrate_detector(copy, samples, tta=1, batch_size=4, progress=(None, lambda *step: calls.append(step)))
    assert only_forward(calls)


def estimator_result(detector: LandmarkDetector) -> Any:
    from brule.training.state import TrainingResult

    return TrainingResult(detector.model_, detector.progress_, detector.finished_, detector.decoder_)


def test_decoding_both_kinds_of_images_is_one_progress(samples: SampleList) -> None:
    calls: list[tuple[int, int]] = []
    LandmarkDetector(**TINY).fit(samples, labelled=samples, progress=lambda *step: calls.append(step))
    assert only_forward(calls) and calls[0][1] == 20


def test_learning_which_detections_are_right_has_a_name(
    detector: LandmarkDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, written, said = [], [], []

    def learn(known: Any, *given: Any, **options: Any) -> Any:
        found.append((tmp_path / STAGE).read_text())
        return known

    monkeypatch.setattr(estimator, "with_scorer", learn)
    monkeypatch.setattr(LandmarkDetector, "_write", lambda self, run, trained: written.append(run))
    monkeypatch.setattr(LandmarkDetector, "_report", lambda self, text: said.append(text))
    examples: Any = object()
    whereabouts = detector.whereabouts_
    monkeypatch.setattr(detector, "whereabouts_", _with_locator(whereabouts))
    monkeypatch.setattr(LandmarkDetector, "finder", lambda self: None)
    detector._learn_scorer(examples, None, estimator_result(detector), run=tmp_path)
    assert "learning which detections are right" in found[0] and said == ["learning which detections are right …"]
    assert written == [tmp_path] and not (tmp_path / STAGE).exists()


def _with_locator(whereabouts: Any) -> Any:
    from dataclasses import replace

    return replace(whereabouts, locator=object())
