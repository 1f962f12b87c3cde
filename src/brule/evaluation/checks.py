"""Checks of what is measured; each returns the checked value in one form. Errors are :class:`DataError`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from brule.arrays import Array
from brule.errors import DataError


def check_points(points: ArrayLike, what: str) -> Array:
    """Landmarks ``(B, N, 2)`` as float64, at least one of one image."""
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 3 or array.shape[2] != 2 or 0 in array.shape:
        raise DataError(f"{what} must be (images, landmarks, 2) with at least one of each, got the shape {array.shape}.")
    return array


def check_truth(truth: ArrayLike) -> Array:
    """The truth with both coordinates of a missing point NaN."""
    array = check_points(truth, "truth")
    if np.isinf(array).any():
        raise DataError(f"truth holds infinite coordinates in {listed(np.flatnonzero(np.isinf(array).any(axis=(1, 2))))}.")
    missing = np.asarray(np.isnan(array).any(axis=2))
    empty = np.flatnonzero(missing.all(axis=1))
    if len(empty):
        raise DataError(f"all landmarks are missing in {listed(empty)}: leave images without truth out.")
    return np.where(missing[:, :, None], np.nan, array) if missing.any() else array


def check_finite(prediction: Array, needed: Array) -> None:
    """Refuse a prediction ``(B, N, 2)`` that isn't finite where it is needed, ``(B, N)``."""
    bad = np.flatnonzero((needed & ~np.isfinite(prediction).all(axis=2)).any(axis=1))
    if len(bad):
        raise DataError(f"the prediction is NaN or infinite in {listed(bad)}: every landmark needs finite coordinates.")


def check_distance(distance: ArrayLike, n: int) -> Array:
    """The distance that errors are divided by, positive, one for each of ``n`` images."""
    array = np.asarray(distance, dtype=np.float64)
    if array.ndim > 1 or (array.ndim == 1 and len(array) != n):
        raise DataError(f"distance must be a number or one for each of the {n} images, got the shape {array.shape}.")
    array = np.broadcast_to(array, (n,)).copy()
    bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    if len(bad):
        raise DataError(f"the distance is zero, negative or not finite in {listed(bad)}: errors can't be divided by it.")
    return array


def check_errors(errors: ArrayLike) -> Array:
    """One finite number for each image, ``(B,)`` float64."""
    array = np.asarray(errors, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise DataError(f"expected one finite number for each image, got the shape {array.shape} or NaN among them.")
    return array


def check_names(names: Sequence[str] | None, count: int) -> tuple[str, ...] | None:
    """Names of landmarks, one for each of ``count``; ``None`` if they have none."""
    if names is not None and len(names) != count:
        raise DataError(f"landmark_names: expected a name for each of {count} landmarks, got {len(names)}.")
    return None if names is None else tuple(names)


def listed(indices: Array) -> str:
    """Images by index, for a message: the first five, and how many more."""
    shown = ", ".join(str(i) for i in indices[:5])
    more = f" and {len(indices) - 5} more" if len(indices) > 5 else ""
    return f"image{'s' if len(indices) > 1 else ''} {shown}{more} (counted from 0)"
