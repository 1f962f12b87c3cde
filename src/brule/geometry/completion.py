"""Completing shapes that lack points, from the other shapes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from brule.errors import BruleError

MIN_PRESENT = 3  # points: an affine map of the plane has three
_ENOUGH = 5  # whole shapes whose mean is taken as it is
_FLAT = 0.02  # see _plane_directions
_BEND, _BEND_LENGTH, _NOISE = 0.015, 0.12, 0.01  # of the crop, as in ShapePrior.fit
_ROUNDS = 20


def complete_shapes(shapes: Sequence[Tensor]) -> Tensor:
    r"""Fill in the missing points of shapes that have one index order: the conditional mean, given the present points.

    .. math:: \hat x_m = D_m \hat\beta + \Sigma_{mp} \Sigma_{pp}^{-1} (x_p - D_p \hat\beta)

    A shape is an affine image ``D β`` of the others' mean, plus a Gaussian deformation ``Σ`` (the covariance of the whole
    shapes, smooth bends and noise, as in :class:`ShapePrior`); ``p`` are its present points, ``m`` its missing ones.
    Nothing is assumed of the affine part, whose ``β`` is the generalised least-squares fit to the present points: this is
    universal kriging. So an exact affine image of the others' mean is completed exactly.

    Args:
        shapes: ``(N, 2)`` each, in the unit square of its crop (of its present points), NaN where a point is missing.

    Returns:
        ``(K, N, 2)`` float64. Present points stay as they are. A completed shape may reach beyond its crop.

    Raises:
        BruleError: shapes of different sizes, one with fewer than three points, a point that no shape has, or shapes that
            share too few points to be aligned.

    Notes:
        The others' mean is that of the whole shapes where five are whole; else that of all others, laid over each other by
        similarities of the points that they share. Where the present points lie on a line, or nearly, they don't say how a
        shape is stretched across it, and a similarity takes the affine map's place.

    Example:
        >>> square = torch.tensor([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]])
        >>> holed = square.clone()
        >>> holed[2] = torch.nan
        >>> complete_shapes([square, square, holed])[2, 2]
        tensor([0.9000, 0.9000], dtype=torch.float64)
    """
    stack = _checked(shapes)
    present = torch.isfinite(stack).all(-1)  # (K, N)
    whole = present.all(1)
    if whole.all():
        return stack
    result = stack.clone()
    for k in torch.nonzero(~whole).flatten().tolist():
        mean = stack[whole].mean(0) if whole.sum() >= _ENOUGH else _mean_of_others(stack, k)
        result[k] = _completed(stack[k], present[k], mean, covariance=_covariance(stack[whole], mean))
    return result


def _completed(shape: Tensor, present: Tensor, mean: Tensor, *, covariance: Tensor) -> Tensor:
    """One shape ``(N, 2)`` by universal kriging; coordinates are x₀, y₀, x₁, … in the covariance."""
    given = present.repeat_interleave(2)
    directions = _plane_directions(mean, present)  # (2N, 6 or 4)
    x, d = shape.flatten()[given], directions[given]
    root = torch.linalg.cholesky(covariance[given][:, given])
    white_d = torch.linalg.solve_triangular(root, d, upper=False)
    white_x = torch.linalg.solve_triangular(root, x[:, None], upper=False)
    beta = torch.linalg.lstsq(white_d, white_x, driver="gelsd").solution[:, 0]
    left = torch.cholesky_solve((x - d @ beta)[:, None], root)[:, 0]
    filled = directions @ beta + covariance[:, given] @ left
    return torch.where(given, shape.flatten(), filled).view_as(shape)


def _plane_directions(mean: Tensor, present: Tensor) -> Tensor:
    """How an affine map moves the mean, ``(2N, 6)``; a similarity, ``(2N, 4)``, where the present points show no more.

    They don't if they are thin: their variance across is less than two hundredths of the whole mean's along the same direction.
    """
    centred = mean - mean.mean(0)
    part = mean[present] - mean[present].mean(0)
    spread = torch.linalg.pinv(centred.T @ centred / len(centred)) @ (part.T @ part / len(part))
    affine = float(torch.linalg.eigvals(spread).real.min()) > _FLAT
    x, y = centred.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    moves = [(one, zero), (zero, one)]
    moves += [(x, zero), (zero, x), (y, zero), (zero, y)] if affine else [(x, y), (-y, x)]
    return torch.stack([torch.stack(move, -1).flatten() for move in moves], -1)


def _covariance(whole: Tensor, mean: Tensor) -> Tensor:
    """``Σ`` of deformations, ``(2N, 2N)``: that of the whole shapes, smooth bends, and noise."""
    kernel = torch.exp(-torch.cdist(mean, mean).square() / (2 * _BEND_LENGTH**2))
    covariance = _BEND**2 * torch.kron(kernel, torch.eye(2).double())
    covariance += _NOISE**2 * torch.eye(len(covariance)).double()
    if len(whole) >= 2:
        apart = (whole - whole.mean(0)).flatten(1)
        covariance += apart.T @ apart / (len(whole) - 1)
    return covariance


def _mean_of_others(stack: Tensor, k: int) -> Tensor:
    """The mean of all shapes but one, each aligned with it by a similarity; of all, where the others lack a point."""
    others = torch.cat([stack[:k], stack[k + 1 :]])
    if not torch.isfinite(others).all(-1).any(0).all():
        others = stack
    counts = torch.isfinite(others).all(-1).sum(1)
    mean = others[int(counts.argmax())]
    for _ in range(_ROUNDS):
        laid = [_laid_over(shape, mean) for shape in others]
        following = torch.stack([shape for shape in laid if shape is not None]).nanmean(0)
        settled = torch.equal(torch.isnan(mean), torch.isnan(following)) and torch.allclose(mean, following, equal_nan=True)
        mean = following
        if settled:
            break
    if not torch.isfinite(mean).all():
        lacking = torch.nonzero(~torch.isfinite(mean).all(-1)).flatten().tolist()
        raise BruleError(
            f"shapes: those that have the point {lacking[0]} share fewer than two points with the others, so it can't be "
            "placed; annotate more points of them"
        )
    return mean


def _laid_over(shape: Tensor, mean: Tensor) -> Tensor | None:
    """A shape, moved by the similarity that brings it nearest to the mean; None where they share fewer than two points."""
    shared = torch.isfinite(shape).all(-1) & torch.isfinite(mean).all(-1)
    if shared.sum() < 2:
        return None
    source, target = shape[shared], mean[shared]
    a, b = source - source.mean(0), target - target.mean(0)
    size = a.square().sum()
    if size <= 0:
        return None
    turn, lean = (a * b).sum() / size, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / size
    matrix = torch.stack([torch.stack([turn, lean]), torch.stack([-lean, turn])])  # rows of x @ matrix
    return (shape - source.mean(0)) @ matrix + target.mean(0)


def _checked(shapes: Sequence[Tensor]) -> Tensor:
    sets = [torch.as_tensor(shape).double().cpu() for shape in shapes]
    if not sets or any(own.ndim != 2 or own.shape[-1] != 2 or own.shape != sets[0].shape for own in sets):
        raise BruleError(f"shapes: expected (N, 2) points each, got {sorted({tuple(own.shape) for own in sets})}")
    stack = torch.stack(sets)
    present = torch.isfinite(stack).all(-1)
    stack = torch.where(present[..., None], stack, torch.nan)
    few = torch.nonzero((present.sum(1) < MIN_PRESENT) & ~present.all(1)).flatten().tolist()
    if few:
        raise BruleError(f"shapes: shape {few[0]} has {int(present[few[0]].sum())} points; expected at least {MIN_PRESENT}")
    nowhere = torch.nonzero(~present.any(0)).flatten().tolist()
    if nowhere:
        raise BruleError(
            f"shapes: none of the {len(sets)} has the point {nowhere[0]}, so its place is unknown; annotate it in at least "
            "one, or leave it out of all"
        )
    return stack
