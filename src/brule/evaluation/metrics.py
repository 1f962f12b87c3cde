"""The figures by which landmarks are judged: arrays in, numbers out; no models and no files.

Points are ``(B, N, 2)`` in any frame whose x and y have the same unit (pixels, or the unit square of a *square* crop);
prediction, truth and distances must share that frame. NaN in the truth means *missing* and takes no part in any figure.
Errors are in percent of the normalising distance; AUC and failure rate are shares between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.integrate import simpson

from brule.errors import DataError
from brule.transport import wasserstein1

Array = np.ndarray[Any, np.dtype[Any]]

LEFT_TO_RIGHT_EYE = (36, 45)  # the outer corners among the 68 ibug points, 0-based
PUPIL_POINTS = (slice(36, 42), slice(42, 48))
CED_STEP = 0.01  # percent of the distance: the sampling of the CED under the AUC, as menpofit's users set it (1e-4)


@dataclass(frozen=True)
class Scores:
    """What a set of predictions is worth, with the constant prediction (the floor) beside it.

    Attributes:
        nme: mean over images of the normalised mean error, percent.
        nme_low: lower end of the 95 % bootstrap interval of ``nme`` over images.
        nme_high: upper end of it.
        w1: mean permutation-free W₁ error, percent.
        auc_8: area under the CED up to 8 %, 0 to 1.
        fr_8: share of images with an error above 8 %.
        auc_10: area under the CED up to 10 %, 0 to 1.
        fr_10: share of images with an error above 10 %.
        floor_nme: ``nme`` of the constant prediction.
        floor_w1: ``w1`` of the constant prediction.
        n: number of images.
        normaliser: the name of the distance that all errors are divided by.
    """

    nme: float
    nme_low: float
    nme_high: float
    w1: float
    auc_8: float
    fr_8: float
    auc_10: float
    fr_10: float
    floor_nme: float
    floor_w1: float
    n: int
    normaliser: str

    def to_dict(self) -> dict[str, float | int | str]:
        """The fields as a plain dictionary, ready for JSON."""
        return asdict(self)


def score(prediction: ArrayLike, truth: ArrayLike, *, floor: ArrayLike, normaliser: str | ArrayLike = "auto") -> Scores:
    """Every figure of CONTRIBUTING, "Measuring honestly", for one set of predictions.

    Args:
        prediction: ``(B, N, 2)``.
        truth: ``(B, N, 2)``, same frame; NaN = missing.
        floor: ``(B, N, 2)``, the constant prediction's points in that frame (in pixels they differ from image to image).
        normaliser: as ``kind`` of :func:`normaliser`.

    Raises:
        DataError: shapes disagree, an image has no truth at all, or a distance is zero.
    """
    name, distance = _find_distance(truth, normaliser)
    errors = normalized_mean_error(prediction, truth, distance=distance)
    low, high = bootstrap_interval(errors)
    return Scores(
        nme=float(errors.mean()),
        nme_low=low,
        nme_high=high,
        w1=float(wasserstein1_error(prediction, truth, distance).mean()),
        auc_8=area_under_ced(errors, 8.0),
        fr_8=failure_rate(errors, 8.0),
        auc_10=area_under_ced(errors, 10.0),
        fr_10=failure_rate(errors, 10.0),
        floor_nme=float(normalized_mean_error(floor, truth, distance=distance).mean()),
        floor_w1=float(wasserstein1_error(floor, truth, distance).mean()),
        n=len(errors),
        normaliser=name,
    )


def normaliser(truth: ArrayLike, kind: str | ArrayLike = "auto") -> tuple[str, Array]:
    """The distance that the errors of each image are divided by, and its name for the output.

    Args:
        truth: ``(B, N, 2)``, NaN = missing.
        kind: ``auto`` (68 points: outer eye corners; 5 points: the eyes; otherwise the diagonal of the ground-truth box),
            ``outer-eye-corners``, ``pupils`` (68 points: the centres of the two eyes), ``eyes`` (the first two points),
            ``box-diagonal``, ``box-size`` (√(width · height)), or the distance itself: a number or ``(B,)``.

    Returns:
        The name, e.g. ``"outer eye corners"``, and the distances ``(B,)``.

    Raises:
        DataError: the kind is unknown or doesn't fit the number of points, or an image's distance is zero or missing.
    """
    points = _check_truth(truth)
    if not isinstance(kind, str):
        return "given distance", _check_distance(kind, len(points))
    if kind == "auto":
        kind = {68: "outer-eye-corners", 5: "eyes"}.get(points.shape[1], "box-diagonal")
    if kind not in _KINDS:
        raise DataError(f"unknown normaliser {kind!r}: expected auto, {', '.join(_KINDS)}, or a number.")
    needed, measure = _KINDS[kind]
    if needed is not None and points.shape[1] != needed and not (kind == "eyes" and points.shape[1] >= 2):
        raise DataError(
            f"normaliser {kind!r} needs {needed} points an image, got {points.shape[1]}: use 'auto' or 'box-diagonal'."
        )
    distance = measure(points)
    bad = np.flatnonzero(~(np.isfinite(distance) & (distance > 0)))
    if len(bad):
        raise DataError(
            f"normaliser {kind!r} is zero or missing in {_listed(bad)}: expected a positive distance; "
            "leave those images out or choose another normaliser, such as 'box-size' or a number."
        )
    return kind.replace("-", " "), distance


_find_distance = normaliser  # `score` has an argument of the same name


def normalized_mean_error(prediction: ArrayLike, truth: ArrayLike, *, distance: ArrayLike) -> Array:
    """NME (IOD where d is the outer eye corners): ``100 · mean_i ‖p_i − g_i‖ / d``, for each image.

    Args:
        prediction: ``(B, N, 2)``.
        truth: ``(B, N, 2)``; the mean runs over the points that aren't missing.
        distance: d, a number or ``(B,)``, same unit.

    Returns:
        ``(B,)`` in percent.

    Raises:
        DataError: shapes disagree, an image has no truth at all, a prediction isn't finite, or a distance isn't positive.
    """
    errors, present = _point_errors(prediction, truth, distance)
    return errors.sum(axis=1) / present.sum(axis=1)


def per_landmark_error(prediction: ArrayLike, truth: ArrayLike, *, distance: ArrayLike) -> Array:
    """The normalised error of each landmark, averaged over the images where it is present.

    Args and errors as :func:`normalized_mean_error`.

    Returns:
        ``(N,)`` in percent; NaN for a landmark that is missing everywhere.
    """
    errors, present = _point_errors(prediction, truth, distance)
    counts = present.sum(axis=0)
    return np.divide(errors.sum(axis=0), counts, out=np.full(len(counts), np.nan), where=counts > 0)


def wasserstein1_error(prediction: ArrayLike, truth: ArrayLike, distance: ArrayLike) -> Array:
    """The permutation-free error ``100 · W₁(prediction, truth) / d``, for each image.

    A point that is missing in the truth is dropped from both sets, so the figure is never above the NME. A prediction
    with another number of points than the truth keeps them all (it has no index to drop).

    Args:
        prediction: ``(B, M, 2)``.
        truth: ``(B, N, 2)``, NaN = missing.
        distance: d, a number or ``(B,)``, same unit.

    Returns:
        ``(B,)`` in percent.

    Raises:
        DataError: as :func:`normalized_mean_error`.
    """
    points = _check_truth(truth)
    guess = _check_points(prediction, "prediction")
    if len(guess) != len(points):
        raise DataError(f"prediction has {len(guess)} images, truth {len(points)}: expected as many.")
    present = np.asarray(np.isfinite(points).all(axis=2))
    indexed = guess.shape[1] == points.shape[1]
    _check_finite(guess, present if indexed else np.ones(guess.shape[:2], dtype=bool))
    whole = np.asarray(present.all(axis=1))
    cost = np.zeros(len(points))
    if whole.any():
        cost[whole] = _transport_cost(guess[whole], points[whole])
    for b in np.flatnonzero(~whole):
        kept = guess[b][present[b]] if indexed else guess[b]
        cost[b] = _transport_cost(kept[None], points[b][present[b]][None])[0]
    return 100.0 * cost / _check_distance(distance, len(points))


def cumulative_error_distribution(errors: ArrayLike, grid: ArrayLike) -> Array:
    """CED(x): the share of images with an error of at most x.

    Args:
        errors: ``(B,)`` in percent.
        grid: the x, any shape, in percent.

    Returns:
        Shares between 0 and 1, in the shape of ``grid``.
    """
    ordered = np.sort(_check_errors(errors))
    return np.searchsorted(ordered, np.asarray(grid, dtype=np.float64), side="right") / len(ordered)


def area_under_ced(errors: ArrayLike, limit: float) -> float:
    """AUC: the Simpson integral of the CED from 0 to the limit, divided by the limit (menpofit's definition).

    Args:
        errors: ``(B,)`` in percent.
        limit: in percent; the CED is sampled every 0.01 %.

    Returns:
        Between 0 (all errors above the limit) and 1 (all errors zero).

    Raises:
        DataError: the limit isn't positive, or the errors aren't a list of finite numbers.
    """
    if not limit > 0 or not np.isfinite(limit):
        raise DataError(f"the limit of the CED must be a positive number of percent, got {limit}.")
    # An even number of intervals that ends exactly on the limit: Simpson's rule needs the one, the failure rate the other.
    intervals = max(2, 2 * round(limit / CED_STEP / 2))
    ced = cumulative_error_distribution(errors, np.linspace(0.0, limit, intervals + 1))
    return float(simpson(ced, dx=1.0 / intervals))


def failure_rate(errors: ArrayLike, limit: float) -> float:
    """FR: the share of images with an error above the limit, ``1 − CED(limit)``."""
    return float((_check_errors(errors) > limit).mean())


def bootstrap_interval(values: ArrayLike, *, confidence: float = 0.95, n: int = 2000, seed: int = 0) -> tuple[float, float]:
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
    if not 0 < confidence < 1:
        raise DataError(f"confidence must lie between 0 and 1, got {confidence}: 0.95 is usual.")
    sample = _check_errors(values)
    generator = np.random.default_rng(seed)
    # One resample at a time: n × B indices at once would take gigabytes on a large data set.
    means = [sample[generator.integers(len(sample), size=len(sample))].mean() for _ in range(n)]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


# --- distances -------------------------------------------------------------------------------------------------------


def _outer_eye_corners(points: Array) -> Array:
    left, right = LEFT_TO_RIGHT_EYE
    return np.linalg.norm(points[:, left] - points[:, right], axis=1)


def _pupils(points: Array) -> Array:
    left, right = (points[:, part].mean(axis=1) for part in PUPIL_POINTS)
    return np.linalg.norm(left - right, axis=1)


def _first_two(points: Array) -> Array:
    return np.linalg.norm(points[:, 0] - points[:, 1], axis=1)


def _box_sides(points: Array) -> Array:
    return np.nanmax(points, axis=1) - np.nanmin(points, axis=1)


def _box_diagonal(points: Array) -> Array:
    return np.linalg.norm(_box_sides(points), axis=1)


def _box_size(points: Array) -> Array:
    return np.sqrt(_box_sides(points).prod(axis=1))


_KINDS: dict[str, tuple[int | None, Callable[[Array], Array]]] = {  # kind → (number of points needed, distance)
    "outer-eye-corners": (68, _outer_eye_corners),
    "pupils": (68, _pupils),
    "eyes": (5, _first_two),
    "box-diagonal": (None, _box_diagonal),
    "box-size": (None, _box_size),
}


# --- checks ----------------------------------------------------------------------------------------------------------


def _point_errors(prediction: ArrayLike, truth: ArrayLike, distance: ArrayLike) -> tuple[Array, Array]:
    """Percent errors ``(B, N)``, 0 where the truth is missing, and where it is present ``(B, N)``."""
    points = _check_truth(truth)
    guess = _check_points(prediction, "prediction")
    if guess.shape != points.shape:
        raise DataError(f"prediction is {guess.shape}, truth {points.shape}: expected the same images and the same landmarks.")
    present = np.asarray(np.isfinite(points).all(axis=2))
    _check_finite(guess, present)
    lengths = np.where(present, np.linalg.norm(guess - points, axis=2), 0.0)
    return 100.0 * lengths / _check_distance(distance, len(points))[:, None], present


def _transport_cost(x: Array, y: Array) -> Array:
    with torch.no_grad():
        return wasserstein1(torch.from_numpy(x), torch.from_numpy(y)).numpy()


def _check_points(points: ArrayLike, what: str) -> Array:
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 3 or array.shape[2] != 2 or 0 in array.shape:
        raise DataError(f"{what} must be (images, landmarks, 2) with at least one of each, got the shape {array.shape}.")
    return array


def _check_truth(truth: ArrayLike) -> Array:
    """The truth with both coordinates of a missing point NaN."""
    array = _check_points(truth, "truth")
    if np.isinf(array).any():
        raise DataError(f"truth holds infinite coordinates in {_listed(np.flatnonzero(np.isinf(array).any(axis=(1, 2))))}.")
    missing = np.asarray(np.isnan(array).any(axis=2))
    empty = np.flatnonzero(missing.all(axis=1))
    if len(empty):
        raise DataError(f"all landmarks are missing in {_listed(empty)}: leave images without truth out.")
    return np.where(missing[:, :, None], np.nan, array) if missing.any() else array


def _check_finite(prediction: Array, needed: Array) -> None:
    bad = np.flatnonzero((needed & ~np.isfinite(prediction).all(axis=2)).any(axis=1))
    if len(bad):
        raise DataError(f"the prediction is NaN or infinite in {_listed(bad)}: every landmark needs finite coordinates.")


def _check_distance(distance: ArrayLike, n: int) -> Array:
    array = np.asarray(distance, dtype=np.float64)
    if array.ndim > 1 or (array.ndim == 1 and len(array) != n):
        raise DataError(f"distance must be a number or one for each of the {n} images, got the shape {array.shape}.")
    array = np.broadcast_to(array, (n,)).copy()
    bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    if len(bad):
        raise DataError(f"the distance is zero, negative or not finite in {_listed(bad)}: errors can't be divided by it.")
    return array


def _check_errors(errors: ArrayLike) -> Array:
    array = np.asarray(errors, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise DataError(f"expected one finite number for each image, got the shape {array.shape} or NaN among them.")
    return array


def _listed(indices: Array) -> str:
    shown = ", ".join(str(i) for i in indices[:5])
    more = f" and {len(indices) - 5} more" if len(indices) > 5 else ""
    return f"image{'s' if len(indices) > 1 else ''} {shown}{more}"
