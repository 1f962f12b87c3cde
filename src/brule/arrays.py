"""What several packages share about NumPy arrays: their type, means over present values, the CED."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray[Any, np.dtype[Any]]


def mean_of_present(values: Array, *, axis: int) -> Array:
    """The mean over the values that aren't NaN; NaN if all are."""
    present = np.isfinite(values)
    counts = present.sum(axis=axis)
    sums = np.where(present, values, 0.0).sum(axis=axis)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def share_at_most(values: Array, grid: ArrayLike) -> Array:
    """The empirical distribution function: for each x of ``grid``, the share of ``values (B,)`` that is at most x."""
    return np.searchsorted(np.sort(values), np.asarray(grid, dtype=np.float64), side="right") / len(values)


def evenly_spread(count: int, most: int) -> Array:
    """Up to ``most`` of the indices ``0 … count - 1``, evenly spread, in order."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
