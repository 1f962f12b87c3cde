"""The translation and the affine map that a transport plan carries (BRULÈ, Eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from brule.errors import BruleError
from brule.transport.plan import paired


def translation_to(x: Tensor, target: Tensor) -> Tensor:
    """The shift ``T`` that moves the centre of mass of ``x`` to that of ``target``.

    BRULÈ (arXiv 2006.11643): the best translation in ``W_2``.

    Args:
        x: ``(B, N, 2)`` points.
        target: ``(B, M, 2)`` points, or one set for all.

    Returns:
        ``(B, 2)``: ``x + T[:, None]`` has the centre of mass of ``target``.
    """
    x, target = paired(x, target)
    return target.mean(1) - x.mean(1)


def affine_from_plan(x: Tensor, target: Tensor, plan: Tensor) -> Tensor:
    r"""The linear map that brings ``x`` closest to its partners under a plan.

    .. math:: A = \left(X^\top \operatorname{diag}(P 1)\, X\right)^{-1} X^\top P\, Y

    the least-squares solution of Eq. (1) of BRULÈ (arXiv 2006.11643), with both clouds centred first.

    Args:
        x: ``(B, N, 2)`` points.
        target: ``(B, M, 2)`` points, or one set for all.
        plan: ``(B, N, M)`` from :func:`brule.transport.transport_plan`.

    Returns:
        ``(B, 2, 2)``, to be applied from the right: ``centred(x) @ A ≈ centred(target)`` under the plan.

    Raises:
        BruleError: if the plan doesn't fit the two sets.

    Notes:
        The paper mentions rotation and scaling, but its equation may shear, and so does this. Eq. (1) has no offset;
        that is what the centring is for. A cloud on one line has no unique map: the smallest one is returned.

    Example:
        >>> x = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
        >>> turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
        >>> plan = torch.eye(3, dtype=torch.float64)[None] / 3
        >>> bool(torch.allclose(affine_from_plan(x, x @ turn, plan), turn))
        True
    """
    x, target = paired(x, target)
    expected = (x.shape[0], x.shape[1], target.shape[1])
    if tuple(plan.shape) != expected:
        raise BruleError(f"plan: expected shape {expected} (B, N, M), got {tuple(plan.shape)}")
    row, column = plan.sum(2), plan.sum(1)  # (B, N), (B, M)
    xc = x - torch.einsum("bn,bnd->bd", row, x)[:, None]
    yc = target - torch.einsum("bm,bmd->bd", column, target)[:, None]
    gram = torch.einsum("bnd,bn,bne->bde", xc, row, xc)
    cross = torch.einsum("bnd,bnm,bme->bde", xc, plan, yc)
    return torch.linalg.pinv(gram, hermitian=True) @ cross
