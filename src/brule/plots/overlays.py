"""Landmarks over images with their truth, and a barycenter over the sets that it was made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from brule.arrays import Array
from brule.coordinates import image_box, unit_to_pixels
from brule.errors import DataError
from brule.plots.checks import as_image, check_batch, check_columns, check_landmarks
from brule.plots.drawing import SHEET_BACKGROUND, contact_sheet, draw_crosses, draw_dots, draw_landmarks

_BAND = 24  # pixels above a tile, for its name
_SIDE = 900  # of the barycenter's picture, in pixels
_GREY = (112, 120, 130)


def overlay_grid(
    images: ArrayLike,
    points: ArrayLike,
    *,
    truth: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    columns: int = 6,
    edges: ArrayLike | None = None,
    tile: int = 240,
) -> Image.Image:
    """Images in a grid with their landmarks coloured by index, true ones as white crosses.

    Args:
        images: ``(B, H, W, 3)`` or ``(B, H, W)`` uint8.
        points: ``(B, N, 2)`` in the unit square; NaN points are left out.
        truth: ``(B, M, 2)`` in the unit square.
        names: one title for each image.
        columns: images in a row.
        edges: ``(E, 2)`` pairs of indices to join by thin lines.
        tile: the longer side of an image in the grid, in pixels.

    Returns:
        An RGB image.

    Raises:
        DataError: shapes or numbers don't fit.
    """
    stack, landmarks = check_batch(images, points)
    expected = None if truth is None else check_batch(images, truth)[1]
    if names is not None and len(names) != len(stack):
        raise DataError(f"{len(names)} names for {len(stack)} images: expected one for each.")
    scale = tile / max(stack.shape[1:3])
    height, width = (max(1, round(scale * side)) for side in stack.shape[1:3])
    box = image_box(width, height)
    tiles = []
    for i, image in enumerate(stack):
        picture = as_image(image).resize((width, height), Image.Resampling.BICUBIC)
        if expected is not None:
            picture = draw_crosses(picture, unit_to_pixels(expected[i], box))
        picture = draw_landmarks(picture, unit_to_pixels(landmarks[i], box), edges=edges)
        tiles.append(picture if names is None else with_name(picture, names[i]))
    return contact_sheet(tiles, check_columns(columns, len(stack)))


def barycenter_picture(
    barycenter: ArrayLike, sets: Sequence[ArrayLike], *, indices: bool = True, edges: ArrayLike | None = None
) -> Image.Image:
    """The barycenter's landmarks over the annotated sets that it was made of.

    Args:
        barycenter: ``(N, 2)`` in the unit square, y downwards.
        sets: each ``(N_i, 2)`` in the same frame; drawn as grey dots.
        indices: write each landmark's index beside it.
        edges: ``(E, 2)`` pairs of indices to join by thin lines.

    Returns:
        An RGB image.
    """
    centre = check_landmarks(barycenter)
    clouds = [check_landmarks(points) for points in sets]
    every = np.concatenate([centre, *clouds])
    every = every[np.isfinite(every).all(axis=1)]
    low, extent = every.min(axis=0), np.ptp(every, axis=0)
    scale, top, margin = (_SIDE - 120) / max(float(extent.max()), 1e-9), 90, 60
    width, height = (round(scale * float(side)) + 2 * margin for side in extent)

    def placed(points: Array) -> Array:
        return (points - low) * scale + [margin + (_SIDE - width) / 2, margin + top]

    picture = Image.new("RGB", (_SIDE, height + top), SHEET_BACKGROUND)
    for cloud in clouds:
        picture = draw_dots(picture, placed(cloud), _GREY, radius=2.5)
    picture = draw_landmarks(picture, placed(centre), numbers=indices, edges=edges)
    draw = ImageDraw.Draw(picture)
    title = f"Barycenter of {len(clouds)} annotated {'set' if len(clouds) == 1 else 'sets'}"
    draw.text((24, 20), title, fill="white", font=ImageFont.load_default(size=26))
    small = f"{len(centre)} landmarks, coloured by index; grey: the annotated points"
    draw.text((24, 56), small, fill=(170, 178, 188), font=ImageFont.load_default(size=17))
    return picture


def with_name(picture: Image.Image, name: str) -> Image.Image:
    """A picture with its name above it, the middle of a long name left out."""
    name = name.encode("utf-8", "backslashreplace").decode()  # a file's name needn't be UTF-8
    font = ImageFont.load_default(size=13)
    tile = Image.new("RGB", (picture.width, picture.height + _BAND), SHEET_BACKGROUND)
    tile.paste(picture, (0, _BAND))
    length = len(name)
    shown = name
    while font.getlength(shown) > picture.width - 8 and length > 2:
        length -= 1
        shown = f"{name[: length // 2]}…{name[len(name) - (length - length // 2) + 1 :]}"
    ImageDraw.Draw(tile).text((4, _BAND / 2), shown, fill="white", font=font, anchor="lm")
    return tile
