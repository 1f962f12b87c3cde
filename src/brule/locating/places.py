"""Places of objects (oriented bounding boxes): from boxes and landmarks, their overlap, non-maximum suppression.

A place is a row ``(x, y, width, height, angle)``: the centre in pixels, the size of the box in the object's own upright
frame, and the angle in degrees by which the object is turned (clockwise on the screen). An upright object has angle 0, and
its place is its box.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brule.arrays import Array
from brule.data import landmark_box
from brule.errors import DataError

VOTE, NEAR = 4.0, 0.5  # how fast a vote falls with the margin; the least overlap of detections that vote
_ROUNDS = 5  # of generalised Procrustes analysis


def to_boxes(places: Array) -> Array:
    """Places ``(M, 5)`` → boxes ``(M, 4)``: left, top, right, bottom in pixels, in the object's upright frame."""
    half = places[:, 2:4] / 2
    return np.concatenate([places[:, :2] - half, places[:, :2] + half], axis=1)


def from_boxes(boxes: Array, angles: Array | None = None) -> Array:
    """Boxes ``(M, 4)`` and angles ``(M,)`` in degrees (default 0) → places ``(M, 5)``; the inverse of :func:`to_boxes`."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    turn = np.zeros(len(boxes)) if angles is None else np.asarray(angles, dtype=np.float64)
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([centre, size, turn[:, None]], axis=1)


def place_of(points: Array, angle: float = 0.0) -> Array:
    """The place ``(5,)`` of landmarks ``(N, 2)`` of an object that is turned by ``angle`` degrees.

    Raises:
        DataError: fewer than two distinct finite points.
    """
    upright = turned(np.asarray(points, dtype=np.float64), -angle)
    left, top, right, bottom = landmark_box(upright)
    centre = turned(np.array([[(left + right) / 2, (top + bottom) / 2]]), angle)[0]
    return np.array([*centre, right - left, bottom - top, angle])


def turned(points: Array, degrees: float | Array) -> Array:
    """Points ``(..., 2)`` turned about the origin by ``degrees``, a number or ``(...)``, clockwise on the screen."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    x, y = points[..., 0], points[..., 1]
    return np.stack([c * x - s * y, s * x + c * y], axis=-1)


def orientations(shapes: Sequence[Array]) -> Array:
    """By how much each shape is turned against the mean of all (generalised Procrustes analysis, rotations alone).

    Args:
        shapes: K arrays ``(N, 2)`` in pixels, in one index order, NaN where a landmark is missing.

    Returns:
        ``(K,)`` degrees in ``(-180, 180]``, clockwise on the screen; their circular mean is 0.

    Raises:
        DataError: the shapes don't have the same number of landmarks.
    """
    if not len(shapes):
        return np.empty(0)
    if len({len(shape) for shape in shapes}) > 1:
        raise DataError(f"expected shapes with one number of landmarks, got {sorted({len(shape) for shape in shapes})}")
    complex_shapes = np.array([_unit_complex(np.asarray(shape, dtype=np.float64)) for shape in shapes])
    mean = complex_shapes[np.argmax(np.isfinite(complex_shapes).sum(1))]
    for _ in range(_ROUNDS):
        turn = np.nansum(complex_shapes * np.nan_to_num(mean).conj(), axis=1)
        turn = np.where(np.abs(turn) > 1e-12, turn / np.maximum(np.abs(turn), 1e-12), 1.0)
        mean = np.nansum(complex_shapes * turn.conj()[:, None], axis=0)
    return np.rad2deg(np.angle(turn * (turn.sum() if abs(turn.sum()) > 1e-9 else 1.0).conjugate()))


def _unit_complex(shape: Array) -> Array:
    """``(N,)`` landmarks as complex numbers about their mean, of norm 1; NaN where one is missing."""
    shape = np.where(np.isfinite(shape).all(axis=1, keepdims=True), shape, np.nan)
    centred = shape - np.nanmean(shape, axis=0)
    size = np.sqrt(np.nansum(centred**2))
    return (centred[:, 0] + 1j * centred[:, 1]) / max(size, 1e-12)


