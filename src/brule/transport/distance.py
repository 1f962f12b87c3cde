"""Wasserstein distances between sets of landmarks."""

from __future__ import annotations

from torch import Tensor

from brule.transport.coupling import Coupling


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
        >>> import torch
        >>> x = torch.rand(1, 5, 2)
        >>> bool(torch.isclose(wasserstein2_squared(x, x + torch.tensor([0.3, 0.4])), torch.tensor(0.25)))
        True
    """
    return Coupling.between(x, y).cost(x, y)


def wasserstein1(x: Tensor, y: Tensor) -> Tensor:
    r"""The 1-Wasserstein distance between uniform point clouds, with its own optimal plan.

    .. math:: W_1(X, Y) = \min_P \sum_{ij} P_{ij} \lVert x_i - y_j \rVert

    Args:
        x: ``(B, N, 2)`` points.
        y: ``(B, M, 2)`` points in the same frame; a batch of one is compared with every ``x``.

    Returns:
        ``(B,)``, in units of the frame: the permutation-free error of a prediction. Differentiable.
    """
    return Coupling.between(x, y, power=1).cost(x, y)
