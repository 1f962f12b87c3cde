"""Resuming with the images of the run, with more of them, and with none of a kind."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.errors import ConfigError

pytestmark = pytest.mark.usefixtures("no_tensorboard")

FACES = synthetic_faces(12, size=32)
LABELLED = (FACES.images[:4], FACES.points[:4])


def detector(iterations: int) -> LandmarkDetector:
    tiny: dict[str, Any] = {"batch_size": 4, "crop.image_size": 16, "encoder.width": 8, "encoder.depth": 1, "preview_every": 0}
    return LandmarkDetector(quiet=True, iterations=iterations, threads=1, split=1, precision="float32", **tiny)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    detector(1).fit(FACES.images[4:10], labelled=LABELLED, directory=tmp_path / "run")
    return tmp_path / "run"


def test_the_same_images_are_no_news(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = LandmarkDetector.load(run)
    with caplog.at_level(logging.WARNING, "brule"):
        after = detector(2).fit(FACES.images[4:10], labelled=LABELLED, directory=run, resume=True)
    assert not caplog.messages
    assert after.training_images_ == before.training_images_ and after.provenance_ == before.provenance_


def test_other_images_are_mentioned_and_recorded(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    more = (FACES.images[:5], FACES.points[:5])
    with caplog.at_level(logging.WARNING, "brule"):
        detector(2).fit(FACES.images[6:12], labelled=more, directory=run, resume=True)
    (said,) = caplog.messages
    assert "started with 6 unlabelled images, and now there are 6, 2 of them new" in said
    assert "started with 4 annotated images, and now there are 5, 1 of them new" in said
    kept = LandmarkDetector.load(run)
    assert (kept.provenance_.images, kept.provenance_.labelled) == (6, 5)
    assert (len(kept.training_images_.images), len(kept.training_images_.labelled)) == (8, 5)  # of both parts


def test_annotated_images_that_are_no_longer_there_are_mentioned(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "brule"):
        detector(2).fit(FACES.images[4:10], directory=run, resume=True)
    assert "started with 4 annotated images, and now there are none" in caplog.messages[0]


def test_another_kind_of_training_is_refused(run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    with pytest.raises(ConfigError, match="started with 6 unlabelled ones, got none"):
        detector(2).fit(labelled=LABELLED, directory=run, resume=True)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