def overlap(places: Array, other: Array) -> Array:
    """Intersection over union of the upright boxes of places ``(M, 5)`` with that of one place ``(5,)``: ``(M,)``.

    Angles are ignored: objects that overlap do so at any angle. Boxes without an area don't overlap.
    """
    low = np.maximum(places[:, :2] - places[:, 2:4] / 2, other[:2] - other[2:4] / 2)
    high = np.minimum(places[:, :2] + places[:, 2:4] / 2, other[:2] + other[2:4] / 2)
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union = places[:, 2:4].prod(axis=1) + other[2:4].prod() - shared
    return np.divide(shared, union, out=np.zeros(len(places)), where=union > 0)


def suppress(places: Array, scores: Array, *, most: int, share: float) -> Array:
    """Non-maximum suppression: the best places, none of which overlaps a better one by ``share`` or more.

    Args:
        places: ``(M, 5)``.
        scores: ``(M,)``.
        most: how many to keep at most.
        share: intersection over union from which the worse of two is removed.

    Returns:
        Indices of at most ``most`` places, in falling order of score.
    """
    kept: list[int] = []
    left = np.argsort(-scores, kind="stable")
    while len(left) and len(kept) < most:
        kept.append(int(left[0]))
        left = left[1:][overlap(places[left[1:]], places[left[0]]) < share]
    return np.array(kept, dtype=np.int64)


def voted(places: Array, scores: Array, best: int) -> Array:
    """The weighted mean of the detections around one of them: finer than the pyramid's levels and cells.

    Args:
        places: ``(M, 5)``.
        scores: ``(M,)`` margins; a detection's weight is ``exp(4 · margin)``.
        best: index of the detection in question; those with an intersection over union of 0.5 or more with it count.

    Returns:
        ``(5,)``: mean centre and size (the size by its logarithm); aspect ratio and angle of the detection in question.
    """
    near = overlap(places, places[best]) >= NEAR
    weights = np.exp(VOTE * (scores[near] - scores[best]))
    weights /= weights.sum()
    place = places[best].copy()
    place[:2] = weights @ places[near, :2]
    place[2:4] *= np.exp(weights @ np.log(places[near, 2] / place[2]))
    return place


def moved(places: Array, offset: Array) -> Array:
    """Places ``(M, 5)`` moved and resized.

    Args:
        places: ``(M, 5)``.
        offset: ``(3,)``: shift along the object's own two axes, over its longer side; logarithm of the scale.

    Returns:
        ``(M, 5)``; the angles are the same.
    """
    side = places[:, 2:4].max(axis=1, keepdims=True)
    centre = places[:, :2] + side * turned(np.broadcast_to(offset[:2], (len(places), 2)), places[:, 4])
    return np.concatenate([centre, places[:, 2:4] * np.exp(offset[2]), places[:, 4:]], axis=1)


def agrees(places: Array, truth: Array, *, shift: float = 0.25, scale: float = 1.3) -> Array:
    """Whether places are about right.

    Args:
        places: ``(M, 5)``.
        truth: ``(5,)`` or ``(M, 5)``.
        shift: largest distance of the centres, over the true longer side.
        scale: largest ratio of the longer sides, in either direction; the shorter sides are ignored, as by the crop rule.

    Returns:
        ``(M,)`` booleans.
    """
    side, true_side = places[:, 2:4].max(axis=-1), truth[..., 2:4].max(axis=-1)
    off = np.hypot(*(places[:, :2] - truth[..., :2]).T) / true_side
    ratio = side / true_side
    return (off <= shift) & (ratio <= scale) & (ratio >= 1 / scale)


def landmark_sides(shapes: Array) -> Array:
    """The longer sides ``(M,)`` of the boxes around landmarks ``(M, N, 2)``, of which missing ones are NaN."""
    return np.maximum((np.nanmax(shapes, axis=1) - np.nanmin(shapes, axis=1)).max(axis=1), 1e-9)
