"""Tiles of large images: they show what the image shows, and no image is decoded as a whole for them."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from brule.annotating.folders import ImageEntry
from brule.data import large as large_module
from brule.errors import DataError
from brule.web import pictures as module
from brule.web.pictures import TILE, Pictures, levels_of

WIDTH, HEIGHT = 1301, 907


def scene() -> Image.Image:
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8), "RGB")
    return noise.resize((WIDTH, HEIGHT)).filter(ImageFilter.GaussianBlur(8)).convert("L").convert("RGB")


def entry(path: Path) -> ImageEntry:
    return ImageEntry("0123456789abcdef", path.name, path)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if images of half a million pixels were large; at level 1 this one has more than a quarter of that."""
    monkeypatch.setattr(large_module, "LARGE", 500_000)
    monkeypatch.setattr(module, "LARGE", 500_000)
    monkeypatch.setattr(module, "load_image", lambda path: pytest.fail("decoded as a whole"))


@pytest.mark.parametrize("kind", ["png", "tif", "turned.tif"])
def test_tiles_are_the_image(tmp_path: Path, kind: str, small: None) -> None:
    path, image = tmp_path / f"a.{kind}", scene()
    stored = image.transpose(Image.Transpose.ROTATE_90) if "turned" in kind else image
    stored.save(
        path,
        **({"compression": "tiff_lzw", "tiffinfo": {278: 64, 0x0112: 6 if "turned" in kind else 1}} if "tif" in kind else {}),
    )
    pictures = Pictures(tmp_path / "cache")
    for level in range(levels_of(WIDTH, HEIGHT)):
        whole = image.reduce(2**level)
        for row in range(-(-whole.height // TILE)):
            for column in range(-(-whole.width // TILE)):
                box = (column * TILE, row * TILE, min((column + 1) * TILE, whole.width), min((row + 1) * TILE, whole.height))
                got = np.asarray(Image.open(io.BytesIO(pictures.tile(entry(path), level, column=column, row=row))))
                want = np.asarray(whole.crop(box))
                assert got.shape == want.shape
                assert np.abs(got.astype(int) - want).mean() < 2, (level, row, column)


def test_places_beyond_the_image(tmp_path: Path, small: None) -> None:
    scene().save(tmp_path / "a.png")
    pictures = Pictures(tmp_path / "cache")
    for level, column, row in ((9, 0, 0), (0, 3, 0), (0, 0, 2), (2, 1, 0), (2, 0, 1)):
        with pytest.raises(DataError, match="there is no"):
            pictures.tile(entry(tmp_path / "a.png"), level, column=column, row=row)


def test_a_row_is_decoded_once(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    scene().save(tmp_path / "a.png")
    parts: list[tuple[int, ...]] = []
    load_part = module.load_part
    monkeypatch.setattr(
        module, "load_part", lambda path, window, block: parts.append(window) or load_part(path, window, block=block)
    )
    pictures = Pictures(tmp_path / "cache")
    for column in (0, 1, 2, 0):
        pictures.tile(entry(tmp_path / "a.png"), 0, column=column, row=1)
    assert parts == [(0, 512, 1301, 907)]


def test_what_earlier_sessions_left_is_kept_within_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CACHED", 250)
    folder = tmp_path / "cache" / "ab"
    folder.mkdir(parents=True)
    for k in range(4):
        (folder / f"{k}.jpg").write_bytes(b"x" * 100)
        os.utime(folder / f"{k}.jpg", (k, k))
    Pictures(tmp_path / "cache")
    end = time.monotonic() + 20
    while len(list(folder.iterdir())) > 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert sorted(path.name for path in folder.iterdir()) == ["2.jpg", "3.jpg"]  # the newest
    Pictures(tmp_path / "none")  # a folder that isn't there yet
