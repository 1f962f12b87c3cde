"""k-means, and the image nearest to each centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brule.errors import DataError

_RESTARTS = 8
_ROUNDS = 100


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
    """Images that stand for all.

    Attributes:
        indices: ``(n,)``, which ones, all different; that of the largest cluster first.
        sizes: ``(n,)``, how many images each one's cluster has.
        coverage: the mean distance from an image to the nearest chosen one.
    """

    indices: np.ndarray
    sizes: np.ndarray
    coverage: float


def k_means(points: np.ndarray, k: int, *, seed: int = 0) -> Clusters:
    """Lloyd's algorithm from k-means++ starts (Arthur & Vassilvitskii 2007); the best of several runs.

    Args:
        points: ``(B, D)``.
        k: how many centres, at most B.
        seed: of the starts.

    Raises:
        DataError: fewer points than centres, or a value isn't finite.
    """
    points = _checked(points, k)
    generator = np.random.default_rng(seed)
    return min((_lloyd(points, _start(points, k, generator)) for _ in range(_RESTARTS)), key=lambda found: found.cost)


def choose(descriptors: np.ndarray, n: int, *, seed: int = 0) -> Choice:
    """Choose n images that stand for all: of each of n clusters the one nearest to its centre.

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


def coverage(descriptors: np.ndarray, chosen: np.ndarray) -> float:
    """The mean distance from an image to the nearest chosen one: small if the choice stands for all.

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


def _start(points: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
    """Centres drawn one by one, each with a chance in proportion to its squared distance from those before."""
    chosen = [int(generator.integers(len(points)))]
    nearest = np.full(len(points), np.inf)
    for _ in range(1, k):
        nearest = np.minimum(nearest, _squared_distances(points, points[chosen[-1:]])[:, 0])
        nearest[chosen] = 0.0
        total = nearest.sum()
        chosen.append(int(generator.choice(len(points), p=nearest / total)) if total > 0 else int(chosen[0]))
    return points[chosen]


def _lloyd(points: np.ndarray, centres: np.ndarray) -> Clusters:
    labels = np.full(len(points), -1)
    for _ in range(_ROUNDS):
        squared = _squared_distances(points, centres)
        found = squared.argmin(axis=1)
        if np.array_equal(found, labels):
            break
        labels = found
        counts = np.bincount(labels, minlength=len(centres))
        sums = np.zeros_like(centres)
        np.add.at(sums, labels, points)
        # A centre that lost all its points stays where it was.
        centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
    squared = _squared_distances(points, centres)
    return Clusters(centres, squared.argmin(axis=1), float(squared.min(axis=1).mean()))
