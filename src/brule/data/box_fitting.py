"""Boxes of one kind made into boxes of another: crops for 68 landmarks where a data set has five."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from brule.data.samples import Box, Sample, landmark_box
from brule.errors import DataError

_FIVE = (range(36, 42), range(42, 48), (30,), (48,), (54,))  # 0-based, of the 68: eyes, tip of the nose, corners of the mouth
FEW, MANY = 5, 68


@dataclass(frozen=True)
class BoxFit:
    """One scale and one shift for all boxes of a data set.

    Attributes:
        scale: longer side of the wanted box over longer side of the given one.
        shift: ``(x, y)`` from the centre of the given box to that of the wanted one, in longer sides of the given one.
    """

    scale: float
    shift: tuple[float, float]

    @classmethod
    def between(cls, given: Sequence[Box], wanted: Sequence[Box]) -> BoxFit:
        """The mean scale (of logarithms) and shift between pairs of boxes.

        Args:
            given: boxes as a data set has them.
            wanted: of the same objects, in the same frames.

        Raises:
            DataError: there is no pair.
        """
        if not given or len(given) != len(wanted):
            raise DataError(f"expected pairs of boxes, got {len(given)} and {len(wanted)}")
        places = np.array([[_place(one) for one in pair] for pair in zip(given, wanted, strict=True)])  # (K, 2, x y side)
        side = places[:, 0, 2]
        x, y = ((places[:, 1, :2] - places[:, 0, :2]) / side[:, None]).mean(axis=0).tolist()
        return cls(float(np.exp(np.log(places[:, 1, 2] / side).mean())), (x, y))

    @classmethod
    def of_shapes(cls, shapes: Sequence[np.ndarray]) -> BoxFit:
        """From the box of five points of a face to that of its 68, as annotated shapes ``(68, 2)`` have them.

        Raises:
            DataError: there are no shapes, or they have other points.
        """
        if not len(shapes) or any(np.shape(one) != (MANY, 2) for one in shapes):
            raise DataError(f"expected shapes of {MANY} points each, in any frame")
        return cls.between([landmark_box(five_of(one)) for one in shapes], [landmark_box(one) for one in shapes])

    def __call__(self, box: Box) -> Box:
        """The wanted box of a given one, a square."""
        x, y, side = _place(box)
        half = 0.5 * self.scale * side
        x, y = x + self.shift[0] * side, y + self.shift[1] * side
        return (x - half, y - half, x + half, y + half)

    def describe(self) -> str:
        """In words."""
        return f"{self.scale:.3g} times as wide, shifted by ({self.shift[0]:+.3f}, {self.shift[1]:+.3f}) of the side"


def five_of(points: np.ndarray) -> np.ndarray:
    """68 landmarks ``(68, 2)`` → five, ``(5, 2)``: an eye's centre is the mean of its six points."""
    return np.stack([np.asarray(points)[list(indices)].mean(axis=0) for indices in _FIVE])


def fitted_sample(sample: Sample, fit: BoxFit, *, landmarks: int, five_only: bool) -> Sample:
    """A sample whose box is made into one for other landmarks than it has.

    Args:
        sample: one with as many landmarks as are wanted stays as it is, as does one without box and landmarks.
        fit: from its box, or that of its landmarks.
        landmarks: how many are wanted.
        five_only: the fit is from five landmarks: samples with another number stay as they are, and a box beside five
            landmarks doesn't count.
    """
    points = sample.points
    if points is not None and len(points) == landmarks:
        return sample
    five = points is not None and len(points) == FEW and bool(np.isfinite(points).all())
    if five_only and not five:
        return sample
    if points is not None and (five_only or sample.box is None) and np.isfinite(points).all(axis=1).any():
        return replace(sample, box=fit(landmark_box(points)))
    return sample if sample.box is None else replace(sample, box=fit(sample.box))


def _place(box: Box) -> tuple[float, float, float]:
    """Centre and longer side."""
    left, top, right, bottom = box
    return 0.5 * (left + right), 0.5 * (top + bottom), max(right - left, bottom - top)
