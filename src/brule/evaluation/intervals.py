"""How far a figure may be off because of the choice of images: 95 % bootstrap intervals."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from brule.arrays import Array
from brule.errors import DataError
from brule.evaluation.checks import check_errors

CONFIDENCE = 0.95
RESAMPLES = 2000
INTERVAL = f"{100 * CONFIDENCE:g} % percentile bootstrap over images, {RESAMPLES} resamples, seed 0"  # in words, for files
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


def ced_band(errors: ArrayLike, grid: ArrayLike) -> tuple[Array, Array]:
    """The confidence band of the CED: the interval of the share of images with an error of at most x, at each x.

    Args:
        errors: ``(B,)`` in percent.
        grid: the x, ``(G,)``, in percent.

    Returns:
        Its lower and its upper end, ``(G,)`` each, from a bootstrap over the images.
    """
    within = check_errors(errors)[:, None] <= np.asarray(grid)  # (B, G)
    found = np.array(mean_estimates(within))
    return found[:, 1], found[:, 2]


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

    def means(chosen: Array) -> Array:
        counts = _counts(np.atleast_2d(chosen), len(table))
        totals = counts @ weights
        return np.divide(counts @ filled, totals, out=np.full(totals.shape, np.nan), where=totals > 0).T

    mean = means(np.arange(len(table)))[:, 0]
    low, high = _ends(_resampled(means, len(table), n, seed=seed), confidence)
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
    low, high = _ends(_resampled(statistic, count, n, seed=seed)[None], confidence)
    return Estimate(value, float(low[0]), float(high[0]))


def _resampled(statistic: Callable[[Array], Array], count: int, n: int, *, seed: int) -> Array:
    """A statistic of ``n`` samples with replacement from ``count`` images: ``(…, n)``."""
    if count == 1:
        return np.repeat(statistic(np.zeros((1, 1), dtype=np.int64)), n, axis=-1)
    from scipy.stats import bootstrap

    def on_axis(chosen: Array, axis: int) -> Array:
        return statistic(chosen)

    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the standard error of what is NaN, which nobody asks for
        found = bootstrap(
            (np.arange(count),), on_axis, vectorized=True, n_resamples=n, batch=max(1, _CHUNK // count),
            method="percentile", random_state=np.random.default_rng(seed),
        )  # fmt: skip
    return found.bootstrap_distribution


def _counts(chosen: Array, count: int) -> Array:
    """How often each image was drawn, ``(R, count)``."""
    rows = len(chosen)
    flat = (chosen + count * np.arange(rows)[:, None]).ravel()
    return np.bincount(flat, minlength=rows * count).reshape(rows, count).astype(np.float64)


def _ends(drawn: Array, confidence: float) -> Array:
    """The quantiles ``(2, K)`` of ``(K, n)`` resampled values, NaN among them passed over."""
    if not 0 < confidence < 1:
        raise DataError(f"confidence must lie between 0 and 1, got {confidence}: 0.95 is usual.")
    ends = np.full((2, len(drawn)), np.nan)
    some = np.isfinite(drawn).any(axis=1)
    ends[:, some] = np.nanquantile(drawn[some], [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    return ends
