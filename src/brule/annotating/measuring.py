"""Distances, angles and sizes between landmarks, and the intra-annotator agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationError

from brule.annotating.template import Index, Name, Strict

MAX_MEASURES = 200
_SIZE = "centroid_size"  # the column of the size, which is always measured


class Distance(Strict):
    """A distance between two landmarks.

    Args:
        name: what it is called.
        landmarks: from which to which.
    """

    name: Name
    landmarks: tuple[Index, Index]


class Angle(Strict):
    """An angle at the second of three landmarks.

    Args:
        name: what it is called.
        landmarks: the first arm's end, the vertex, the second arm's end.
    """

    name: Name
    landmarks: tuple[Index, Index, Index]


class Measurements(Strict):
    """What is measured in every image.

    Args:
        distances: between two landmarks.
        angles: at landmarks.
    """

    distances: Annotated[tuple[Distance, ...], Field(max_length=MAX_MEASURES)] = ()
    angles: Annotated[tuple[Angle, ...], Field(max_length=MAX_MEASURES)] = ()

    def twice(self) -> str | None:
        """A name that two measures have, or a measure and a column that is always there; None if there is none.

        Files of earlier versions of brule may hold such measures, so that it isn't refused when they are read.
        """
        measures: list[Distance | Angle] = [*self.distances, *self.angles]
        counts = Counter(one.name for one in measures)
        return next((name for name, count in counts.items() if count > 1 or name == _SIZE), None)

    @property
    def columns(self) -> list[str]:
        """The names of what :meth:`of` returns."""
        found = [f"{one.name}_{unit}" for one in self.distances for unit in ("px", "mm")]
        return [*found, *(f"{one.name}_deg" for one in self.angles), f"{_SIZE}_px", f"{_SIZE}_mm"]

    def of(self, points: np.ndarray, scale: float | None = None) -> list[float]:
        """The measures of one shape; NaN where a landmark is missing, or, of millimetres, where no scale is known.

        Args:
            points: ``(N, 2)`` in pixels.
            scale: millimetres per pixel.
        """
        per_pixel = np.nan if scale is None else scale
        lengths = [_distance(points, *one.landmarks) for one in self.distances]
        found = [value for length in lengths for value in (length, length * per_pixel)]
        size = centroid_size(points)
        return [*found, *(_angle(points, one.landmarks) for one in self.angles), size, size * per_pixel]


def remapped(content: Mapping[str, Any], kept: Sequence[int | None]) -> tuple[dict[str, Any], list[str]]:
    """Measures after a change of the landmarks.

    Args:
        content: of :class:`Measurements`, as a project's file holds it.
        kept: for each landmark after the change, which it was before; None for a new one.

    Returns:
        The measures, and the names of those that are gone, since they need a landmark that is. What makes no sense stays as
        it is.
    """
    try:
        own = Measurements.model_validate(content)
    except ValidationError:
        return dict(content), []
    place = {before: k for k, before in enumerate(kept) if before is not None}
    measures: list[Distance | Angle] = [*own.distances, *own.angles]
    gone = [one.name for one in measures if any(index not in place for index in one.landmarks)]
    left = own.model_copy(update={"distances": _moved(own.distances, place), "angles": _moved(own.angles, place)})
    return left.model_dump(mode="json") if content else {}, gone


def _moved(measures: Iterable[Distance | Angle], place: Mapping[int, int]) -> tuple[Distance | Angle, ...]:
    return tuple(
        one.model_copy(update={"landmarks": tuple(place[index] for index in one.landmarks)})
        for one in measures
        if all(index in place for index in one.landmarks)
    )


def centroid_size(points: np.ndarray) -> float:
    """The square root of the sum of squared distances of the landmarks from their centre (Bookstein 1991).

    Args:
        points: ``(N, 2)``.

    Returns:
        The size, in the unit of the points; NaN where a landmark is missing, since sizes of different landmarks don't compare.
    """
    if not len(points) or not np.isfinite(points).all():
        return float("nan")
    return float(np.sqrt(((points - points.mean(0)) ** 2).sum()))


@dataclass(frozen=True, eq=False)
class Repeat:
    """How far two annotations of the same images are apart, beside a detector.

    Args:
        images: that were annotated twice.
        repeat: ``(N,)`` mean distance of the two annotations at each landmark, in pixels; NaN where there is none.
        detector: ``(N,)`` mean distance of the detector from the mean of the two, on those of the images that it hasn't seen.
    """

    images: int
    repeat: np.ndarray
    detector: np.ndarray

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """As the page shows it."""
        rows = [
            {"name": name, "repeat_px": _rounded(own), "detector_px": _rounded(other)}
            for name, own, other in zip(names, self.repeat, self.detector, strict=True)
        ]
        means = {"repeat_px": _rounded(_mean(self.repeat)), "detector_px": _rounded(_mean(self.detector))}
        return {"images": self.images, "landmarks": rows, **means}


def repeat_error(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], detected: Mapping[str, np.ndarray], *, count: int
) -> Repeat:
    """An annotator's repeat error per landmark, beside a detector's.

    Args:
        first: ``(N, 2)`` in pixels by image, NaN where a landmark is missing.
        second: the second annotation of some of the images.
        detected: what a detector finds in images that it hasn't seen.
        count: N.
    """
    both = [image for image in second if image in first]
    apart = [np.linalg.norm(first[image] - second[image], axis=1) for image in both]
    off = [np.linalg.norm(detected[image] - (first[image] + second[image]) / 2, axis=1) for image in both if image in detected]
    return Repeat(len(both), _column_means(apart, count), _column_means(off, count))


def _distance(points: np.ndarray, a: int, b: int) -> float:
    return float(np.hypot(*(points[a] - points[b]))) if max(a, b) < len(points) else float("nan")


def _angle(points: np.ndarray, corners: tuple[int, int, int]) -> float:
    """In degrees, 0 to 180, at the second of three corners; NaN where an arm has no length."""
    a, vertex, b = corners
    if max(a, vertex, b) >= len(points):
        return float("nan")
    one, two = points[a] - points[vertex], points[b] - points[vertex]
    across, along = one[0] * two[1] - one[1] * two[0], one @ two
    if not (np.hypot(*one) > 0 and np.hypot(*two) > 0):
        return float("nan")
    return float(np.degrees(np.arctan2(abs(across), along)))


def _column_means(rows: Sequence[np.ndarray], count: int) -> np.ndarray:
    found = np.full(count, np.nan)
    if rows:
        stack = np.stack(rows)
        known = np.isfinite(stack).any(0)
        found[known] = np.nanmean(stack[:, known], axis=0)
    return found


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _rounded(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None
