"""The errors by which landmarks are judged: arrays in, numbers out; no models and no files.

Points are ``(B, N, 2)`` in any frame whose x and y have the same unit (pixels, or the unit square of a *square* crop);
prediction, truth and distances must share that frame. NaN in the truth means *missing* and takes no part in any figure.
Errors are in percent of the normalising distance; AUC and failure rate are shares between 0 and 1.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

from brule.arrays import Array, mean_of_present, share_at_most
from brule.errors import DataError
from brule.evaluation.checks import check_distance, check_errors, check_finite, check_points, check_truth
from brule.evaluation.regions import Regions, landmark_regions
from brule.transport import wasserstein1

CED_STEP = 0.01  # percent of the distance: the sampling of the CED under the AUC, as menpofit's users set it (1e-4)


def landmark_errors(prediction: ArrayLike, truth: ArrayLike, *, distance: ArrayLike) -> Array:
    """The error of every landmark of every image, ``100 · ‖p_i − g_i‖ / d``.

    Args:
        prediction: ``(B, N, 2)``.
        truth: ``(B, N, 2)``, NaN = missing.
        distance: d, a number or ``(B,)``, same unit.

    Returns:
        ``(B, N)`` in percent, NaN where the truth is missing.

    Raises:
        DataError: shapes disagree, an image has no truth at all, a prediction isn't finite, or a distance isn't positive.
    """
    points = check_truth(truth)
    guess = check_points(prediction, "prediction")
    if guess.shape != points.shape:
        raise DataError(f"prediction is {guess.shape}, truth {points.shape}: expected the same images and the same landmarks.")
    present = np.asarray(np.isfinite(points).all(axis=2))
    check_finite(guess, present)
    lengths = np.where(present, np.linalg.norm(guess - points, axis=2), np.nan)
    return 100.0 * lengths / check_distance(distance, len(points))[:, None]


def normalized_mean_error(prediction: ArrayLike, truth: ArrayLike, *, distance: ArrayLike) -> Array:
    """NME (IOD where d is the outer eye corners): ``100 · mean_i ‖p_i − g_i‖ / d``, for each image.

    The mean runs over the landmarks that aren't missing. Args and errors as :func:`landmark_errors`.

    Returns:
        ``(B,)`` in percent.
    """
    return mean_of_present(landmark_errors(prediction, truth, distance=distance), axis=1)


def region_errors(errors: ArrayLike, regions: Regions | None = None) -> dict[str, Array]:
    """The error of each region in each image: the mean over its landmarks that are present.

    Args:
        errors: ``(B, N)``, of :func:`landmark_errors`.
        regions: as for :func:`brule.evaluation.landmark_regions`.

    Returns:
        Region → ``(B,)`` in percent, NaN where all its landmarks are missing.
    """
    table = np.asarray(errors, dtype=np.float64)
    return {
        name: mean_of_present(table[:, list(indices)], axis=1)
        for name, indices in landmark_regions(table.shape[1], regions).items()
    }


def wasserstein1_error(prediction: ArrayLike, truth: ArrayLike, distance: ArrayLike) -> Array:
    """The permutation-free error ``100 · W₁(prediction, truth) / d``, for each image.

    Where some of the landmarks are missing in the truth, the two sets differ in size. Each of the M present points then
    takes one of the N predicted points for itself, whichever N, so that the mean length is least; the N − M that are left
    over belong to the missing points and cost nothing (*partial* transport, all masses 1/M). No index plays a part, a
    perfect prediction costs nothing, and with nothing missing this is W₁. So the figure is never above the NME.

    A prediction that has another number of points than the truth to begin with has no correspondence by index:
    there all points take part with masses 1/N and 1/M, present ones of the truth (needs ``pip install 'brule-landmarks[ot]'``).

    Args:
        prediction: ``(B, M, 2)``.
        truth: ``(B, N, 2)``, NaN = missing.
        distance: d, a number or ``(B,)``, same unit.

    Returns:
        ``(B,)`` in percent.

    Raises:
        DataError: as :func:`landmark_errors`.
    """
    points = check_truth(truth)
    guess = check_points(prediction, "prediction")
    if len(guess) != len(points):
        raise DataError(f"prediction has {len(guess)} images, truth {len(points)}: expected as many.")
    present = np.asarray(np.isfinite(points).all(axis=2))
    indexed = guess.shape[1] == points.shape[1]
    check_finite(guess, present if indexed else np.ones(guess.shape[:2], dtype=bool))
    whole = np.asarray(present.all(axis=1))
    cost = np.zeros(len(points))
    if whole.any():
        cost[whole] = _transport_cost(guess[whole], points[whole])
    for b in np.flatnonzero(~whole):
        own = points[b][present[b]]
        cost[b] = _partial_cost(guess[b], own) if indexed else _transport_cost(guess[b][None], own[None])[0]
    return 100.0 * cost / check_distance(distance, len(points))


def cumulative_error_distribution(errors: ArrayLike, grid: ArrayLike) -> Array:
    """CED(x): the share of images with an error of at most x.

    Args:
        errors: ``(B,)`` in percent.
        grid: the x, any shape, in percent.

    Returns:
        Shares between 0 and 1, in the shape of ``grid``.
    """
    return share_at_most(check_errors(errors), grid)


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
    return float(areas_under_steps(errors, limit).mean())


def areas_under_steps(errors: ArrayLike, limit: float) -> Array:
    """What each image adds to the AUC, ``(B,)``: the CED is a mean of steps, so the AUC is the mean of their areas.

    Args and errors as :func:`area_under_ced`.
    """
    if not limit > 0 or not np.isfinite(limit):
        raise DataError(f"the limit of the CED must be a positive number of percent, got {limit}.")
    # An even number of intervals that ends exactly on the limit: Simpson's rule needs the one, the failure rate the other.
    intervals = max(2, 2 * round(limit / CED_STEP / 2))
    weights = np.full(intervals + 1, 2.0)
    weights[1::2], weights[[0, -1]] = 4.0, 1.0
    beyond = np.append(np.cumsum(weights[::-1])[::-1], 0.0) / (3 * intervals)  # the rule's weight from each sample on
    return beyond[np.searchsorted(np.linspace(0.0, limit, intervals + 1), check_errors(errors), side="left")]


def failure_rate(errors: ArrayLike, limit: float) -> float:
    """FR: the share of images with an error above the limit, ``1 − CED(limit)``."""
    return float((check_errors(errors) > limit).mean())


def _transport_cost(x: Array, y: Array) -> Array:
    with torch.no_grad():
        return wasserstein1(torch.from_numpy(x), torch.from_numpy(y)).numpy()


def _partial_cost(guess: Array, points: Array) -> float:
    from scipy.optimize import linear_sum_assignment

    guess = guess[np.isfinite(guess).all(axis=1)]  # the prediction of a missing landmark may be missing as well
    lengths = np.linalg.norm(points[:, None] - guess[None], axis=2)
    return float(lengths[linear_sum_assignment(lengths)].mean())
