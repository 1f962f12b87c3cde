"""Wasserstein distances between sets of landmarks."""

from __future__ import annotations

import torch
from torch import Tensor

from brule.transport.plan import assignment, paired, transport_plan


def wasserstein2_squared(x: Tensor, y: Tensor) -> Tensor:
    r"""The squared 2-Wasserstein distance between uniform point clouds.

    .. math:: W_2^2(X, Y) = \min_P \sum_{ij} P_{ij} \lVert x_i - y_j \rVert^2

    BRULÈ (arXiv 2006.11643), §3.

    Args:
        x: ``(B, N, 2)`` points.
        y: ``(B, M, 2)`` points in the same frame; a batch of one is compared with every ``x``.

    Returns:
        ``(B,)``, in squared units of the frame. Differentiable in ``x`` and ``y``: the plan is held constant, which is the
        exact gradient wherever the optimal plan is unique (envelope theorem).

    Example:
        >>> x = torch.rand(1, 5, 2)
        >>> bool(torch.isclose(wasserstein2_squared(x, x + torch.tensor([0.3, 0.4])), torch.tensor(0.25)))
        True
    """
    return _wasserstein(x, y, power=2)


def wasserstein1(x: Tensor, y: Tensor) -> Tensor:
    r"""The 1-Wasserstein distance between uniform point clouds, with its own optimal plan.

    .. math:: W_1(X, Y) = \min_P \sum_{ij} P_{ij} \lVert x_i - y_j \rVert

    Args:
        x: ``(B, N, 2)`` points.
        y: ``(B, M, 2)`` points in the same frame; a batch of one is compared with every ``x``.

    Returns:
        ``(B,)``, in units of the frame: the permutation-free error of a prediction. Differentiable.
    """
    return _wasserstein(x, y, power=1)


def _wasserstein(x: Tensor, y: Tensor, *, power: int) -> Tensor:
    x, y = paired(x, y)
    if x.shape[1] == y.shape[1]:
        partner = assignment(x, y, power=power)
        return _cost(x - y.gather(1, partner[..., None].expand(-1, -1, 2)), power).mean(-1)
    plan = transport_plan(x, y, power=power)
    return (plan * _cost(x[:, :, None] - y[:, None], power)).sum((1, 2))


def _cost(difference: Tensor, power: int) -> Tensor:
    squared = difference.square().sum(-1)
    if power == 2:
        return squared
    # The root has no gradient at zero; there the sub-gradient 0 is taken.
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)
