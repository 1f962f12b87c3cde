"""How far a figure may be off because other images might have been drawn: 95 % bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from brule.errors import DataError
from brule.evaluation.checks import Array, check_errors

CONFIDENCE = 0.95
RESAMPLES = 2000
_CHUNK = 2_000_000  # numbers at a time: all resamples of a large data set at once would take gigabytes


class Estimate(NamedTuple):
    """A figure and its 95 % bootstrap interval over images; NaN where nothing could be computed."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    values: ArrayLike, *, confidence: float = CONFIDENCE, n: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean.

    Args:
        values: ``(B,)``, one for each image.
        confidence: the share of resampled means that lies inside.
        n: how many times the images are resampled.
        seed: the same seed gives the same interval.

    Returns:
        Its lower and upper end.

    Raises:
        DataError: no values, values that aren't finite, or a confidence outside 0 … 1.
    """
    (found,) = mean_estimates(check_errors(values)[:, None], confidence=confidence, n=n, seed=seed)
    return found.low, found.high


def mean_estimates(values: ArrayLike, *, confidence: float = CONFIDENCE, n: int = RESAMPLES, seed: int = 0) -> list[Estimate]:
    """The mean of each column with its interval; whole images are drawn, so the columns stay together.

    Args:
        values: ``(B, K)``; NaN takes no part in its column's means.
        confidence: the share of resampled means that lies inside.
        n: how many times the images are resampled.
        seed: the same seed gives the same intervals.

    Returns:
        ``K`` estimates; all NaN for a column without any value.

    Raises:
        DataError: no images, infinite values, or a confidence outside 0 … 1.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not len(table) or np.isinf(table).any():
        raise DataError(f"expected one row of finite numbers for each image, got the shape {table.shape} or infinities.")
    present = np.isfinite(table)
    filled, weights = np.where(present, table, 0.0), present.astype(np.float64)

    def means(counts: Array) -> Array:
        totals = counts @ weights
        return np.divide(counts @ filled, totals, out=np.full(totals.shape, np.nan), where=totals > 0)

    drawn = np.concatenate([means(_counts(chosen, len(table))) for chosen in _resamples(len(table), n, seed)])
    low, high = _ends(drawn, confidence)
    mean = means(np.ones((1, len(table))))[0]
    return [Estimate(*(float(v) for v in row)) for row in zip(mean, low, high, strict=True)]


def estimate(
    statistic: Callable[[Array], Array], count: int, *, confidence: float = CONFIDENCE, n: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Any statistic with its interval.

    Args:
        statistic: indices of images ``(R, B)``, a row for each sample drawn → its value for each, ``(R,)``.
        count: the number of images.
        confidence: the share of resampled values that lies inside; resamples where the statistic is NaN are passed over.
        n: how many times the images are resampled.
        seed: the same seed gives the same interval.
    """
    value = float(statistic(np.arange(count)[None])[0])
    drawn = np.concatenate([statistic(chosen) for chosen in _resamples(count, n, seed)])
    low, high = _ends(drawn[:, None], confidence)
    return Estimate(value, float(low[0]), float(high[0]))


def _resamples(count: int, n: int, seed: int) -> Iterator[Array]:
    """Indices of ``n`` samples with replacement, ``(R, count)`` at a time."""
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // count)
    for start in range(0, n, rows):
        yield generator.integers(count, size=(min(rows, n - start), count))


def _counts(chosen: Array, count: int) -> Array:
    """How often each image was drawn, ``(R, count)``."""
    rows = len(chosen)
    flat = (chosen + count * np.arange(rows)[:, None]).ravel()
    return np.bincount(flat, minlength=rows * count).reshape(rows, count).astype(np.float64)


def _ends(drawn: Array, confidence: float) -> Array:
    """The quantiles ``(2, K)`` of ``(n, K)`` resampled values, NaN among them passed over."""
    if not 0 < confidence < 1:
        raise DataError(f"confidence must lie between 0 and 1, got {confidence}: 0.95 is usual.")
    ends = np.full((2, drawn.shape[1]), np.nan)
    some = np.isfinite(drawn).any(axis=0)
    ends[:, some] = np.nanquantile(drawn[:, some], [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return ends
