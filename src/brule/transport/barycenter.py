"""Free-support Wasserstein barycenters of annotated landmark sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from brule.errors import BruleError
from brule.transport.plan import transport_plan

_MAX_STARTS = 10
# Plans of more points take so long that these have to do: fewer starts, and an end where the objective hardly falls any more.
_LARGE, _FEWER_STARTS, _MIN_STEP = 150, 3, 1e-5
_MAX_ITERATIONS = 200


@dataclass(frozen=True)
class Barycenter:
    """A barycenter and how it was reached.

    Attributes:
        points: ``(N, 2)``, in the frame of the sets, in their index order.
        objective: the weighted mean of ``W_2²`` to the sets.
        history: the objective of the best start, and after each of its iterations; it never rises.
    """

    points: Tensor
    objective: float
    history: tuple[float, ...]


def free_support_barycenter(
    sets: Sequence[Tensor], *, weights: Sequence[float] | None = None, n_points: int | None = None, seed: int = 0
) -> Barycenter:
    r"""The uniform point set with the smallest mean squared Wasserstein distance to the given sets.

    .. math:: \bar X = \arg\min_X \sum_k \lambda_k W_2^2(X, X_k)

    BRULÈ (arXiv 2006.11643); the algorithm is Cuturi & Doucet (2014), free support: alternate the plans to all sets
    and the barycentric projection of every point, which can't raise the objective.

    Args:
        sets: one ``(N_k, 2)`` tensor a shape, all in one frame; their sizes may differ. Rows with NaN are missing points:
            they cost nothing, and the others keep their indices.
        weights: ``λ``, one a set, brought to sum one; uniform if left out.
        n_points: size of the barycenter; by default the commonest size among the sets.
        seed: draws the starts where there are more than ten candidates.

    Returns:
        The best of up to ten starts, each from one of the given sets; of three for more than 150 points, where plans take long.

    Raises:
        BruleError: on an empty list, sets of another shape, infinite coordinates, a point that no set of the wanted size has,
            or bad weights.

    Notes:
        ``W_2`` knows no index. Every point of the result takes the index that most annotated points carry to it under
        the plans (an assignment, so each index is given once), over the sets that have ``n_points`` points, missing ones
        counted.

        A set of ``n_points`` points some of which are missing is the smaller set of those that are there, each of which keeps
        its mass ``1/N``: it takes one point of the barycenter for itself, and the points that are left over cost nothing
        (*partial* transport, as in :func:`brule.evaluation.wasserstein1_error`). Were the whole mass spread over them, a set
        without a jaw would draw the jaw into the face. Sets of any other number of points are uniform.

    Example:
        >>> a = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> free_support_barycenter([a, a + 1.0]).points
        tensor([[0.5000, 0.5000],
                [1.5000, 0.5000]])
    """
    indexed = [checked_set(points, k) for k, points in enumerate(sets)]
    if not indexed:
        raise BruleError("barycenter: expected at least one shape, got an empty list")
    share = _shares(weights, len(indexed))
    n = n_points if n_points is not None else commonest_size(indexed)
    if n < 1:
        raise BruleError(f"n_points: expected a positive number, got {n}")
    runs = [_descend(start, indexed, share) for start in _starts(indexed, n, seed)]
    best = min(runs, key=lambda run: run.objective)
    ordered = _in_index_order(best.points, indexed, share)
    given = torch.as_tensor(sets[0]).dtype
    return Barycenter(ordered.to(given if given.is_floating_point else torch.float64), best.objective, best.history)


def _descend(start: Tensor, indexed: list[Tensor], share: np.ndarray) -> Barycenter:
    """Alternate plans and barycentric projections until the objective stops falling."""
    clouds = [own[present(own)] for own in indexed]
    points = start
    plans, objective = _transported(points, indexed, share)
    history = [objective]
    for _ in range(_MAX_ITERATIONS):
        carried, mass = torch.zeros_like(points), torch.zeros_like(points[:, :1])
        for s, plan, cloud in zip(share.tolist(), plans, clouds, strict=True):
            carried += s * (plan @ cloud)
            mass += s * plan.sum(1, keepdim=True)
        projected = torch.where(mass > 0, carried / mass, points)  # a point that no set takes stays
        plans, objective = _transported(projected, indexed, share)
        step = 1e-12 if len(start) <= _LARGE else _MIN_STEP * history[-1]
        if objective >= history[-1] - step:  # a fixed point, up to rounding
            break
        points = projected
        history.append(objective)
    return Barycenter(points, history[-1], tuple(history))


def _transported(points: Tensor, indexed: list[Tensor], share: np.ndarray) -> tuple[list[Tensor], float]:
    """The plans to the present points of all sets, and the objective at these points."""
    plans = [_plan(points, own) for own in indexed]
    costs = [(plan * torch.cdist(points, own[present(own)]).square()).sum() for plan, own in zip(plans, indexed, strict=True)]
    return plans, sum(float(s) * float(cost) for s, cost in zip(share, costs, strict=True))


def _plan(points: Tensor, own: Tensor) -> Tensor:
    """The plan ``(N, M)`` to the M present points of a set; a partial one if N would be there were none missing."""
    from scipy.optimize import linear_sum_assignment

    n, cloud = len(points), own[present(own)]
    if len(own) != n or len(cloud) == n:
        return transport_plan(points[None], cloud[None])[0]
    plan = torch.zeros(n, len(cloud), dtype=points.dtype)
    taken, column = linear_sum_assignment(torch.cdist(points, cloud).square().numpy())
    plan[torch.as_tensor(taken), torch.as_tensor(column)] = 1.0 / n
    return plan


def _starts(indexed: list[Tensor], n: int, seed: int) -> list[Tensor]:
    """The sets that have the wanted size, at most ten; failing that, points drawn from all sets together."""
    generator = np.random.default_rng(seed)
    fitting = [points for points in indexed if len(points) == n]
    if not fitting:
        union = torch.cat([points[present(points)] for points in indexed])
        # With replacement only where the sets together are too few; a little noise then keeps the points apart.
        picks = [generator.choice(len(union), n, replace=len(union) < n) for _ in range(3)]
        scale = 1e-3 * float(union.std(0).mean())
        return [union[pick] + scale * torch.as_tensor(generator.standard_normal((n, 2))) for pick in picks]
    whole = [points for points in fitting if present(points).all()]
    candidates = whole or _filled(fitting)
    count = _MAX_STARTS if n <= _LARGE else _FEWER_STARTS
    if len(candidates) <= count:
        return candidates
    chosen = generator.choice(len(candidates), count, replace=False)
    return [candidates[k] for k in sorted(chosen)]


def _filled(fitting: list[Tensor]) -> list[Tensor]:
    """Sets of one size as starts: a missing point begins at the mean of those of its index."""
    means = torch.stack(fitting).nanmean(0)
    if torch.isnan(means).any():
        nowhere = int(torch.nonzero(torch.isnan(means).any(1))[0])
        raise BruleError(f"barycenter: none of {len(fitting)} shapes has the point {nowhere}; annotate it in one at least")
    return [torch.where(torch.isnan(points), means, points) for points in fitting]


def _in_index_order(points: Tensor, indexed: list[Tensor], share: np.ndarray) -> Tensor:
    from scipy.optimize import linear_sum_assignment

    n = len(points)
    voters = [(float(s), own) for s, own in zip(share, indexed, strict=True) if len(own) == n]
    if not voters:
        return points
    votes = np.zeros((n, n))  # points, indices
    for s, own in voters:
        votes[:, present(own).numpy()] += s * _plan(points, own).numpy()
    point, index = linear_sum_assignment(votes, maximize=True)
    ordered = torch.empty_like(points)
    ordered[torch.as_tensor(index)] = points[torch.as_tensor(point)]
    return ordered


def commonest_size(sets: Sequence[Tensor]) -> int:
    """The commonest number of points among sets, missing ones counted; of several, the smallest."""
    sizes = [len(points) for points in sets]
    return max(sorted(set(sizes)), key=sizes.count)


def present(points: Tensor) -> Tensor:
    """``(N,)``: which points of a set ``(N, 2)`` aren't missing."""
    return ~torch.isnan(points).any(-1)


def checked_set(points: Tensor, k: int) -> Tensor:
    """The set number k as float64 on the CPU; both coordinates of a missing point are NaN.

    Raises:
        BruleError: it isn't ``(N, 2)``, holds infinity, or all its points are missing.
    """
    own = torch.as_tensor(points).double().cpu()
    if own.ndim != 2 or own.shape[1] != 2 or len(own) == 0:
        raise BruleError(f"barycenter: expected shapes of (N, 2) points, shape {k} is {tuple(own.shape)}")
    if torch.isinf(own).any():
        raise BruleError(f"barycenter: shape {k} holds infinity; a missing point is NaN")
    there = present(own)
    if not there.any():
        raise BruleError(f"barycenter: all {len(own)} points of shape {k} are missing; leave it out")
    return torch.where(there[:, None], own, torch.nan)


def _shares(weights: Sequence[float] | None, count: int) -> np.ndarray:
    share = np.full(count, 1.0 / count) if weights is None else np.asarray(weights, dtype=np.float64)
    if share.shape != (count,) or not np.isfinite(share).all() or (share < 0).any() or share.sum() <= 0:
        raise BruleError(f"weights: expected {count} numbers ≥ 0, one per shape, with a positive sum, got {weights}")
    return share / share.sum()
