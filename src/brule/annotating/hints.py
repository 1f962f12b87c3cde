"""What may be wrong with an annotation: hints for the person, from the shape alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from brule.annotating.statistics import ShapeStatistics, similarity
from brule.annotating.template import Contour, Template

_TOGETHER = 0.5  # pixels
_APART = 0.03  # radii: what is nearer than this in the mean shape may be in one place
_SWAPPED = 0.5  # of the misfit: what is left after left and right have changed places
_SHORTER = 0.85  # of the way along four points: what is left after the middle two have changed places
_FAR, _MIN_OFFSET, _MORE = 4.0, 0.12, 1.3  # standard deviations, and radii, that a point must be off; more than any before
_BENT = 0.25  # of the surprise at a landmark in another shape: what is less may be due to that shape
_MAX_FAR = 4  # landmarks that are said to be far; where more are, the whole shape differs
_OUTLIER = 3.0  # standard deviations
_JUDGED = 50  # shapes that say how much a landmark may surprise
_ENOUGH = 5  # shapes that say what is usual
_FEW = 40  # shapes; among more, one of them hardly changes mean and covariance
_MIN_SHAPES, _MIN_POINTS = 3, 5  # fewer show nothing: of the statistics, and of the shape in which pairs are tried

Pairs: TypeAlias = tuple[tuple[int, int], ...] | None


@dataclass(frozen=True)
class Hint:
    """Something that may be wrong.

    Args:
        code: ``exchanged``, ``coincident``, ``order``, ``outlier``, ``far``, ``box`` or ``outside``.
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
    size: tuple[int, int] | None = None,
    own: int | None = None,
) -> list[Hint]:
    """All hints on one annotation.

    Args:
        points: ``(N, 2)`` in pixels, NaN where nothing is placed.
        template: the landmarks.
        statistics: of the annotated images' shapes, if there are any.
        box: the object's box in pixels, if it has one.
        size: width and height of the image, if they are known.
        own: index of this image among the shapes of the statistics, which is then left out of them; None if it isn't one.

    Returns:
        The hints, the gravest kinds first.
    """
    usual = None if statistics is None else _usual(statistics, own)
    others = statistics if statistics is None or own is None else _without(statistics, own, template.pairs)
    found = exchanged(points, template, others)
    if not found:  # with left and right exchanged, every point is far from its place
        gross = None if statistics is None else partial(_gross, statistics, own, template.pairs)
        found += far(points, template, others, usual=usual, gross=gross)
        found += outlier(points, others, usual=usual)
    found += coincident(points, template, others)
    found += order(points, template, others)
    return found + tight(points, template, box) + outside(points, template, size)


@dataclass(frozen=True, eq=False)
class Usual:
    """What is usual among annotated shapes.

    Args:
        surprise: ``(N,)``, the largest surprise at each landmark, in standard deviations.
        misfits: ``(K,)``, the root-mean-square distance of each shape from the mean, in radii.
    """

    surprise: np.ndarray
    misfits: np.ndarray


def _usual(statistics: ShapeStatistics, own: int | None = None) -> Usual:
    """What is usual among the shapes, or among all but one of them."""
    surprises, misfits = _all_surprises(statistics), _all_misfits(statistics)
    if own is not None:
        misfits = np.delete(misfits, own)
        surprises = np.delete(surprises, own, axis=0) if own < len(surprises) else surprises
    return Usual(surprises.max(axis=0, initial=0.0), misfits[np.isfinite(misfits)])


@lru_cache(maxsize=4)
def _without(statistics: ShapeStatistics, own: int, pairs: Pairs) -> ShapeStatistics | None:
    """The statistics computed without one of their shapes; unchanged if there are too many shapes for it to matter."""
    if len(statistics.aligned) > _FEW:
        return statistics
    return ShapeStatistics.of(np.delete(statistics.aligned, own, axis=0), pairs=pairs)


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
        after = _misfit(single, statistics)
        apart = np.linalg.norm(points[a] - points[b]) * pose.scale
        if own is not None and after is not None and after < _SWAPPED * own and apart > 2 * _MIN_OFFSET:
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
            message = f"{contour.name}: the order along the contour looks wrong at {_named(involved, template)}"
            found.append(Hint("order", involved, message))
    return found


def far(
    points: np.ndarray,
    template: Template,
    statistics: ShapeStatistics | None,
    *,
    usual: Usual | None = None,
    gross: Callable[[], np.ndarray] | None = None,
) -> list[Hint]:
    """One landmark is far from where the other images, and the landmarks beside it, have it.

    Args:
        points: ``(N, 2)`` in pixels, NaN where nothing is placed.
        template: the landmarks.
        statistics: of other images' shapes.
        usual: among these shapes.
        gross: ``(N,)``, the largest surprise of each landmark that is far from its place in one of these shapes. It bends the
            statistics, so that the same landmark looks far from its place in correct shapes, too.
    """
    if statistics is None or len(statistics.aligned) < _MIN_SHAPES:
        return []
    found = _far(points, statistics, (usual or _usual(statistics)).surprise)
    if found and gross is not None:
        bent = _BENT * gross()
        found = {index: surprise for index, surprise in found.items() if surprise > bent[index]}
    return [Hint("far", (index,), f"{template.names[index]} is far from where other images have it") for index in found]


