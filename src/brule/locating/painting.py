"""Pictures with their objects painted over, to learn what detections look like where there is no object."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from brule.arrays import Array
from brule.locating.pyramid import ImageLike, opened, shrunk

_MAX_SIDE = 640  # pixels
_ATTEMPTS = 20  # to find another part of the image without an object
_AROUND = 1.5  # diameter of the painted disc, over the longer side of the box: heads reach beyond their landmarks
_FEATHER = 0.06  # width of the disc's soft edge, over its radius


def painted_over(image: ImageLike, places: Array, *, seed: int = 0) -> Image.Image:
    """An image with its objects covered, by another part of it or by what surrounds them, blurred.

    Args:
        image: a file, a Pillow image or an array; larger ones than 640 pixels come out shrunk to that.
        places: ``(O, 5)`` in its pixels; those that aren't finite are left out.
        seed: of how each is covered.

    Returns:
        An RGB image.

    Raises:
        DataError: the image can't be read.
    """
    picture = opened(image, _MAX_SIDE)
    factor = min(1.0, _MAX_SIDE / max(picture.size))
    whole = picture.image if factor == 1 else shrunk(picture, picture.image, factor)
    generator = np.random.default_rng(seed)
    covers = [_mask(whole.size, place, factor) for place in places if np.isfinite(place).all()]
    hidden = np.max([np.zeros(whole.size[::-1], np.uint8), *(np.asarray(cover) for cover in covers)], axis=0)
    for cover in covers:
        patch = _elsewhere(whole, cover, hidden, generator=generator) if generator.random() < 0.5 else None
        whole = Image.composite(patch or _surroundings(whole, hidden), whole, cover)
    return whole


def _mask(size: tuple[int, int], place: Array, factor: float) -> Image.Image:
    """A white disc around a place, with soft edges."""
    x, y = (place[:2] + 0.5) * factor
    radius = 0.5 * _AROUND * place[2:4].max() * factor
    rows, columns = np.ogrid[: size[1], : size[0]]
    distance = np.hypot(rows + 0.5 - y, columns + 0.5 - x) / max(radius, 1e-6)
    return Image.fromarray((255 * np.clip((1 - distance) / _FEATHER + 0.5, 0, 1)).astype(np.uint8))


def _elsewhere(whole: Image.Image, cover: Image.Image, hidden: Array, *, generator: np.random.Generator) -> Image.Image | None:
    """The image shifted so that another part of it lies under the cover; None if no part is free of objects."""
    height, width = whole.size[::-1]
    covered = np.asarray(cover) > 0
    pixels = np.asarray(whole)
    for _ in range(_ATTEMPTS):
        shift = (int(generator.integers(height)), int(generator.integers(width)))
        moved = np.roll(np.asarray(hidden) > 0, shift, (0, 1))
        if not (moved & covered).any():
            return Image.fromarray(np.roll(pixels, shift, (0, 1)))
    return None


def _surroundings(whole: Image.Image, hidden: Array) -> Image.Image:
    """The surroundings of the hidden parts, blurred into them: a Gaussian-weighted mean over the visible pixels."""
    visible = 1.0 - np.asarray(hidden, np.float32)[..., None] / 255
    small = max(1, max(whole.size) // 48)
    size = (max(1, whole.width // small), max(1, whole.height // small))
    weight = Image.fromarray((255 * visible[..., 0]).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    colours = Image.fromarray((np.asarray(whole) * visible).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    blur = ImageFilter.GaussianBlur(6)
    total = np.maximum(np.asarray(weight.filter(blur), np.float32)[..., None] / 255, 0.02)
    filled = np.clip(np.asarray(colours.filter(blur), np.float32) / total, 0, 255).astype(np.uint8)
    return Image.fromarray(filled).resize(whole.size, Image.Resampling.BICUBIC)
