"""From images of any size to maps of features at falling resolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from brule.arrays import Array
from brule.data import Picture, as_image, load_picture
from brule.data.large import LARGE
from brule.locating.features import hog

ImageLike: TypeAlias = "Path | str | Image.Image | Array"


@dataclass(frozen=True, eq=False)
class GreyImage:
    """A shrunk grey copy of an image.

    Attributes:
        pixels: ``(h, w)`` uint8.
        size: width and height of the image itself.
    """

    pixels: Array
    size: tuple[int, int]

    @property
    def scale(self) -> Array:
        """``(2,)``: pixels of the copy for one of the image, along x and y."""
        return np.array(self.pixels.shape[::-1]) / np.array(self.size)

    def inner(self, places: Array) -> Array:
        """Places in pixels of the image → of the copy."""
        return _rescaled(places, self.scale)

    def outer(self, places: Array) -> Array:
        """Places in pixels of the copy → of the image."""
        return _rescaled(places, 1 / self.scale)


def _rescaled(places: Array, scale: Array) -> Array:
    centre = (places[:, :2] + 0.5) * scale - 0.5
    return np.concatenate([centre, places[:, 2:4] * np.sqrt(scale.prod()), places[:, 4:]], axis=1)


def grey_image(image: ImageLike, longest: int, name: str = "image") -> GreyImage:
    """Read an image as grey values, resized to ``longest`` pixels along its longer side.

    Args:
        image: a file, a Pillow image or an array, as :func:`brule.data.as_image` takes them.
        longest: of the copy, in pixels; a smaller image is enlarged.
        name: what to call it in an error.

    Raises:
        DataError: it can't be read.
    """
    picture = opened(image, longest, name)
    small = shrunk(picture, picture.image.convert("L"), longest / max(picture.size))
    return GreyImage(np.asarray(small), picture.size)


def opened(image: ImageLike, longest: int, name: str = "image") -> Picture:
    """A decoded image that is about to be shrunk; a file of very many pixels is decoded at about twice that size only.

    Args:
        image: a file, a Pillow image or an array.
        longest: side of what it is shrunk to, in pixels.
        name: what to call it in an error.

    Raises:
        DataError: it can't be read.
    """
    if not isinstance(image, (str, Path)):
        whole = as_image(image, name)
        return Picture(whole, whole.size)
    return load_picture(image, lambda width, height: 1.0 if width * height <= LARGE else 2 * longest / max(width, height))


def shrunk(picture: Picture, image: Image.Image, factor: float) -> Image.Image:
    """An image resized to ``factor`` times the size of its picture, antialiased.

    Args:
        picture: a decoded image.
        image: the picture's image, possibly converted to another mode.
        factor: of the width and height of the picture's file, not of what was decoded.
    """
    width, height = (max(1, round(side * factor)) for side in picture.size)
    # The last decoded pixel may cover fewer than the others.
    box = (0.0, 0.0, picture.size[0] / picture.shrunk, picture.size[1] / picture.shrunk)
    # `reducing_gap` averages whole blocks of a large image first.
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)


@dataclass(frozen=True, eq=False)
class Level:
    """The features of a batch of images at one resolution.

    Attributes:
        maps: ``(B, 31, h, w)``, 0 outside the image.
        scale: ``(2,)``: pixels of this level for one of the grey images, along x and y.
    """

    maps: Tensor
    scale: tuple[float, float]


def batches(images: Sequence[GreyImage], most: int) -> Iterator[list[int]]:
    """Indices of at most ``most`` images of about one shape at a time, so that little of their common canvas is empty."""
    order = sorted(range(len(images)), key=lambda i: images[i].pixels.shape)
    part: list[int] = []
    for i in order:
        same = part and np.abs(np.subtract(images[part[0]].pixels.shape, images[i].pixels.shape)).max() <= 16
        if part and (len(part) == most or not same):
            yield part
            part = []
        part.append(i)
    if part:
        yield part


def pyramid(images: Sequence[GreyImage], *, cell: int, step: float, smallest: int, device: torch.device) -> Iterator[Level]:
    """Feature maps of a batch, each level ``step`` times smaller than the one before.

    Args:
        images: of about one size.
        cell: side of a cell in pixels.
        step: ratio of successive levels.
        smallest: lower bound of a level's shorter side in pixels; the first level is yielded whatever its size.
        device: where to compute.
    """
    extents = np.array([image.pixels.shape for image in images])
    canvas = _canvas(images, np.maximum(extents.max(axis=0), cell)).to(device).float().div_(255)[:, None]
    full = np.array(canvas.shape[-2:])
    for level in range(64):
        height, width = np.rint(full * step**-level).astype(int)
        if level and min(height, width) < max(smallest, cell):
            return
        if (height, width) != tuple(canvas.shape[-2:]):
            canvas = F.interpolate(canvas, (int(height), int(width)), mode="bilinear", antialias=True)
        maps = hog(canvas[:, 0], cell)
        scale = (float(width / full[1]), float(height / full[0]))
        yield Level(_cut(maps, extents * np.array(scale[::-1]), cell), scale)


def _canvas(images: Sequence[GreyImage], size: Array) -> Tensor:
    """All images on canvases of one size, in their upper left corner, with their edges repeated beyond."""
    canvas = np.empty((len(images), *size), np.uint8)
    for place, image in zip(canvas, images, strict=True):
        (rows, columns), pixels = size - image.pixels.shape, image.pixels
        place[:] = np.pad(pixels, ((0, rows), (0, columns)), mode="edge") if rows or columns else pixels
    return torch.from_numpy(canvas)


def _cut(maps: Tensor, extents: Array, cell: int) -> Tensor:
    """Set cells whose centre lies outside their image to 0."""
    rows = torch.as_tensor(extents[:, 0] / cell, dtype=maps.dtype, device=maps.device)
    columns = torch.as_tensor(extents[:, 1] / cell, dtype=maps.dtype, device=maps.device)
    row = torch.arange(maps.shape[2], device=maps.device) + 0.5
    column = torch.arange(maps.shape[3], device=maps.device) + 0.5
    inside = (row < rows[:, None])[:, :, None] & (column < columns[:, None])[:, None, :]
    return maps * inside[:, None]
