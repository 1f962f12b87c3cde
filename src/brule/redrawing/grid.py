"""Landmark sets times styles, as one picture (BRULÈ, Fig. 6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from brule.coordinates import image_box, unit_to_pixels
from brule.errors import DataError
from brule.plots.checks import as_image
from brule.plots.drawing import SHEET_BACKGROUND, contact_sheet, draw_landmarks

_SHEET_OF_LANDMARKS = (44, 48, 56)  # behind landmarks without an image: lighter than what lies between the tiles


def style_grid(
    drawn: ArrayLike,
    points: ArrayLike,
    *,
    originals: Sequence[ArrayLike | None] | None = None,
    models: Sequence[ArrayLike | None] | None = None,
    tile: int = 128,
) -> Image.Image:
    """A row for each landmark set, a column for each style; on the left the landmarks.

    Args:
        drawn: ``(R, C, S, S, 3)`` uint8.
        points: ``(R, N, 2)``, the landmark set of each row, in the unit square.
        originals: R images ``(H, W, 3)`` of uint8 to lay the landmarks on; ``None`` in place of those there aren't.
        models: C images that the styles were read off, for a row above all; ``None`` in place of those there aren't. If
            none is given at all, there is no such row.
        tile: side of a tile, in pixels.

    Returns:
        An RGB image of ``1 + C`` columns and ``R`` or ``R + 1`` rows.

    Raises:
        DataError: if the numbers don't fit each other.
    """
    images, sets = np.asarray(drawn), np.asarray(points, dtype=np.float64)
    if images.ndim != 5 or images.dtype != np.uint8 or 0 in images.shape:
        raise DataError(f"expected images (R, C, S, S, 3) of uint8, at least one, got {images.shape} of {images.dtype}.")
    rows, columns = images.shape[:2]
    left = _padded(originals, rows, "originals")
    top = _padded(models, columns, "models")
    if sets.ndim != 3 or len(sets) != rows:
        raise DataError(f"expected points ({rows}, N, 2), one set for each row, got the shape {sets.shape}.")
    if tile < 1:
        raise DataError(f"tile: expected at least 1 pixel, got {tile}.")
    tiles = []
    if any(model is not None for model in top):
        tiles += [_tile(None, tile, SHEET_BACKGROUND), *(_tile(model, tile, SHEET_BACKGROUND) for model in top)]
    for original, own, row in zip(left, sets, images, strict=True):
        ground = _tile(original, tile, _SHEET_OF_LANDMARKS)
        tiles += [draw_landmarks(ground, unit_to_pixels(own, image_box(tile, tile))), *(_tile(image, tile) for image in row)]
    return contact_sheet(tiles, 1 + columns, gap=max(2, tile // 48))


def _padded(images: Sequence[ArrayLike | None] | None, count: int, what: str) -> Sequence[ArrayLike | None]:
    if images is None:
        return [None] * count
    if len(images) != count:
        raise DataError(f"{what}: expected {count}, None where there is none, got {len(images)}.")
    return images


def _tile(image: ArrayLike | None, side: int, background: tuple[int, int, int] = SHEET_BACKGROUND) -> Image.Image:
    if image is None:
        return Image.new("RGB", (side, side), background)
    return as_image(image).resize((side, side), Image.Resampling.BICUBIC)
