"""Objects are located in images that are too large to decode in one piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.data import images, large, load_image
from brule.errors import DataError
from brule.locating import painted_over, pyramid
from brule.locating.pyramid import grey_image

SIDE = 64


@pytest.fixture(params=["png", "jpg"])
def photograph(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Coarse noise of 801 × 601 pixels, no multiple of any block: 12 × 9 colours that run into each other."""
    noise = np.random.default_rng(0).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    path = tmp_path / f"a.{request.param}"
    Image.fromarray(noise).resize((801, 601), Image.Resampling.BICUBIC).save(path, quality=95)
    return path


def shrink_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the photograph is all that memory takes, as RGB; a quarter of it may be decoded in one piece."""
    for module in (large, images, pyramid):
        monkeypatch.setattr(module, "LARGE", 801 * 601 // 4)
    monkeypatch.setattr(large, "MAX_BYTES", 801 * 601 * 2)
    monkeypatch.setattr(large, "_BAND", 40_000)


def test_a_large_photograph_looks_as_in_one_piece(photograph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = grey_image(photograph, SIDE)
    shrink_limits(monkeypatch)
    with pytest.raises(DataError, match="GiB"):
        load_image(photograph)
    parts = grey_image(photograph, SIDE)
    assert parts.size == whole.size == (801, 601)
    assert parts.pixels.shape == whole.pixels.shape == (48, 64)
    # A shift by one pixel of the copy would change them by some 10 grey levels.
    shifted = np.abs(parts.pixels[:, 1:].astype(int) - whole.pixels[:, :-1]).mean()
    assert shifted > 5
    assert np.abs(parts.pixels.astype(int) - whole.pixels).mean() < 1


def test_its_objects_can_be_painted_over(photograph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_limits(monkeypatch)
    places = np.array([[400.0, 300.0, 150.0, 150.0, 0.0]])
    painted = painted_over(photograph, places)
    assert painted.size == (640, 480)
    monkeypatch.undo()
    before = np.asarray(load_image(photograph).resize((640, 480), Image.Resampling.BILINEAR)).astype(int)
    changed = np.abs(np.asarray(painted).astype(int) - before).mean(axis=2) > 6
    # The cover's radius is 0.75 · 150 px of the image, 90 of the copy, about (320, 240).
    rows, columns = np.nonzero(changed)
    assert changed.any() and np.hypot(rows - 240, columns - 320).max() < 95
