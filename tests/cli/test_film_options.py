"""Options of ``brule predict`` that films don't have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brule.cli.films import Written, predict_films
from brule.errors import ConfigError


@pytest.mark.parametrize("option", ["--boxes", "--rank", "--heatmaps"])
def test_options_of_images_are_refused(option: str, tmp_path: Path) -> None:
    detector: Any = None  # nothing is predicted
    with pytest.raises(ConfigError, match=f"{option}: expected images, got the film film.mp4"):
        predict_films(detector, [Path("film.mp4")], Written(tmp_path, ("csv",), True), every=1, options={}, for_images=[option])
