"""Whether a detector's uncertainty is reliable: the order of its spreads against the order of its errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from brule.arrays import Array
from brule.errors import DataError
from brule.evaluation.checks import check_errors
from brule.evaluation.intervals import Estimate, estimate


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The mean error of the images that remain if the least certain ones are set aside.

    Attributes:
        coverage: ``(B,)``, the share of images kept: 1/B … 1.
        risk: ``(B,)``, the mean error of those with the smallest spread.
        oracle: ``(B,)``, the same if they were chosen by the error itself: no order does better.
        area: the mean of ``risk`` over the coverages.
        oracle_area: the mean of ``oracle``.
    """

    coverage: Array
    risk: Array
    oracle: Array
    area: float
    oracle_area: float


def rank_correlation(spread: ArrayLike, errors: ArrayLike) -> Estimate:
    """Spearman's rank correlation ρ of spread and error over images, with its interval; equal values share a mean rank.

    Args:
        spread: ``(B,)``, one for each image, in any unit: only the order counts.
        errors: ``(B,)``.

    Returns:
        Between −1 and 1; NaN with fewer than three images, or if one of the two is the same for all.
    """
    x, y = _paired(spread, errors)
    if len(x) < 3:
        return Estimate(np.nan, np.nan, np.nan)
    return estimate(lambda chosen: _spearman(x[chosen], y[chosen]), len(x))


def risk_coverage(spread: ArrayLike, errors: ArrayLike) -> RiskCoverage:
    """The curve of :class:`RiskCoverage`; images with the same spread stay in their order.

    Args:
        spread: ``(B,)``, one for each image, in any unit: only the order counts.
        errors: ``(B,)``.
    """
    x, y = _paired(spread, errors)
    kept = np.arange(1, len(y) + 1)
    risk = np.cumsum(y[np.argsort(x, kind="stable")]) / kept
    oracle = np.cumsum(np.sort(y)) / kept
    return RiskCoverage(
        coverage=kept / len(y), risk=risk, oracle=oracle, area=float(risk.mean()), oracle_area=float(oracle.mean())
    )


def _paired(spread: ArrayLike, errors: ArrayLike) -> tuple[Array, Array]:
    x, y = check_errors(spread), check_errors(errors)
    if len(x) != len(y):
        raise DataError(f"expected one spread for each of {len(y)} errors, got {len(x)}.")
    return x, y


def _spearman(x: Array, y: Array) -> Array:
    """ρ of each row of two ``(R, B)``."""
    from scipy.stats import rankdata

    a, b = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (rankdata(x, axis=1), rankdata(y, axis=1)))
    size = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.divide((a * b).sum(axis=1), size, out=np.full(len(a), np.nan), where=size > 0)
