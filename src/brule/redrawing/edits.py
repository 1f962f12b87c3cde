"""Edits of landmarks: moved, turned, enlarged, and interpolated between two sets.

Points are ``(..., N, 2)`` of any frame whose x and y have the same unit, with y pointing down: the unit square of a crop,
or pixels. Nothing is changed in place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from brule.errors import BruleError

_NO_SIZE = 1e-9  # a norm that is rounding alone


def moved(points: Tensor, shift: Sequence[float], *, indices: Sequence[int] | None = None) -> Tensor:
    """Landmarks shifted by ``(dx, dy)``.

    Args:
        points: ``(..., N, 2)``.
        shift: to the right and down, in the unit of the points.
        indices: which landmarks; all by default.

    Raises:
        BruleError: if an index doesn't exist.
    """
    chosen = _chosen(points, indices)
    return _replaced(points, chosen, points[..., chosen, :] + points.new_tensor(shift))


def turned(points: Tensor, degrees: float, *, indices: Sequence[int] | None = None) -> Tensor:
    """Landmarks turned about their centre of mass.

    Args:
        points: ``(..., N, 2)``.
        degrees: clockwise, as the image is looked at.
        indices: which landmarks, about *their* centre of mass; all by default.

    Raises:
        BruleError: if an index doesn't exist.
    """
    chosen = _chosen(points, indices)
    angle = math.radians(degrees)
    # Rows times this: (1, 0) → (cos, sin), which is clockwise where y points down.
    rotation = points.new_tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    part = points[..., chosen, :]
    centre = part.mean(-2, keepdim=True)
    return _replaced(points, chosen, (part - centre) @ rotation + centre)


def scaled(points: Tensor, factor: float, *, indices: Sequence[int] | None = None) -> Tensor:
    """Landmarks enlarged about their centre of mass.

    Args:
        points: ``(..., N, 2)``.
        factor: above 1 enlarges, below 1 shrinks.
        indices: which landmarks, about *their* centre of mass; all by default.

    Raises:
        BruleError: if an index doesn't exist, or the factor isn't positive.
    """
    if not factor > 0 or not math.isfinite(factor):
        raise BruleError(f"scale: expected a positive factor, got {factor}; 1.2 enlarges by a fifth")
    chosen = _chosen(points, indices)
    part = points[..., chosen, :]
    centre = part.mean(-2, keepdim=True)
    return _replaced(points, chosen, factor * (part - centre) + centre)


def between(first: Tensor, second: Tensor, share: float) -> Tensor:
    r"""The landmark set at a fraction of the way from one to another.

    Position, size and direction go their own ways, so that a turn stays a turn: on straight lines, a face would shrink
    halfway. With both sets centred and scaled to unit norm, ``θ`` the angle of the Procrustes rotation
    :math:`R_\theta` from the first to the second, and ``s`` their norms,

    .. math:: X_t = s_1^{1-t} s_2^t \left[(1 - t) X_1 + t\, X_2 R_{-\theta}\right] R_{t\theta} + (1 - t) \bar x_1 + t \bar x_2 .

    Args:
        first: ``(..., N, 2)``, at share 0.
        second: ``(..., N, 2)``, at share 1.
        share: t; the way from the second to the first at ``1 − t`` is the same.

    Returns:
        ``(..., N, 2)``. Where one set is the other moved, turned and enlarged, so is everything between them.

    Raises:
        BruleError: if the two have another number of landmarks, or all landmarks of one lie in one place.

    Notes:
        The shorter turn is taken; half a turn is ambiguous.
    """
    if first.shape[-2:] != second.shape[-2:]:
        raise BruleError(f"interpolation: expected sets of as many landmarks, got {first.shape[-2]} and {second.shape[-2]}")
    centre_1, centre_2 = first.mean(-2, keepdim=True), second.mean(-2, keepdim=True)
    # A point as a complex number x + iy: a rotation and a change of size are then one product.
    z_1, z_2 = _complex(first - centre_1), _complex(second - centre_2)
    s_1, s_2 = (torch.linalg.vector_norm(z, dim=-1, keepdim=True) for z in (z_1, z_2))
    if not (bool((s_1 > _NO_SIZE).all()) and bool((s_2 > _NO_SIZE).all())):
        raise BruleError("interpolation: all landmarks of a set are in one place, so it has no size and no direction")
    z_1, z_2 = z_1 / s_1, z_2 / s_2
    theta = torch.angle((z_1.conj() * z_2).sum(-1, keepdim=True))
    shape = (1 - share) * z_1 + share * z_2 * _turn(-theta)
    drawn = torch.view_as_real(s_1 ** (1 - share) * s_2**share * shape * _turn(share * theta))
    return drawn.to(first.dtype) + (1 - share) * centre_1 + share * centre_2


def interpolated(sets: Tensor, steps: int) -> Tensor:
    """Landmark sets with ``steps`` further ones between each two that follow each other.

    Args:
        sets: ``(K, N, 2)``.
        steps: how many between two; 0 changes nothing.

    Returns:
        ``(K + (K − 1) · steps, N, 2)``; every ``steps + 1``-th is one of the sets. See :func:`between`.

    Raises:
        BruleError: if the steps are negative, or as :func:`between`.
    """
    if steps < 0:
        raise BruleError(f"interpolation: expected 0 steps or more between two sets, got {steps}")
    if len(sets) < 2 or not steps:
        return sets
    shares = [step / (steps + 1) for step in range(1, steps + 1)]
    ways = [torch.stack([a, *(between(a, b, share) for share in shares)]) for a, b in itertools.pairwise(sets)]
    return torch.cat([*ways, sets[-1:]])


def _complex(points: Tensor) -> Tensor:
    return torch.view_as_complex(points.double().contiguous())


def _turn(angle: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(angle), angle)


def _chosen(points: Tensor, indices: Sequence[int] | None) -> list[int]:
    n = points.shape[-2]
    chosen = list(range(n)) if indices is None else list(indices)
    wrong = [index for index in chosen if not 0 <= index < n]
    if wrong or not chosen:
        got = f"{wrong[0]}" if wrong else "none"
        raise BruleError(f"indices: expected landmarks from 0 to {n - 1}, got {got}; the first one is 0")
    return sorted(set(chosen))


def _replaced(points: Tensor, chosen: list[int], part: Tensor) -> Tensor:
    edited = points.clone()
    edited[..., chosen, :] = part
    return edited
