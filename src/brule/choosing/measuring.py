"""Whether a choice of images is better than chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from brule.choosing.selection import coverage
from brule.errors import DataError


@dataclass(frozen=True)
class Against:
    """A figure of a choice beside that of random choices of as many images; smaller is better.

    Attributes:
        own: of the choice.
        random: the mean of the random ones.
        low: the 5th percentile of the random ones.
        high: the 95th.
        beaten: the share of the random ones that are worse.
    """

    own: float
    random: float
    low: float
    high: float
    beaten: float

    @classmethod
    def of(cls, own: float, others: ArrayLike) -> Against:
        """That of a figure and those of the random choices."""
        drawn = np.asarray(others, dtype=np.float64)
        low, high = np.percentile(drawn, (5, 95))
        return cls(own, float(drawn.mean()), float(low), float(high), float((drawn > own).mean()))


@dataclass(frozen=True)
class ChoiceScore:
    """How well chosen images represent all.

    Attributes:
        coverage: the mean distance from an image to the nearest chosen one, in the space of the descriptors.
        mean_shape: the mean distance of a landmark of the chosen images' mean shape from the mean shape of all, in percent of
            the crop's side; ``None`` without annotations.
        shape_coverage: the mean distance from an image's shape to the nearest chosen shape (root mean square over the
            landmarks), in the same unit; ``None`` without.
    """

    coverage: Against
    mean_shape: Against | None = None
    shape_coverage: Against | None = None


def measure_choice(
    descriptors: np.ndarray,
    chosen: np.ndarray,
    *,
    annotated: np.ndarray | None = None,
    shapes: np.ndarray | None = None,
    draws: int = 200,
    seed: int = 0,
) -> ChoiceScore:
    """Compare a choice with random ones.

    Args:
        descriptors: ``(B, D)`` of all images.
        chosen: ``(n,)`` indices.
        annotated: ``(m,)`` indices of images that are annotated already: they are added to the choice and to each random one.
        shapes: ``(B, N, 2)`` the true landmarks in the unit square of each crop; images with a NaN among them are left out.
        draws: how many random choices.
        seed: of these.

    Raises:
        DataError: shapes don't fit the images, or fewer than n of them are complete.
    """
    points, known = np.asarray(descriptors, dtype=np.float64), np.asarray([] if annotated is None else annotated, np.int64)
    generator = np.random.default_rng(seed)
    drawn = _draws(generator, np.arange(len(points)), known, count=len(chosen), draws=draws)
    covered = Against.of(coverage(points, _with(known, chosen)), [coverage(points, one) for one in drawn])
    if shapes is None:
        return ChoiceScore(covered)
    truth = np.asarray(shapes, dtype=np.float64)
    if truth.ndim != 3 or len(truth) != len(points):
        raise DataError(f"expected shapes ({len(points)}, N, 2), one for each image, got {truth.shape}")
    whole = np.flatnonzero(np.isfinite(truth).reshape(len(truth), -1).all(axis=1))
    own, known = np.flatnonzero(np.isin(whole, chosen)), np.flatnonzero(np.isin(whole, known))
    if len(own) == 0 or len(whole) < len(chosen):
        raise DataError(f"expected complete annotations of the chosen images, {len(own)} of {len(chosen)} have one")
    flat = 100 * truth[whole].reshape(len(whole), -1)
    among = _draws(generator, np.arange(len(whole)), known, count=len(own), draws=draws)
    scale = 1 / np.sqrt(truth.shape[1])  # from the length of a whole shape to the root mean square of a landmark
    own = _with(known, own)
    return ChoiceScore(
        covered,
        Against.of(_off(flat, own), [_off(flat, one) for one in among]),
        Against.of(scale * coverage(flat, own), [scale * coverage(flat, one) for one in among]),
    )


def _with(annotated: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return np.concatenate([annotated, chosen])


def _draws(
    generator: np.random.Generator, every: np.ndarray, annotated: np.ndarray, *, count: int, draws: int
) -> list[np.ndarray]:
    """Random choices among the images that aren't annotated, each with the annotated ones."""
    free = np.setdiff1d(every, annotated)
    return [_with(annotated, generator.choice(free, count, replace=False)) for _ in range(draws)]


def _off(flat: np.ndarray, chosen: np.ndarray) -> float:
    apart = flat[chosen].mean(axis=0) - flat.mean(axis=0)
    return float(np.linalg.norm(apart.reshape(-1, 2), axis=1).mean())
