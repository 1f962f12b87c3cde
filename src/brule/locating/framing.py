"""Framing: the sizes and positions of the annotated objects in their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from brule.arrays import Array
from brule.data import Box
from brule.errors import DataError
from brule.locating.places import from_boxes

_ASSUMED = np.array([0.15, 0.15, 0.4])  # standard deviation of x, y and log size before any annotated image is seen
_PRIOR_WEIGHT = 3.0  # annotated objects that the assumption counts for
CERTAIN = 2.0  # log odds from which a detection counts as an object: among several, their places decide
ANYWHERE = 0.02  # share of objects that are anywhere, whatever the annotated ones show


class Density(NamedTuple):
    """Student t densities of x, y and log size: location ``(3,)``, squared scale ``(3,)``, degrees of freedom."""

    mean: Array
    scale: Array
    degrees: float


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
        images: how many annotated objects this was learnt from (the name is that of the stored key).
        variance: variance of x, of y, and of the logarithm of the size, about the medians; empty where unknown, as in
            detectors of earlier versions.

    Raises:
        ValueError: a value is no finite number or out of range.
    """

    smallest: float
    typical: float
    largest: float
    x: float
    y: float
    aspect: float
    images: int
    variance: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        plain = (self.smallest, self.typical, self.largest, self.x, self.y, self.aspect, self.images)
        if not all(isinstance(one, Real) and abs(one) < np.inf for one in plain):
            raise ValueError(f"framing: expected finite numbers, got {plain}")
        if min(self.smallest, self.typical, self.largest, self.aspect) <= 0 or self.images < 1:
            raise ValueError(f"framing: expected sizes and an aspect ratio above 0, and 1 object or more, got {self}")
        variance = tuple(map(float, self.variance))  # JSON has only lists
        if len(variance) not in (0, 3) or not all(0 <= one < np.inf for one in variance):
            raise ValueError(f"framing: expected three variances of 0 or more, or none, got {list(self.variance)}")
        object.__setattr__(self, "variance", variance)

    def describe(self) -> str:
        """How large the objects are, in words."""
        low, high = round(100 * self.smallest), round(100 * self.largest)
        span = f"{low}" if low == high else f"{low}–{high}"
        return f"your {self.images} annotated objects fill {span} % of the longer side of their images"

    def box(self, width: int, height: int) -> Box:
        """The likeliest box in an image of which nothing else is known: typical size at the typical position, in pixels."""
        side = self.typical * max(width, height)
        w, h = (side, side / self.aspect) if self.aspect >= 1 else (side * self.aspect, side)
        x, y = self.x * width - 0.5, self.y * height - 0.5
        return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)

    def usualness(self, boxes: Array, sizes: Array) -> Array:
        """How usual places and sizes of objects are: log density minus its maximum; 0 at most, and about -4 at least.

        With little to learn from, the variances are uncertain: a Student t density for each of x, y and log size, the
        posterior predictive of a normal one with a scaled inverse chi-squared prior (Gelman et al., Bayesian Data Analysis,
        §3.3).

        Args:
            boxes: ``(M, 4)`` in pixels.
            sizes: ``(M, 2)``: width and height of the image of each.

        Returns:
            ``(M,)``; zeros where the variances are unknown.
        """
        density = self.density
        if density is None:
            return np.zeros(len(boxes))
        measured = _measured(from_boxes(boxes), np.reshape(sizes, (-1, 2)))
        away = (np.column_stack([measured[:, :2], np.log(measured[:, 2])]) - density.mean) ** 2 / density.scale
        near = np.exp(-(density.degrees + 1) / 2 * np.log1p(away / density.degrees).sum(axis=1))
        return np.log((1 - ANYWHERE) * near + ANYWHERE)

    @property
    def density(self) -> Density | None:
        """The density of :meth:`usualness`, if the variances are known."""
        if not self.variance:
            return None
        degrees = _PRIOR_WEIGHT + self.images - 1
        scale = (_PRIOR_WEIGHT * _ASSUMED**2 + self.images * np.array(self.variance)) / degrees * (1 + 1 / self.images)
        return Density(np.array([self.x, self.y, np.log(self.typical)]), scale, degrees)

    @property
    def fills(self) -> bool:
        """Whether objects fill their images so much that nothing needs to be found."""
        return self.smallest >= 0.6

    def facts(self) -> dict[str, Any]:
        """The framing as JSON values; ``Framing(**facts)`` reads them."""
        return asdict(self)


def learn_framing(boxes: Array | Sequence[Box], sizes: Array | Sequence[tuple[int, int]]) -> Framing:
    """Learn the framing from annotated boxes.

    Args:
        boxes: ``(K, 4)`` in pixels: left, top, right, bottom.
        sizes: ``(K, 2)``: width and height of the image of each.

    Raises:
        DataError: there is no box, a box isn't finite, or the numbers of boxes and sizes differ.
    """
    places, extent = from_boxes(np.asarray(boxes)), np.asarray(sizes, dtype=np.float64).reshape(-1, 2)
    if len(places) == 0 or len(places) != len(extent):
        raise DataError(f"framing: expected one image size for each of one or more boxes, got {len(extent)} for {len(places)}")
    if not np.isfinite(places).all():
        raise DataError("framing: expected boxes of finite numbers, got NaN or infinity")
    measured = _measured(places, extent)
    relative, (x, y) = measured[:, 2], np.median(measured[:, :2], axis=0)
    away = np.column_stack([measured[:, :2] - (x, y), np.log(relative / np.median(relative))])
    aspect = np.exp(np.median(np.log(np.maximum(places[:, 2], 1e-6) / np.maximum(places[:, 3], 1e-6))))
    return Framing(
        smallest=float(relative.min()), typical=float(np.median(relative)), largest=float(relative.max()),
        x=float(x), y=float(y), aspect=float(aspect), images=len(places),
        variance=tuple((away**2).mean(axis=0)),
    )  # fmt: skip


def _measured(places: Array, extent: Array) -> Array:
    """``(M, 3)``: centre over width and height of the image, and the longer side over that of the image."""
    side = np.maximum(places[:, 2:4].max(axis=1), 1e-6) / extent.max(axis=1)
    return np.column_stack([(places[:, :2] + 0.5) / extent, side])
