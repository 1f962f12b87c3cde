"""Annotated images in memory, made smaller: what guesses are learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brule.coordinates import from_corner, to_corner
from brule.errors import BruleError


@dataclass(frozen=True, eq=False)
class Example:
    """An image that a guess can be learnt from, or made for.

    Args:
        grey: ``(H, W)`` uint8, the image made smaller.
        size: width and height of the image itself.
        points: ``(N, 2)`` in pixels of the image, NaN where one is missing; None where a guess is wanted.
    """

    grey: np.ndarray
    size: tuple[int, int]
    points: np.ndarray | None = None

    @property
    def factor(self) -> float:
        """Pixels of ``grey`` per pixel of the image."""
        return self.grey.shape[1] / self.size[0]

    def annotated(self) -> np.ndarray:
        """Its landmarks.

        Raises:
            BruleError: it has none.
        """
        if self.points is None:
            raise BruleError("guess: expected an annotated image")
        return self.points

    def to_grey(self, points: np.ndarray) -> np.ndarray:
        """Pixels of the image → pixels of ``grey``."""
        return from_corner(to_corner(points) * self.factor)

    def from_grey(self, points: np.ndarray) -> np.ndarray:
        """Pixels of ``grey`` → pixels of the image."""
        return from_corner(to_corner(points) / self.factor)


def mirrored(example: Example, pairs: Sequence[tuple[int, int]]) -> Example:
    """The mirror image of an annotated image, with left and right exchanged."""
    assert example.points is not None
    order = np.arange(len(example.points))
    for a, b in pairs:
        order[a], order[b] = b, a
    points = (np.array([example.size[0] - 1.0, 0.0]) + example.points * [-1.0, 1.0])[order]
    return Example(np.ascontiguousarray(example.grey[:, ::-1]), example.size, points)
