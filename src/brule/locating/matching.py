"""Matching found objects with annotated ones: similarity of landmark sets, pairs, precision and recall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brule.arrays import Array
from brule.errors import DataError

KAPPA = 0.1  # COCO's lie between 0.05 (eyes) and 0.21 (hips)


def object_similarity(points: Array, truth: Array, *, kappa: float = KAPPA) -> Array:
    r"""Object keypoint similarity (OKS) of every found object with every annotated one.

    .. math:: \mathrm{OKS} = \frac{1}{|V|} \sum_{i \in V} \exp\Bigl(-\frac{d_i^2}{2 s^2 \kappa^2}\Bigr)

    with the distance ``d_i`` of landmark ``i`` and the annotated landmarks ``V``, as defined by COCO. ``s`` is the longer side
    of the annotated landmark box, instead of the square root of the object's area: landmarks on a line span no area.

    Args:
        points: ``(P, N, 2)``, found.
        truth: ``(T, N, 2)``, annotated; NaN where a landmark is missing.
        kappa: ``κ``: 0.1 gives 0.5 if all landmarks are off by 12 % of the longer side.

    Returns:
        ``(P, T)`` between 0 and 1; 0 for an annotation with fewer than two landmarks.

    Raises:
        DataError: the numbers of landmarks differ.
    """
    points, truth = np.asarray(points, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if points.ndim != 3 or truth.ndim != 3 or points.shape[1:] != truth.shape[1:] or points.shape[2] != 2:
        raise DataError(f"object similarity: expected (P, N, 2) and (T, N, 2), got {points.shape} and {truth.shape}")
    present: Array = np.isfinite(truth).all(axis=2)  # (T, N)
    low = np.where(present[..., None], truth, np.inf).min(axis=1, initial=np.inf)
    high = np.where(present[..., None], truth, -np.inf).max(axis=1, initial=-np.inf)
    side = np.where(present.sum(1) > 1, (high - low).max(axis=1, initial=-np.inf), np.nan)  # (T,)
    squares = ((points[:, None] - truth[None]) ** 2).sum(axis=3)  # (P, T, N)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.exp(-squares / (2 * (side * kappa) ** 2)[None, :, None])
    return np.nansum(np.where(present[None], each, 0.0), axis=2) / np.maximum(present.sum(1), 1)


def match_objects(similarity: Array, *, scores: Array | None = None, least: float = 0.5) -> Array:
    """Pair found objects with annotated ones, each at most once: by falling score, each takes the most similar that is left.

    Args:
        similarity: ``(P, T)``.
        scores: ``(P,)`` of the found objects; by default these are in falling order already.
        least: smallest similarity of a pair.

    Returns:
        ``(K, 2)``: indices of found and annotated object.
    """
    left = np.asarray(similarity, dtype=np.float64).copy()
    order = range(len(left)) if scores is None else np.argsort(-np.asarray(scores), kind="stable")
    pairs: list[tuple[int, int]] = []
    for found in order:
        if not left.shape[1]:
            break
        best = int(left[found].argmax())
        if left[found, best] >= least:
            pairs.append((int(found), best))
            left[:, best] = -np.inf
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


@dataclass(frozen=True)
class DetectionCounts:
    """How many objects were found, summed over images; the sum of two counts both.

    Attributes:
        matched: found objects that are paired with an annotated one.
        found: all found objects.
        annotated: all annotated objects.
    """

    matched: int = 0
    found: int = 0
    annotated: int = 0

    def __add__(self, other: DetectionCounts) -> DetectionCounts:
        """The counts of both."""
        return DetectionCounts(self.matched + other.matched, self.found + other.found, self.annotated + other.annotated)

    @property
    def precision(self) -> float:
        """Share of the found objects that are right; NaN if none was found."""
        return self.matched / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        """Share of the annotated objects that were found; NaN if none is annotated."""
        return self.matched / self.annotated if self.annotated else float("nan")


def count_detections(points: Array, truth: Array, *, scores: Array | None = None, least: float = 0.5) -> DetectionCounts:
    """Match the objects of one image by :func:`object_similarity`, and count.

    Args:
        points: ``(P, N, 2)``, found.
        truth: ``(T, N, 2)``, annotated.
        scores: ``(P,)``; by default the objects are in falling order already.
        least: smallest similarity of a pair.

    Raises:
        DataError: the numbers of landmarks differ.
    """
    if not len(points) or not len(truth):
        return DetectionCounts(0, len(points), len(truth))
    pairs = match_objects(object_similarity(points, truth), scores=scores, least=least)
    return DetectionCounts(len(pairs), len(points), len(truth))
