"""Which of several predictions is better, tested on the same images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from brule.arrays import Array
from brule.errors import DataError
from brule.evaluation.checks import check_errors
from brule.evaluation.intervals import mean_estimates


@dataclass(frozen=True)
class PairedDifference:
    """How the errors of two predictions of the same images differ.

    Attributes:
        first: name of the one.
        second: name of the other.
        difference: mean over images of second − first, in the errors' unit: negative where the second is better.
        low: lower end of its 95 % interval; images are drawn, so each stays paired with itself.
        high: upper end of it.
        p_value: of the two-sided Wilcoxon signed-rank test: how likely so one-sided a list of differences would be if
            neither were better. 1 if all differences are zero.
        p_adjusted: the same after Holm's correction for the number of pairs tested.
        second_better: share of images on which the second's error is smaller.
        n: number of images.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    second_better: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


def compare_errors(errors: Mapping[str, ArrayLike]) -> list[PairedDifference]:
    """Test every pair of predictions.

    Args:
        errors: name → errors ``(B,)``, the images in the same order.

    Returns:
        One result for each pair, in the order of the names.

    Raises:
        DataError: fewer than two, different numbers of images, or NaN among the errors.
    """
    checked = {name: check_errors(values) for name, values in errors.items()}
    if len(checked) < 2 or len({len(values) for values in checked.values()}) > 1:
        counts = ", ".join(f"{name}: {len(values)}" for name, values in checked.items())
        raise DataError(f"expected errors of at least two predictions on the same images, got {counts or 'none'}.")
    pairs = list(combinations(checked, 2))
    gaps = [checked[second] - checked[first] for first, second in pairs]
    found = mean_estimates(np.stack(gaps, axis=1))
    raw = [_wilcoxon(gap) for gap in gaps]
    adjusted = holm(raw)
    return [
        PairedDifference(
            first=first, second=second, difference=mean, low=low, high=high, p_value=p, p_adjusted=q,
            second_better=float((gap < 0).mean()), n=len(gap),
        )
        for (first, second), (mean, low, high), p, q, gap in zip(pairs, found, raw, adjusted, gaps, strict=True)
    ]  # fmt: skip


def holm(p_values: ArrayLike) -> list[float]:
    """Holm's step-down correction: the chance of even one false alarm among all tests stays below the level.

    Args:
        p_values: ``(K,)``.

    Returns:
        The adjusted values in the same order, at most 1.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw)
    steps = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted.tolist()


def _wilcoxon(gap: Array) -> float:
    from scipy.stats import wilcoxon

    if not gap.any():
        return 1.0
    return float(wilcoxon(gap).pvalue)
