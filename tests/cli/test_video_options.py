"""Options of ``brule predict`` that videos, and Parquet files, don't have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from brule.cli import main
from brule.cli.predicted_files import Counts
from brule.cli.videos import Written, _predictions, predict_videos
from brule.detector.landmarks import Landmarks, nothing_found
from brule.errors import ConfigError


@pytest.mark.parametrize("option", ["--boxes", "--rank", "--heatmaps"])
def test_options_of_images_are_refused(option: str, tmp_path: Path) -> None:
    detector: Any = None  # nothing is predicted
    with pytest.raises(ConfigError, match=f"{option}: expected images, got the video video.mp4"):
        predict_videos(
            detector, [Path("video.mp4")], Written(tmp_path, ("csv",), True), every=1, options={}, for_images=[option]
        )


@pytest.mark.parametrize(
    "option",
    [["--boxes", "b.csv"], ["--rank"], ["--heatmaps"], ["--every", "2"], ["--format", "coco"]],
    ids=lambda words: words[0],
)
def test_predicting_in_parts_refuses_options_of_single_files(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "run", str(tmp_path), "-o", str(tmp_path / "out"), "--engine", "parts", *option]) == 2
    assert f"{option[0]}: --engine parts writes Parquet files alone" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["parts", "ray"])
def test_predicting_in_parts_refuses_videos(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "run", "video.mp4", "-o", str(tmp_path / "out"), "--engine", engine]) == 2
    assert "video.mp4: --engine" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("engine", "option", "meant"),
    [
        ("local", ["--part-size", "3"], "parts or ray"),
        ("local", ["--workers", "2"], "ray"),
        ("parts", ["--workers", "2"], "ray"),
        ("parts", ["--gpus-per-worker", "0.5"], "ray"),
    ],
)
def test_options_of_another_engine_are_refused(
    engine: str, option: list[str], meant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "run", str(tmp_path), "-o", str(tmp_path / "out"), "--engine", engine, *option]) == 2
    assert f"{option[0]}: has no effect with --engine {engine}; it is for --engine {meant}" in capsys.readouterr().err


def test_a_frame_without_any_object_has_an_empty_prediction() -> None:
    """With all objects asked for, the detector gives it no row."""

    class Detector:
        barycenter_ = torch.zeros(2, 2)

        def predict(self, images: list[object], **options: object) -> Landmarks:
            return replace(nothing_found([0, 0], 2), points=torch.ones(2, 2, 2))

    frames: Any = iter([SimpleNamespace(image="first"), SimpleNamespace(image="second")])
    detector: Any = Detector()
    (_, two), (_, empty) = _predictions(detector, frames, options={"batch_size": 8})
    assert [one.found for one in two] == [True, True] and [one.found for one in empty] == [False]
    counts = Counts("frame")
    for number, own in enumerate((two, empty)):
        for one in own:
            counts.count(number, replace(one, flagged=False))
    assert counts.text() == "2 objects in 2 frames (nothing found in 1)"
