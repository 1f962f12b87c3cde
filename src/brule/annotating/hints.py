"""What may be wrong with an annotation: hints for the person, from the shape alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from brule.annotating.statistics import ShapeStatistics, similarity
from brule.annotating.template import Contour, Template

_TOGETHER = 0.5  # pixels
_APART = 0.03  # radii: what is nearer than this in the mean shape may be in one place
_SWAPPED = 0.5  # of the misfit: what is left after left and right have changed places
_SHORTER = 0.85  # of the way along four points: what is left after the middle two have changed places
_FAR, _MIN_OFFSET, _MORE = 4.0, 0.12, 1.3  # standard deviations, and radii, that a point must be off; more than any before
_MAX_FAR = 4  # landmarks that are said to be far; where more are, the whole shape differs
_OUTLIER = 3.0  # standard deviations
_JUDGED = 50  # shapes that say how much a landmark may surprise
_ENOUGH = 5  # shapes that say what is usual
_MIN_SHAPES, _MIN_POINTS = 3, 5  # fewer show nothing: of the statistics, and of the shape in which pairs are tried


@dataclass(frozen=True)
class Hint:
    """Something that may be wrong.

    Args:
        code: ``exchanged``, ``coincident``, ``order``, ``outlier``, ``far`` or ``box``.
        landmarks: which ones.
        message: for the person.
        severity: ``warning``, or ``info`` for what is often right.
    """

    code: str
    landmarks: tuple[int, ...]
    message: str
    severity: str = "warning"


def hints(
    points: np.ndarray,
    template: Template,
    statistics: ShapeStatistics | None = None,
    *,
    box: tuple[float, float, float, float] | None = None,
) -> list[Hint]:
    """All hints on one annotation.

    Args:
        points: ``(N, 2)`` in pixels, NaN where nothing is placed.
        template: the landmarks.
        statistics: of other images' shapes, if there are any.
        box: the object's box in pixels, if it has one.

    Returns:
        The hints, the gravest kinds first.
    """
    found = exchanged(points, template, statistics)
    if not found:  # with left and right exchanged, every point is far from its place
        found += far(points, template, statistics)
        found += outlier(points, statistics)
    found += coincident(points, template, statistics)
    found += order(points, template, statistics)
    return found + tight(points, template, box)


def exchanged(points: np.ndarray, template: Template, statistics: ShapeStatistics | None) -> list[Hint]:
    """Left and right have changed places: in the whole shape, or in single pairs."""
    if statistics is None or not template.pairs:
        return []
    swapped = np.arange(len(points))
    for a, b in template.pairs:
        swapped[a], swapped[b] = b, a
    members = [index for pair in template.pairs for index in pair if np.isfinite(points[index]).all()]
    own, other = _misfit(points, statistics), _misfit(points[swapped], statistics)
    if len(members) >= 4 and own is not None and other is not None and other < _SWAPPED * own and own > _MIN_OFFSET:
        return [Hint("exchanged", tuple(sorted(members)), "left and right look exchanged: compare with the finished shape")]
    pose = similarity(points, statistics.mean)
    if pose is None or np.isfinite(points).all(1).sum() < _MIN_POINTS:
        return []
    found = []
    for a, b in template.pairs:
        single = points.copy()
        single[[a, b]] = points[[b, a]]
        before, after = _misfit(points, statistics), _misfit(single, statistics)
        apart = np.linalg.norm(points[a] - points[b]) * pose.scale
        if before is not None and after is not None and after < _SWAPPED * before and apart > 2 * _MIN_OFFSET:
            names = f"{template.names[a]} and {template.names[b]}"
            found.append(Hint("exchanged", (a, b), f"{names} look exchanged"))
    return found


def coincident(points: np.ndarray, template: Template, statistics: ShapeStatistics | None = None) -> list[Hint]:
    """Two landmarks are in one place, though they aren't in other images."""
    there = np.flatnonzero(np.isfinite(points).all(1))
    apart = np.linalg.norm(points[there][:, None] - points[there][None], axis=-1)
    found = []
    for i, j in zip(*np.nonzero(np.triu(apart <= _TOGETHER, 1)), strict=True):
        a, b = int(there[i]), int(there[j])
        if statistics is None or np.linalg.norm(statistics.mean[a] - statistics.mean[b]) > _APART:
            found.append(Hint("coincident", (a, b), f"{template.names[a]} and {template.names[b]} are in one place"))
    return found


def order(points: np.ndarray, template: Template, statistics: ShapeStatistics | None = None) -> list[Hint]:
    """The landmarks along a contour are out of order: the line through them doubles back, or crosses itself."""
    found = []
    for contour in template.contours:
        wrong = _out_of_order(points, contour)
        if wrong and statistics is not None:
            wrong = [one for one in wrong if one not in _out_of_order(statistics.mean, contour)]
        if wrong:
            involved = tuple(sorted({index for one in wrong for index in one}))
            names = ", ".join(template.names[index] for index in involved[:4]) + (" …" if len(involved) > 4 else "")
            found.append(Hint("order", involved, f"{contour.name}: the order along the contour looks wrong at {names}"))
    return found


def far(points: np.ndarray, template: Template, statistics: ShapeStatistics | None) -> list[Hint]:
    """One landmark is far from where the other images, and the landmarks beside it, have it."""
    if statistics is None or len(statistics.aligned) < _MIN_SHAPES:
        return []
    usual = _usual_surprise(statistics)
    found: list[int] = []
    rest = points.copy()
    while len(found) < _MAX_FAR and np.isfinite(rest).all(1).sum() >= 4:
        surprise, off = _surprises(rest, statistics)
        suspects = (surprise > np.maximum(_FAR, _MORE * usual)) & (off > _MIN_OFFSET)
        if not suspects.any():
            break
        worst = int(np.nanargmax(np.where(suspects, surprise, -np.inf)))
        found.append(worst)
        rest[worst] = np.nan
    return [Hint("far", (index,), f"{template.names[index]} is far from where other images have it") for index in found]


