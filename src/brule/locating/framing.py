"""Framing: how large objects are in their images, and where, as the annotated images show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from brule.arrays import Array
from brule.data import Box
from brule.errors import DataError
from brule.locating.places import from_boxes


@dataclass(frozen=True)
class Framing:
    """Size and position of objects, relative to the longer side of their images.

    Attributes:
        smallest: the smallest longer side of a box, over the longer side of its image.
        typical: the median of it.
        largest: the largest.
        x: median horizontal position of the centre, 0 at the left edge of the image, 1 at the right.
        y: the same from top to bottom.
        aspect: median width over height of the boxes.
        images: how many objects this was learnt from.
    """

    smallest: float
    typical: float
    largest: float
    x: float
    y: float
    aspect: float
    images: int

    def describe(self) -> str:
        """One plain sentence for the user."""
        low, high = round(100 * self.smallest), round(100 * self.largest)
        span = f"{low}" if low == high else f"{low}–{high}"
        return f"in your {self.images} annotated images the object fills {span} % of the longer side"

    def box(self, width: int, height: int) -> Box:
        """The likeliest box in an image of which nothing else is known: typical size at the typical position, in pixels."""
        side = self.typical * max(width, height)
        w, h = (side, side / self.aspect) if self.aspect >= 1 else (side * self.aspect, side)
        x, y = self.x * width - 0.5, self.y * height - 0.5
        return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)

    @property
    def fills(self) -> bool:
        """Whether objects fill their images so much that nothing needs to be found."""
        return self.smallest >= 0.6

    def facts(self) -> dict[str, Any]:
        """The same as JSON values; ``Framing(**facts)`` reads them."""
        return asdict(self)


def learn_framing(boxes: Array | Sequence[Box], sizes: Array | Sequence[tuple[int, int]]) -> Framing:
    """Read the framing off annotated boxes.

    Args:
        boxes: ``(K, 4)`` in pixels.
        sizes: ``(K, 2)``: width and height of the image of each.

    Raises:
        DataError: no box, or as many sizes as boxes are not given.
    """
    places, extent = from_boxes(np.asarray(boxes)), np.asarray(sizes, dtype=np.float64).reshape(-1, 2)
    if len(places) == 0 or len(places) != len(extent):
        raise DataError(f"framing: expected one image size for each of one or more boxes, got {len(extent)} for {len(places)}")
    relative = places[:, 2:4].max(axis=1) / extent.max(axis=1)
    x, y = np.median((places[:, :2] + 0.5) / extent, axis=0)
    aspect = np.exp(np.median(np.log(np.maximum(places[:, 2], 1e-6) / np.maximum(places[:, 3], 1e-6))))
    return Framing(
        smallest=float(relative.min()), typical=float(np.median(relative)), largest=float(relative.max()),
        x=float(x), y=float(y), aspect=float(aspect), images=len(places),
    )  # fmt: skip
