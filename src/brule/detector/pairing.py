"""Which annotations are of one object, and which prediction belongs to which annotation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from brule.arrays import Array
from brule.data import Sample


def annotated_objects(samples: Sequence[Sample], image: Array) -> Array:
    """``(n,)``: the object that each annotation is of, counted from 0; those of one image that lie in one place share it."""
    objects: list[int] = []
    firsts: dict[int, list[tuple[int, Sample]]] = defaultdict(list)  # of each image: its objects, by their first annotation
    count = 0
    for sample, own in zip(samples, image.tolist(), strict=True):
        shown = next((number for number, first in firsts[own] if _same_object(first, sample)), count)
        if shown == count:
            firsts[own].append((count, sample))
            count += 1
        objects.append(shown)
    return np.array(objects)


def matched_rows(points: Array, owner: Array, truth: Sequence[Sample], *, image: Array, objects: Array) -> Array:
    """For each annotation the row of its object's prediction: the pairing of least total distance in each image.

    Args:
        points: ``(M, N, 2)`` predicted landmarks in pixels of their images; those with a NaN are no predictions.
        owner: ``(M,)`` the image of each.
        truth: n annotations of N landmarks.
        image: ``(n,)`` the image of each.
        objects: ``(n,)`` the object of each, see :func:`annotated_objects`.

    Returns:
        ``(n,)``; -1 where no prediction is left for an object.
    """
    from scipy.optimize import linear_sum_assignment  # takes its time

    rows = np.full(len(image), -1)
    for k in np.unique(image):
        truths, predictions = np.flatnonzero(image == k), np.flatnonzero(owner == k)
        shown, member = np.unique(objects[truths], return_inverse=True)
        predictions = predictions[np.isfinite(points[predictions]).all(axis=(1, 2))]
        if not len(predictions):
            continue
        own = np.array([truth[t].points for t in truths.tolist()], dtype=np.float64)
        distance = np.nanmean(np.linalg.norm(own[:, None] - points[predictions][None], axis=3), axis=2)
        cost = np.array([distance[member == one].mean(axis=0) for one in range(len(shown))])
        for one, a in zip(*linear_sum_assignment(cost), strict=True):
            rows[truths[member == one]] = predictions[a]
    return rows


def annotated_again(one: Sample, other: Sample) -> bool:
    """Whether an object was annotated a second time, rather than its annotation read twice."""
    a, b, shared = _side_by_side(one, other)
    return bool(shared.any()) and not (one.path == other.path and np.array_equal(a, b, equal_nan=True))


def _same_object(one: Sample, other: Sample) -> bool:
    """Whether two annotations of an image mean the same object: their centres lie within a quarter of its size."""
    a, b, shared = _side_by_side(one, other)
    if not shared.any():
        return False
    side = float(np.ptp(a[shared], axis=0).max())
    return bool(np.linalg.norm(a[shared].mean(axis=0) - b[shared].mean(axis=0)) < 0.25 * max(side, 1.0))


def _side_by_side(one: Sample, other: Sample) -> tuple[Array, Array, Array]:
    """The landmarks of two annotations, and which of them both have."""
    a, b = np.asarray(one.points), np.asarray(other.points)
    return a, b, np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
