"""Optimal transport plans between sets of points, exact."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from brule.coordinates import check_points
from brule.errors import BruleError

_LARGE = 100  # points; from here on, levelling the costs takes less time than it saves


@torch.no_grad()
def transport_plan(
    x: Tensor, y: Tensor, *, x_weights: Tensor | None = None, y_weights: Tensor | None = None, power: int = 2
) -> Tensor:
    r"""The optimal transport plan between two point clouds.

    .. math:: P = \arg\min_{P \ge 0,\; P 1 = a,\; P^\top 1 = b} \sum_{ij} P_{ij} \lVert x_i - y_j \rVert^{power}

    BRULÈ (arXiv 2006.11643), §3: the ``P`` of ``W_2`` and of Eq. (1).

    Args:
        x: ``(B, N, 2)`` points.
        y: ``(B, M, 2)`` points, in the same frame; a batch of one is compared with every ``x``.
        x_weights: ``(B, N)`` masses that sum to one; uniform if left out.
        y_weights: ``(B, M)`` masses that sum to one; uniform if left out.
        power: of the distance in the cost, 2 for ``W_2`` and 1 for ``W_1``.

    Returns:
        ``(B, N, M)``: rows sum to ``x_weights``, columns to ``y_weights``. No gradient.

    Raises:
        BruleError: on points that are not finite, batches that don't match, or weights that are no distribution.

    Notes:
        Equal, uniform sets are an assignment problem (a vertex of the Birkhoff polytope is optimal), solved by SciPy.
        Other sets are a linear program, solved by POT (``pip install 'brule-landmarks[ot]'``).

    Example:
        >>> x = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])
        >>> transport_plan(x, x.flip(1))
        tensor([[[0.0000, 0.5000],
                 [0.5000, 0.0000]]])
    """
    x, y = paired(x, y)
    n, m = x.shape[1], y.shape[1]
    if n == m and x_weights is None and y_weights is None:
        partner = assignment(x, y, power=power)
        plan = torch.zeros(x.shape[0], n, m, dtype=x.dtype, device=x.device)
        return plan.scatter_(2, partner[..., None], 1.0 / n)
    a = _masses(x_weights, x, "x_weights")
    b = _masses(y_weights, y, "y_weights")
    costs = _costs(x, y, power)
    plans = np.stack([_linear_program(*problem) for problem in zip(a, b, costs, strict=True)])
    return torch.as_tensor(plans, dtype=x.dtype, device=x.device)


@torch.no_grad()
def assignment(x: Tensor, y: Tensor, *, power: int = 2) -> Tensor:
    """The optimal one-to-one partner of every point: the plan of equal, uniform sets in its short form.

    Args:
        x: ``(B, N, 2)`` points.
        y: ``(B, N, 2)`` points, in the same frame; a batch of one is compared with every ``x``.
        power: of the distance in the cost.

    Returns:
        ``(B, N)`` integers: ``y[b, partner[b, i]]`` is the partner of ``x[b, i]``.

    Raises:
        BruleError: if the sizes differ or a coordinate isn't finite.
    """
    from scipy.optimize import linear_sum_assignment

    x, y = paired(x, y)
    if x.shape[1] != y.shape[1]:
        raise BruleError(f"assignment: expected sets of one size, got {x.shape[1]} and {y.shape[1]}; use transport_plan")
    costs = _costs(x, y, power)
    if power == 2 and x.shape[1] >= _LARGE:
        costs = _levelled(costs, x, y)
    partners = np.stack([linear_sum_assignment(cost)[1] for cost in costs])
    return torch.as_tensor(partners, device=x.device)


def paired(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Check two batches of point sets and give ``y`` the batch size of ``x`` if it holds a single set."""
    check_points(x, "x")
    check_points(y, "y")
    if y.shape[0] == 1 and x.shape[0] != 1:
        y = y.expand(x.shape[0], -1, -1)
    if x.shape[0] != y.shape[0]:
        raise BruleError(f"expected batches of one size, got {x.shape[0]} and {y.shape[0]} point sets")
    return x, y


def _costs(x: Tensor, y: Tensor, power: int) -> np.ndarray:
    # In float64: with float32 costs the solver may pick a plan that is optimal only up to rounding.
    a, b = x.detach().cpu().double().numpy(), y.detach().cpu().double().numpy()
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise BruleError("transport: expected finite coordinates, got NaN or infinity; drop missing points first")
    across, down = (a[:, :, None, axis] - b[:, None, :, axis] for axis in (0, 1))  # apart: a sum over an axis of two is slow
    squared = across * across + down * down
    return squared if power == 2 else squared ** (power / 2)


def _levelled(costs: np.ndarray, x: Tensor, y: Tensor) -> np.ndarray:
    r"""The costs ``|x - y|²``, less a number for each row and one for each column, so that the solver has less to do.

    Every assignment takes each row and each column once, so such numbers change no comparison between two of them. The
    best ones are the dual solution. That of the affine map between two Gaussians of the sets' means and
    covariances, ``y = ȳ + M (x - x̄)``, is known, and landmark sets of one object are near it: most costs that count
    become nearly zero, and the shortest augmenting paths short.
    """
    a, b = x.detach().cpu().double().numpy(), y.detach().cpu().double().numpy()
    centre, from_x, from_y = a.mean(1), a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    root = _power(from_x.swapaxes(1, 2) @ from_x / a.shape[1], 0.5)
    back = root @ _power(root @ (from_y.swapaxes(1, 2) @ from_y / b.shape[1]) @ root, -0.5) @ root  # M⁻¹
    conjugate = np.einsum("bnd,bd->bn", b, centre) + 0.5 * np.einsum("bni,bij,bnj->bn", from_y, back, from_y)
    columns = (b**2).sum(-1) - 2 * conjugate  # (B, N)
    levelled = costs - columns[:, None]
    levelled -= levelled.min(2, keepdims=True)
    return levelled


def _power(matrices: np.ndarray, exponent: float) -> np.ndarray:
    """A power of symmetric matrices ``(B, 2, 2)``, their smallest eigenvalues lifted off zero."""
    values, vectors = np.linalg.eigh(matrices)
    values = np.maximum(values, 1e-9 * values.max(-1, keepdims=True) + 1e-30)
    return (vectors * values[:, None] ** exponent) @ vectors.swapaxes(1, 2)


def _masses(weights: Tensor | None, points: Tensor, name: str) -> np.ndarray:
    batch, n = points.shape[:2]
    if weights is None:
        return np.full((batch, n), 1.0 / n)
    given = torch.as_tensor(weights).detach().cpu().double().numpy()
    if given.shape not in ((batch, n), (1, n), (n,)):
        raise BruleError(f"{name}: expected masses of shape ({batch}, {n}), one per point, got {given.shape}")
    masses = np.broadcast_to(given, (batch, n))
    if (masses < 0).any() or not np.allclose(masses.sum(-1), 1.0, atol=1e-4):
        raise BruleError(f"{name}: expected masses ≥ 0 that sum to one, got sums {np.unique(masses.sum(-1).round(4))}")
    return masses / masses.sum(-1, keepdims=True)


def _linear_program(a: np.ndarray, b: np.ndarray, cost: np.ndarray) -> np.ndarray:
    try:
        import ot
    except ImportError as error:  # pragma: no cover - the extra is installed in development
        raise BruleError("sets of different sizes or weights need POT: pip install 'brule-landmarks[ot]'") from error
    return ot.emd(a, b, cost, numItermax=1_000_000)
