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
