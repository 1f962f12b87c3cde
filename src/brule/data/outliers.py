"""Shapes that differ from all others: left and right exchanged, two landmarks exchanged, one click far off.

Every shape is aligned with the median shape by the similarity (shift, rotation, size) with the smallest sum of distances, which
a few wrong landmarks don't move. What counts is a landmark's distance from its place there, relative to its usual distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brule.arrays import evenly_spread

MIN_SHAPES = 5  # fewer show no usual distance
MIN_LANDMARKS = 4  # a similarity has four parameters: it can lay any two landmarks on theirs
USUAL = 8.0  # times the usual distance of a landmark: farther is odd …
FAR = 0.35  # … if it is this part of the object's size, too: what differs less does no harm
MAX_SHAPES = 200  # that make the median shape
MAX_EXCHANGED = 500  # landmarks, up to which all pairs are tried for an exchange
MAX_NUMBERS = 1_000_000  # at a time, which bounds the memory
MAX_LISTED = 10

_CHUNK = 2000  # shapes at a time, which bounds the memory
_STEPS = 15  # of the reweighted fit
_FLOOR = 0.01  # of the object's size: a distance nobody clicks better than


@dataclass(frozen=True)
class OddShape:
    """A shape that differs from the others.

    Args:
        index: which one.
        what: what seems to be wrong with it, as the end of a sentence.
    """

    index: int
    what: str


def odd_shapes(shapes: Sequence[np.ndarray], *, names: Sequence[str] | None = None) -> list[OddShape]:
    """Find shapes that differ from the others by far more than these from each other.

    Args:
        shapes: ``(N, 2)`` each in any frame whose y points down, NaN where a landmark is missing. Those with another number of
            landmarks than the first are passed over.
        names: of the landmarks, for the texts; by default their indices.

    Returns:
        The odd ones, in their order; none if there are too few shapes or landmarks to tell.
    """
    if len(shapes) < MIN_SHAPES or len(shapes[0]) < MIN_LANDMARKS:
        return []
    chosen = [i for i, own in enumerate(shapes) if len(own) == len(shapes[0])]
    points = np.array([shapes[i] for i in chosen], dtype=np.float64)
    z = points[..., 0] + 1j * points[..., 1]
    chosen = [i for i, enough in zip(chosen, np.isfinite(z).sum(axis=1) >= MIN_LANDMARKS, strict=True) if enough]
    z = z[np.isfinite(z).sum(axis=1) >= MIN_LANDMARKS]
    common = np.isfinite(z).any(axis=0)
    if len(z) < MIN_SHAPES:
        return []
    z = z[:, common]
    median = _median_shape(z[evenly_spread(len(z), MAX_SHAPES)])
    distances = np.concatenate([_distances(z[start : start + _CHUNK], median) for start in range(0, len(z), _CHUNK)])
    usual = np.nanmedian(distances, axis=0)
    usual = np.maximum(np.maximum(usual, np.nanmedian(usual)), _FLOOR)  # of few shapes, some landmark is always close by chance
    limit = np.maximum(USUAL * usual, FAR)
    odd = np.flatnonzero((distances > limit).any(axis=1))
    called = [str(i) if names is None else names[i] for i in np.flatnonzero(common).tolist()]
    return [OddShape(chosen[k], _what(z[k], distances[k], median=median, limit=limit, names=called)) for k in odd.tolist()]


def odd_shape_remarks(shapes: Sequence[np.ndarray], labels: Sequence[str], *, names: Sequence[str] | None = None) -> list[str]:
    """A sentence for each odd shape, the first ten of them.

    Args:
        shapes: as for :func:`odd_shapes`.
        labels: what to call each shape.
        names: of the landmarks.
    """
    odd = odd_shapes(shapes, names=names)
    remarks = [f"{labels[one.index]} differs from the other {len(shapes) - 1} shapes: {one.what}" for one in odd[:MAX_LISTED]]
    more = len(odd) - MAX_LISTED
    return [*remarks, f"{more} more of the {len(shapes)} shapes differ as much"] if more > 0 else remarks


def _what(own: np.ndarray, distances: np.ndarray, *, median: np.ndarray, limit: np.ndarray, names: list[str]) -> str:
    """What seems to be wrong with an odd shape: of all small changes, the one with which it fits best."""
    far = np.flatnonzero(distances > limit)
    i, j = np.triu_indices(len(own), 1) if len(own) < MAX_EXCHANGED else (far[:0], far[:0])
    touched = np.isfinite(own[i]) & np.isfinite(own[j])
    if touched.sum() * len(own) > MAX_NUMBERS:
        touched &= np.isin(i, far) | np.isin(j, far)
    most = MAX_NUMBERS // len(own)
    i, j, left = i[touched][:most], j[touched][:most], (np.arange(len(own)) if len(own) < most else far)[:most]
    count = len(left)
    changed = np.repeat(own[None], count + len(i) + 1, axis=0)
    changed[np.arange(count), left] = np.nan  # without a landmark
    rows = count + np.arange(len(i))
    changed[rows, i], changed[rows, j] = own[j], own[i]
    changed[-1] = own.conj()  # mirrored
    found = _distances(changed, median)
    best = int(np.where((found > limit).any(axis=1), np.inf, _mean(found, axis=1)).argmin())
    if (found[best] > limit).any():
        worst = names[far[distances[far].argmax()]]
        return f"{len(far)} of its landmarks are far from where the others have them, most of all {worst!r}"
    if best < count:
        there = _laid(own[None], median, without=int(left[best]))[0, left[best]]
        share = f"{100 * abs(there - median[left[best]]):.0f} % of the object's size"
        return f"the landmark {names[left[best]]!r} is {share} from where the others have it; a wrong click?"
    if best == len(changed) - 1:
        return "mirrored, it fits; are left and right exchanged, or is the picture mirrored?"
    return f"the landmarks {names[i[best - count]]!r} and {names[j[best - count]]!r} seem to be exchanged"


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    return np.nansum(values, axis=axis) / np.maximum(np.isfinite(values).sum(axis=axis), 1)


def _median_shape(z: np.ndarray) -> np.ndarray:
    """The median of aligned shapes, centred, of size 1: ``(N,)`` complex."""
    candidates = z[evenly_spread(len(z), 15)]
    whole = [own for own in candidates if np.isfinite(own).all()] or [_filled(own) for own in candidates]
    shape = min((_normal(own) for own in whole), key=lambda own: float(np.nanmedian(_distances(z, own), axis=1).sum()))
    for _ in range(3):
        laid = _laid(z, shape)
        median = np.nanmedian(laid.real, axis=0) + 1j * np.nanmedian(laid.imag, axis=0)
        shape = _normal(np.where(np.isfinite(median), median, shape))
    return shape


def _filled(own: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(own), own, np.nanmean(own))


def _normal(z: np.ndarray) -> np.ndarray:
    z = z - z.mean()
    return z / max(float(np.sqrt((np.abs(z) ** 2).mean())), 1e-12)


def _distances(z: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """``(K, N)``: how far the landmarks of each shape are from those of one of size 1 that it is aligned with."""
    return np.abs(_laid(z, shape) - shape)


def _laid(z: np.ndarray, shape: np.ndarray, *, without: int | None = None) -> np.ndarray:
    """Shapes ``(K, N)`` aligned with one by the similarities with the smallest sums of distances (reweighted least squares).

    Args:
        z: the shapes.
        shape: the one they are aligned with.
        without: a landmark that doesn't count.
    """
    there = np.isfinite(z)
    own = np.where(there, z, 0)
    counts = there & (np.arange(z.shape[1]) != without)
    weight = counts.astype(np.float64)
    for _ in range(_STEPS):
        total = weight.sum(axis=1, keepdims=True)
        own_middle = (weight * own).sum(axis=1, keepdims=True) / total
        middle = (weight * shape).sum(axis=1, keepdims=True) / total
        x, y = own - own_middle, shape - middle
        spread = np.maximum((weight * np.abs(x) ** 2).sum(axis=1, keepdims=True), 1e-12)
        laid = (weight * x.conj() * y).sum(axis=1, keepdims=True) / spread * x + middle
        weight = counts / np.maximum(np.abs(laid - shape), _FLOOR)
    return np.where(there, laid, np.nan)