def _surprises(points: np.ndarray, statistics: ShapeStatistics) -> tuple[np.ndarray, np.ndarray]:
    """How far each landmark is from where all others put it: in standard deviations, and in radii of the shape.

    Of a Gaussian with covariance Σ and a shape's residual r, landmark i misses its mean given the others by
    (Q_ii)⁻¹ (Q r)_i with the covariance (Q_ii)⁻¹, where Q = Σ⁻¹.
    """
    there = np.flatnonzero(np.isfinite(points).all(1))
    surprise, off = np.full(len(points), np.nan), np.full(len(points), np.nan)
    pose = similarity(points, statistics.mean)
    if pose is None or len(there) < 4:
        return surprise, off
    precision = _precision(statistics, tuple(there.tolist()))
    pulled = (precision @ (pose(points[there]) - statistics.mean[there]).ravel()).reshape(-1, 2)
    for k, index in enumerate(there):
        own = np.linalg.inv(precision[2 * k : 2 * k + 2, 2 * k : 2 * k + 2])
        miss = own @ pulled[k]
        surprise[index], off[index] = np.sqrt(max(pulled[k] @ miss, 0.0)), np.hypot(*miss)
    return surprise, off


@lru_cache(maxsize=8)
def _precision(statistics: ShapeStatistics, there: tuple[int, ...]) -> np.ndarray:
    """The inverse covariance of some landmarks, whose pose may be any."""
    mean = statistics.mean[list(there)]
    given = np.array([2 * index + axis for index in there for axis in (0, 1)])
    along = np.tile([1.0, 0.0], (len(mean), 1))
    moves = np.stack([along, along[:, ::-1], mean, mean[:, ::-1] * [-1, 1]]).reshape(4, -1)
    return np.linalg.inv(statistics.covariance()[np.ix_(given, given)] + moves.T @ moves)


@lru_cache(maxsize=4)
def _usual_surprise(statistics: ShapeStatistics) -> np.ndarray:
    """``(N,)``: the largest surprise at each landmark among the annotated shapes themselves."""
    found = [_surprises(shape, statistics)[0] for shape in statistics.aligned[:_JUDGED]]
    return np.nan_to_num(np.array(found)).max(axis=0, initial=0.0)


def outlier(points: np.ndarray, statistics: ShapeStatistics | None) -> list[Hint]:
    """The whole shape is unlike the others."""
    if statistics is None or len(statistics.aligned) < _ENOUGH:
        return []
    own = _misfit(points, statistics)
    usual = [miss for shape in statistics.aligned if (miss := _misfit(shape, statistics)) is not None]
    if own is None or own <= max(float(np.mean(usual) + _OUTLIER * np.std(usual)), 1.5 * max(usual)):
        return []
    there = tuple(np.flatnonzero(np.isfinite(points).all(1)).tolist())
    return [Hint("outlier", there, "this shape is unlike those of the other images", "info")]


def tight(points: np.ndarray, template: Template, box: tuple[float, float, float, float] | None) -> list[Hint]:
    """Landmarks are outside the object's box."""
    if box is None:
        return []
    left, top, right, bottom = box
    outside = (points < [left, top]).any(1) | (points > [right, bottom]).any(1)
    indices = tuple(np.flatnonzero(outside).tolist())
    if not indices:
        return []
    names = ", ".join(template.names[index] for index in indices[:4]) + (" …" if len(indices) > 4 else "")
    return [Hint("box", indices, f"the box is too tight: {names} outside it")]


def _misfit(points: np.ndarray, statistics: ShapeStatistics) -> float | None:
    """Root-mean-square distance from the mean shape after alignment, in units of its radius."""
    pose = similarity(points, statistics.mean)
    if pose is None:
        return None
    apart = np.linalg.norm(pose(points) - statistics.mean, axis=1)
    return float(np.sqrt(np.nanmean(apart**2)))


def _out_of_order(points: np.ndarray, contour: Contour) -> list[tuple[int, ...]]:
    """Neighbours that had better change places, and lines that cross."""
    along = [index for index in contour.points if np.isfinite(points[index]).all()]
    cyclic = contour.closed and len(along) == len(contour.points)
    found: list[tuple[int, ...]] = []
    ring = [*along, *along[:3]] if cyclic and len(along) > 4 else along
    for p, a, b, q in zip(ring, ring[1:], ring[2:], ring[3:], strict=False):
        before = _length(points, (p, a, b, q))
        if before > 0 and _length(points, (p, b, a, q)) < _SHORTER * before:
            found.append((min(a, b), max(a, b)))
    lines = list(pairwise([*along, along[0]] if cyclic else along))
    for i, one in enumerate(lines):
        found += [tuple(sorted((*one, *two))) for two in lines[i + 2 :] if not set(one) & set(two) and _cross(points, one, two)]
    return found


def _length(points: np.ndarray, way: Sequence[int]) -> float:
    return float(np.linalg.norm(np.diff(points[list(way)], axis=0), axis=1).sum())


def _cross(points: np.ndarray, one: tuple[int, int], two: tuple[int, int]) -> bool:
    a, b, c, d = (points[index] for index in (*one, *two))

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> float:
        return float((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
