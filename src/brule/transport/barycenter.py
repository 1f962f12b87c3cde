"""Free-support Wasserstein barycenters of annotated landmark sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from brule.errors import BruleError
from brule.transport.plan import transport_plan

_MAX_STARTS = 10
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

    BRULÈ (arXiv 2006.11643), §3.1; the algorithm is Cuturi & Doucet (2014), free support: alternate the plans to all sets
    and the barycentric projection of every point, which can't raise the objective.

    Args:
        sets: one ``(N_k, 2)`` tensor a shape, all in one frame; their sizes may differ.
        weights: ``λ``, one a set, brought to sum one; uniform if left out.
        n_points: size of the barycenter; by default the commonest size among the sets.
        seed: draws the starts where there are more than ten candidates.

    Returns:
        The best of up to ten starts, each from one of the given sets.

    Raises:
        BruleError: on an empty list, sets of another shape, coordinates that aren't finite, or bad weights.

    Notes:
        ``W_2`` knows no index. Every point of the result takes the index that most annotated points carry to it under
        the plans (an assignment, so each index is given once), over the sets that have ``n_points`` points.

    Example:
        >>> a = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> free_support_barycenter([a, a + 1.0]).points
        tensor([[0.5000, 0.5000],
                [1.5000, 0.5000]])
    """
    clouds = [_checked(points, k) for k, points in enumerate(sets)]
    if not clouds:
        raise BruleError("barycenter: expected at least one shape, got an empty list")
    share = _shares(weights, len(clouds))
    sizes = [len(cloud) for cloud in clouds]
    n = n_points if n_points is not None else max(sorted(set(sizes)), key=sizes.count)
    if n < 1:
        raise BruleError(f"n_points: expected a positive number, got {n}")
    runs = [_descend(start, clouds, share) for start in _starts(clouds, n, seed)]
    best = min(runs, key=lambda run: run.objective)
    ordered = _in_index_order(best.points, clouds, share)
    given = torch.as_tensor(sets[0]).dtype
    return Barycenter(ordered.to(given if given.is_floating_point else torch.float64), best.objective, best.history)


def _descend(start: Tensor, clouds: list[Tensor], share: np.ndarray) -> Barycenter:
    """Alternate plans and barycentric projections until the objective stops falling."""
    points = start
    plans, objective = _transported(points, clouds, share)
    history = [objective]
    for _ in range(_MAX_ITERATIONS):
        projected = sum(float(s) * len(points) * (plan @ cloud) for s, plan, cloud in zip(share, plans, clouds, strict=True))
        assert isinstance(projected, Tensor)
        plans, objective = _transported(projected, clouds, share)
        if objective >= history[-1] - 1e-12:  # a fixed point, up to rounding
            break
        points = projected
        history.append(objective)
    return Barycenter(points, history[-1], tuple(history))


def _transported(points: Tensor, clouds: list[Tensor], share: np.ndarray) -> tuple[list[Tensor], float]:
    """The plans to all sets, and the objective at these points."""
    plans = [transport_plan(points[None], cloud[None])[0] for cloud in clouds]
    costs = [(plan * torch.cdist(points, cloud).square()).sum() for plan, cloud in zip(plans, clouds, strict=True)]
    return plans, sum(float(s) * float(cost) for s, cost in zip(share, costs, strict=True))


def _starts(clouds: list[Tensor], n: int, seed: int) -> list[Tensor]:
    """The sets that have the wanted size, at most ten; failing that, points drawn from all sets together."""
    generator = np.random.default_rng(seed)
    fitting = [cloud for cloud in clouds if len(cloud) == n]
    if not fitting:
        union = torch.cat(clouds)
        # With replacement only where the sets together are too few; a little noise then keeps the points apart.
        picks = [generator.choice(len(union), n, replace=len(union) < n) for _ in range(3)]
        scale = 1e-3 * float(union.std(0).mean())
        return [union[pick] + scale * torch.as_tensor(generator.standard_normal((n, 2))) for pick in picks]
    if len(fitting) <= _MAX_STARTS:
        return fitting
    chosen = generator.choice(len(fitting), _MAX_STARTS, replace=False)
    return [fitting[k] for k in sorted(chosen)]


def _in_index_order(points: Tensor, clouds: list[Tensor], share: np.ndarray) -> Tensor:
    n = len(points)
    voters = [(float(s), cloud) for s, cloud in zip(share, clouds, strict=True) if len(cloud) == n]
    if not voters:
        return points
    votes = sum(s * transport_plan(points[None], cloud[None])[0].numpy() for s, cloud in voters)  # (N points, N indices)
    point, index = linear_sum_assignment(votes, maximize=True)
    ordered = torch.empty_like(points)
    ordered[torch.as_tensor(index)] = points[torch.as_tensor(point)]
    return ordered


def _checked(points: Tensor, k: int) -> Tensor:
    cloud = torch.as_tensor(points).double().cpu()
    if cloud.ndim != 2 or cloud.shape[1] != 2 or len(cloud) == 0:
        raise BruleError(f"barycenter: expected shapes of (N, 2) points, shape {k} is {tuple(cloud.shape)}")
    if not torch.isfinite(cloud).all():
        raise BruleError(f"barycenter: shape {k} holds NaN or infinity; leave its missing points out")
    return cloud


def _shares(weights: Sequence[float] | None, count: int) -> np.ndarray:
    share = np.full(count, 1.0 / count) if weights is None else np.asarray(weights, dtype=np.float64)
    if share.shape != (count,) or not np.isfinite(share).all() or (share < 0).any() or share.sum() <= 0:
        raise BruleError(f"weights: expected {count} numbers ≥ 0, one a shape, with a positive sum, got {weights}")
    return share / share.sum()