def _far(points: np.ndarray, statistics: ShapeStatistics, usual: np.ndarray) -> dict[int, float]:
    """The landmarks that are far from their place, the worst first, and their surprise given those that aren't."""
    found: dict[int, float] = {}
    rest = points.copy()
    while len(found) < _MAX_FAR and np.isfinite(rest).all(1).sum() >= 4:
        surprise, off = _surprises(rest, statistics)
        suspects = (surprise > np.maximum(_FAR, _MORE * usual)) & (off > _MIN_OFFSET)
        if not suspects.any():
            break
        worst = int(np.nanargmax(np.where(suspects, surprise, -np.inf)))
        found[worst] = float(surprise[worst])
        rest[worst] = np.nan
    return found


def _gross(statistics: ShapeStatistics, own: int | None, pairs: Pairs) -> np.ndarray:
    """``(N,)``: the largest surprise of each landmark that is far from its place in one of the shapes, but not in ``own``."""
    found = _all_gross(statistics, pairs)
    return (found if own is None else np.delete(found, own, axis=0)).max(axis=0, initial=0.0)


@lru_cache(maxsize=4)
def _all_gross(statistics: ShapeStatistics, pairs: Pairs) -> np.ndarray:
    """``(K, N)``: the surprise of each landmark that is far from its place in a shape, else 0; all 0 for many shapes."""
    found = np.zeros(statistics.aligned.shape[:2])
    for k, shape in enumerate(statistics.aligned if len(found) <= _FEW else ()):
        others = _without(statistics, k, pairs)
        if others is not None and len(others.aligned) >= _MIN_SHAPES:
            for index, surprise in _far(shape, others, _usual(statistics, k).surprise).items():
                found[k, index] = surprise
    return found


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
def _all_surprises(statistics: ShapeStatistics) -> np.ndarray:
    """``(J, N)``: the surprise at each landmark of the first annotated shapes; 0 where it is missing."""
    found = [_surprises(shape, statistics)[0] for shape in statistics.aligned[:_JUDGED]]
    return np.nan_to_num(np.array(found).reshape(-1, len(statistics.mean)))


@lru_cache(maxsize=4)
def _all_misfits(statistics: ShapeStatistics) -> np.ndarray:
    """``(K,)``: the misfit of each annotated shape; NaN where it has none."""
    found = [_misfit(shape, statistics) for shape in statistics.aligned]
    return np.array([np.nan if miss is None else miss for miss in found])


def outlier(points: np.ndarray, statistics: ShapeStatistics | None, *, usual: Usual | None = None) -> list[Hint]:
    """The whole shape is unlike the others."""
    if statistics is None or len(statistics.aligned) < _ENOUGH:
        return []
    own, others = _misfit(points, statistics), (usual or _usual(statistics)).misfits
    if own is None or own <= max(float(others.mean() + _OUTLIER * others.std()), 1.5 * float(others.max())):
        return []
    there = tuple(np.flatnonzero(np.isfinite(points).all(1)).tolist())
    return [Hint("outlier", there, "this shape is unlike those of the other images", "info")]


def tight(points: np.ndarray, template: Template, box: tuple[float, float, float, float] | None) -> list[Hint]:
    """Landmarks are outside the object's box."""
    if box is None:
        return []
    indices = _beyond(points, box)
    return [Hint("box", indices, f"the box is too tight: {_named(indices, template)} outside it")] if indices else []


def outside(points: np.ndarray, template: Template, size: tuple[int, int] | None) -> list[Hint]:
    """Landmarks are outside the image."""
    if size is None:
        return []
    indices = _beyond(points, (-0.5, -0.5, size[0] - 0.5, size[1] - 0.5))
    return [Hint("outside", indices, f"outside the image: {_named(indices, template)}")] if indices else []


def _beyond(points: np.ndarray, box: tuple[float, float, float, float]) -> tuple[int, ...]:
    """The landmarks outside a box."""
    left, top, right, bottom = box
    return tuple(np.flatnonzero((points < [left, top]).any(1) | (points > [right, bottom]).any(1)).tolist())


def _named(indices: Sequence[int], template: Template) -> str:
    """The names of some landmarks; of many, the first four."""
    return ", ".join(template.names[index] for index in indices[:4]) + (" …" if len(indices) > 4 else "")


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
