"""Cutting squares out of decoded images: any place, any angle, antialiased."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from brule.coordinates import box_edges
from brule.data.samples import Box, crop_box
from brule.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image that crops are cut out of; it may be decoded at a smaller size.

    Attributes:
        image: upright RGB.
        size: width and height of the upright image itself.
        shrunk: pixels of the image itself for one of ``image``.
    """

    image: Image.Image
    size: tuple[int, int]
    shrunk: float = 1.0

    def cut(self, box: Box, size: int, angle: float = 0.0) -> np.ndarray:
        """Cut a square out and bring it to ``size × size``, antialiased.

        Args:
            box: the square in pixels of the image itself; it may reach outside, where the edge is repeated.
            size: side of the result in pixels.
            angle: the square is turned by this many degrees about its centre, clockwise on the screen; the result is upright.

        Returns:
            ``(size, size, 3)`` uint8; the unit square of the result is the unit square of the turned box.

        Raises:
            ConfigError: ``size`` isn't positive.
        """
        if size < 1:
            raise ConfigError(f"expected a crop size of at least 1 pixel, got {size}")
        if not angle:
            return cut_square(self.image, box_edges(box), size, shrunk=self.shrunk)
        # An upright square that holds the turned one, at the same resolution; then only turning is left.
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        wide = math.ceil(size * (abs(c) + abs(s))) + 2
        around = cut_square(self.image, box_edges(crop_box(box, scale=wide / size)), wide, shrunk=self.shrunk)
        x0, y0 = (wide - size * (c - s)) / 2, (wide - size * (s + c)) / 2
        upright = Image.fromarray(around).transform(
            (size, size), Image.Transform.AFFINE, (c, -s, x0, s, c, y0), Image.Resampling.BICUBIC
        )
        return np.asarray(upright)


def cut_square(image: Image.Image, edges: Box, size: int, *, shrunk: float) -> np.ndarray:
    """Resample a box given from the image's corner, in units of ``1 / shrunk`` of the image's pixels."""
    if size < 1:
        raise ConfigError(f"expected a crop size of at least 1 pixel, got {size}")
    # Averaging whole blocks first keeps the work, and the memory of a box that reaches far outside, within bounds.
    block = int((edges[2] - edges[0]) / shrunk / (4 * size))
    if block >= 2:
        image, shrunk = image.reduce(block), shrunk * block
    left, top, right, bottom = (edge / shrunk for edge in edges)
    if left < 0 or top < 0 or right > image.width or bottom > image.height:
        image, x, y = _extended(image, (left, top, right, bottom))
        left, top, right, bottom = left - x, top - y, right - x, bottom - y
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, right, bottom)))


def _extended(image: Image.Image, edges: Box) -> tuple[Image.Image, int, int]:
    """The part of an image under a box, with the edge repeated outside, and the place of that part's corner."""
    # Two pixels more on each side than the box, for the filter.
    x0, y0 = math.floor(edges[0]) - 2, math.floor(edges[1]) - 2
    columns = np.clip(np.arange(x0, math.ceil(edges[2]) + 2), 0, image.width - 1)
    rows = np.clip(np.arange(y0, math.ceil(edges[3]) + 2), 0, image.height - 1)
    return Image.fromarray(np.asarray(image)[rows[:, None], columns[None, :]]), x0, y0
