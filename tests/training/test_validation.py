"""NME and W₁ on validation images during training: right by hand, and without a trace in the training itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.detector.validation import MAX_MEASURED, Validation
from brule.errors import ConfigError, DataError
from brule.tracking.callbacks import Callback, EarlyStopping, Report
from brule.tracking.run_state import RunState
from brule.training.config import TrainingConfig, load_config

FACES, OTHERS = synthetic_faces(12, size=32), synthetic_faces(5, size=40, seed=9)
PAIR = (OTHERS.images, OTHERS.points)
TINY: dict[str, Any] = {
    "crop.image_size": 32,
    "encoder.width": 8,
    "encoder.stacks": 1,
    "encoder.depth": 2,
    "decoder.width": 4,
    "decoder.max_width": 8,
    "decoder.style_dim": 8,
    "decoder.noise_dim": 8,
    "batch_size": 4,
    "iterations": 5,
    "time_limit": 0,
    "checkpoint_every": 2,
    "log_every": 1,
    "preview_every": 0,
}


def fit(directory: Path, preset: str = "paper-small", **more: Any) -> LandmarkDetector:
    found = LandmarkDetector(preset, quiet=True, **TINY)
    return found.fit(FACES.images, shapes=FACES.points[:5], directory=directory, **more)


def lines(directory: Path) -> list[dict[str, float]]:
    rows = map(json.loads, (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def losses(directory: Path) -> list[dict[str, float]]:
    return [row for row in lines(directory) if "validation NME" not in row]


@pytest.mark.parametrize("preset", ["paper-small", "cpu"])
def test_training_is_the_same_with_and_without(preset: str, tmp_path: Path) -> None:
    """Bit for bit, though the order of unindexed outputs (paper-small) is looked up at every measurement."""
    without = fit(tmp_path / "without", preset)
    watched = fit(tmp_path / "with", preset, validation=PAIR, measure_every=1)
    assert losses(tmp_path / "with") == losses(tmp_path / "without")
    theirs = without.model_.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in watched.model_.state_dict().items())
    measured = RunState.read(tmp_path / "with").validation
    assert [iteration for iteration, _, _ in measured] == [1, 2, 3, 4, 5]
    assert all(0 < w1 <= nme * (1 + 1e-9) for _, nme, w1 in measured)
    assert RunState.read(tmp_path / "without").validation == []


def test_a_run_that_a_callback_ends_is_measured_at_its_end(tmp_path: Path) -> None:
    class Enough(Callback):
        def on_iteration(self, report: Report) -> bool:
            return report.iteration == 2

    fit(tmp_path, validation=PAIR, measure_every=4, callbacks=[Enough()])
    assert [iteration for iteration, _, _ in RunState.read(tmp_path).validation] == [2]


def test_the_error_on_validation_images_ends_a_run(tmp_path: Path) -> None:
    stop = EarlyStopping("validation NME", patience=1, min_delta=1000)  # no fall is large enough
    assert fit(tmp_path, validation=PAIR, measure_every=1, callbacks=[stop]).progress_.iteration == 3


def test_the_last_measurement_is_that_of_the_detector(tmp_path: Path) -> None:
    found = fit(tmp_path, validation=PAIR, measure_every=3)
    measured = RunState.read(tmp_path).validation
    assert [iteration for iteration, _, _ in measured] == [3, 5]  # the last iteration in any case
    scores = found.evaluate(_samples(tmp_path / "images"), boxes="given").first.scores
    assert measured[-1][1:] == pytest.approx((scores.nme, scores.w1), rel=2e-3)  # crops of files are decoded anew


def _samples(folder: Path) -> str:
    from PIL import Image

    from brule.data import write_pts

    folder.mkdir()
    for index, (image, points) in enumerate(zip(OTHERS.images, OTHERS.points, strict=True)):
        Image.fromarray(np.asarray(image)).save(folder / f"{index}.png")
        write_pts(folder / f"{index}.pts", points)
    return str(folder)


def test_a_resumed_run_has_every_measurement_once(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(detector: LandmarkDetector) -> None:
        if detector.progress_.iteration == 4:
            raise Killed  # measured, but its checkpoint isn't written

    whole = fit(tmp_path / "whole", validation=PAIR)
    with pytest.raises(Killed):
        fit(tmp_path / "parts", validation=PAIR, on_checkpoint=kill)
    resumed = LandmarkDetector("paper-small", quiet=True)
    resumed.fit(FACES.images, directory=tmp_path / "parts", resume=True, validation=PAIR)
    assert lines(tmp_path / "parts") == lines(tmp_path / "whole")
    assert [row["iteration"] for row in lines(tmp_path / "whole") if "validation W1" in row] == [2, 4, 5]
    theirs = whole.model_.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in resumed.model_.state_dict().items())


def config() -> TrainingConfig:
    return load_config("paper-small", TINY)


class Constant:
    """A model that answers every crop with the same points."""

    def __init__(self, points: np.ndarray) -> None:
        self.barycenter = torch.zeros(1)
        self._points = torch.as_tensor(points)[None]

    def encode(self, crops: torch.Tensor) -> Any:
        return type("Answer", (), {"points": self._points.expand(len(crops), -1, -1)})


def test_figures_by_hand() -> None:
    """Four corners of a square of 10 pixels: its diagonal is the distance; two corners exchanged are two sides off."""
    square = np.array([[5.0, 5.0], [15, 5], [5, 15], [15, 15]])
    image = np.zeros((20, 20, 3), np.uint8)
    measure = Validation.of(([image], [square]), config(), names=None, landmarks=4)
    truth = np.asarray(measure.crops.points[0])
    exchanged: Any = Constant(truth[[1, 0, 2, 3]])
    assert measure(exchanged) == {
        "validation NME": pytest.approx(100 * (2 / 4) / np.sqrt(2), rel=1e-5),
        "validation W1": pytest.approx(0, abs=1e-4),
    }
    side = truth[1, 0] - truth[0, 0]
    shifted: Any = Constant(truth + np.array([0.1 * side, 0]))
    assert measure(shifted)["validation W1"] == pytest.approx(10 / np.sqrt(2), rel=1e-4)


def test_many_images_are_thinned_evenly() -> None:
    square = np.array([[5.0, 5.0], [15, 5], [5, 15]])
    count = 2 * MAX_MEASURED
    pair = ([np.full((20, 20, 3), i % 250, np.uint8) for i in range(count)], [square + i / count for i in range(count)])
    assert len(Validation.of(pair, config(), names=None, landmarks=3).crops.images) == MAX_MEASURED


def test_what_can_not_be_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="measure_every: expected at least 1, got 0"):
        fit(tmp_path, validation=PAIR, measure_every=0)
    few = (OTHERS.images, [points[:4] for points in OTHERS.points])
    with pytest.raises(DataError, match=r"validation: expected 68 landmarks per image.*got 4"):
        fit(tmp_path, validation=few)
    assert not (tmp_path / "metrics.jsonl").exists()
