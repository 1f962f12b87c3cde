"""Which images represent all: by k-means, or one after the other in addition to those that are annotated already."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from brule.arrays import evenly_spread
from brule.errors import DataError

_RESTARTS = 8
_ROUNDS = 30
_MAX_COMPARED = 4000  # images, whose distances from each other take 128 MB


@dataclass(frozen=True, eq=False)
class Clusters:
    """What k-means found.

    Attributes:
        centres: ``(k, D)``.
        labels: ``(B,)``, the centre nearest to each point.
        cost: the mean squared distance of a point to its centre.
    """

    centres: np.ndarray
    labels: np.ndarray
    cost: float


@dataclass(frozen=True, eq=False)
class Choice:
    """Images that represent all.

    Attributes:
        indices: ``(n,)``, which ones, all different; that of the largest cluster first.
        sizes: ``(n,)``, how many images each one's cluster has.
        coverage: the mean distance from an image to the nearest chosen one.
    """

    indices: np.ndarray
    sizes: np.ndarray
    coverage: float


def k_means(points: np.ndarray, k: int, *, seed: int = 0) -> Clusters:
    """k-means from k-means++ starts (Arthur & Vassilvitskii 2007); the best of several runs.

    Args:
        points: ``(B, D)``.
        k: how many centres, at most B.
        seed: of the starts.

    Raises:
        DataError: fewer points than centres, or a value isn't finite.
    """
    points = _checked(points, k)
    distinct = np.unique(points, axis=0)
    if len(distinct) <= k:  # a centre for each, some more than once
        return _clusters(points, distinct[np.arange(k) % len(distinct)])
    from scipy.cluster.vq import kmeans2

    generator = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty")  # its centre stays where it was
        starts = (kmeans2(points, k, iter=_ROUNDS, minit="++", seed=generator)[0] for _ in range(_RESTARTS))
        return min((_clusters(points, centres) for centres in starts), key=lambda found: found.cost)


def choose(descriptors: np.ndarray, n: int, *, seed: int = 0) -> Choice:
    """Choose n images that represent all: from each of n clusters the one nearest to its centre.

    Args:
        descriptors: ``(B, D)``, see :mod:`brule.choosing.descriptors`.
        n: how many, at most B.
        seed: of the starts of k-means.

    Raises:
        DataError: fewer images than that, or a value isn't finite.
    """
    clusters = k_means(descriptors, n, seed=seed)
    sizes = np.bincount(clusters.labels, minlength=n)
    order = np.argsort(-sizes, kind="stable")
    squared = _squared_distances(np.asarray(descriptors, dtype=np.float64), clusters.centres)
    indices: list[int] = []
    for centre in order:
        squared[indices, centre] = np.inf  # twins of a chosen image may be nearest to a second centre
        indices.append(int(squared[:, centre].argmin()))
    chosen = np.array(indices)
    return Choice(chosen, sizes[order], coverage(descriptors, chosen))


def choose_next(descriptors: np.ndarray, n: int, *, annotated: np.ndarray, weights: np.ndarray | None = None) -> Choice:
    """Choose n images to annotate in addition to those that are annotated already.

    One after the other, always the image that most reduces the sum over all images of weight times the distance to the nearest
    image that is annotated or chosen (greedy facility location). An image is thus chosen if many images are similar to it, but
    not to any annotated one. Weights by uncertainty (as in CLUE, Prabhu et al. 2021) made no difference in the trial of
    ``docs/choosing.md``. Of more than 4,000 images, 4,000 are compared, evenly spread.

    Args:
        descriptors: ``(B, D)``, see :mod:`brule.choosing.descriptors`.
        n: how many, at most the number of images that aren't annotated.
        annotated: ``(m,)`` indices of the annotated images; none of them is chosen.
        weights: ``(B,)``, not negative: for example the detector's uncertainty. By default all images count the same.

    Returns:
        The images in the order in which they were chosen, the most useful first; ``sizes``: how many images each of them is the
        nearest one of; ``coverage``: of the annotated and the chosen images together.

    Raises:
        DataError: fewer images than that, a value isn't finite, or a weight is negative.
    """
    points, annotated = _checked(descriptors, 1), np.asarray(annotated, dtype=np.int64)
    free = np.setdiff1d(np.arange(len(points)), annotated)
    if not 1 <= n <= len(free):
        raise DataError(f"expected to choose 1 to {len(free)} images, as many as aren't annotated, got {n}")
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weights.shape != (len(points),) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise DataError(f"expected {len(points)} finite weights, none negative, one per image, got the shape {weights.shape}")
    free = free[evenly_spread(len(free), max(n, _MAX_COMPARED))]
    apart = np.sqrt(_squared_distances(points[free], points[free]))
    if len(annotated):
        start = np.sqrt(_squared_distances(points[free], points[annotated])).min(axis=1)
    else:
        start = np.full(len(free), apart.max())
    nearest, chosen = start.copy(), np.empty(0, dtype=np.int64)
    for _ in range(n):
        gains = weights[free] @ np.maximum(nearest[:, None] - apart, 0.0)
        gains[chosen] = -1.0
        chosen = np.append(chosen, gains.argmax())
        nearest = np.minimum(nearest, apart[:, chosen[-1]])
    own = apart[:, chosen].argmin(axis=1)[(apart[:, chosen].min(axis=1) < start) | np.isin(np.arange(len(free)), chosen)]
    return Choice(free[chosen], np.bincount(own, minlength=n), coverage(points, np.concatenate([annotated, free[chosen]])))


def coverage(descriptors: np.ndarray, chosen: np.ndarray) -> float:
    """The mean distance from an image to the nearest chosen one: small if the choice represents all.

    Args:
        descriptors: ``(B, D)``.
        chosen: ``(n,)`` indices.
    """
    points = np.asarray(descriptors, dtype=np.float64)
    return float(np.sqrt(_squared_distances(points, points[chosen]).min(axis=1)).mean())


def _checked(points: np.ndarray, k: int) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise DataError(f"expected finite descriptors (images, values), got the shape {points.shape} or NaN among them")
    if not 1 <= k <= len(points):
        raise DataError(f"expected to choose 1 to {len(points)} images, as many as there are, got {k}")
    return points


def _squared_distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """``(B, k)``."""
    cross = points @ centres.T
    return np.maximum((points**2).sum(axis=1)[:, None] - 2 * cross + (centres**2).sum(axis=1), 0.0)


def _clusters(points: np.ndarray, centres: np.ndarray) -> Clusters:
    squared = _squared_distances(points, centres)
    return Clusters(centres, squared.argmin(axis=1), float(squared.min(axis=1).mean()))
