"""Options of ``brule predict`` that films, and Parquet files, don't have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brule.cli import main
from brule.cli.films import Written, predict_films
from brule.errors import ConfigError


@pytest.mark.parametrize("option", ["--boxes", "--rank", "--heatmaps"])
def test_options_of_images_are_refused(option: str, tmp_path: Path) -> None:
    detector: Any = None  # nothing is predicted
    with pytest.raises(ConfigError, match=f"{option}: expected images, got the film film.mp4"):
        predict_films(detector, [Path("film.mp4")], Written(tmp_path, ("csv",), True), every=1, options={}, for_images=[option])


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
def test_predicting_in_parts_refuses_films(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "run", "film.mp4", "-o", str(tmp_path / "out"), "--engine", engine]) == 2
    assert "film.mp4: --engine" in capsys.readouterr().err and not (tmp_path / "out").exists()


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
