"""The left–right symmetry of a shape, found from its points alone."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

_TOLERANCE = 0.08  # of the shape's radius, see mirror_permutation
_TURNS = (0, 20, -20, 40, -40)  # degrees: twice how far the shape itself may be tilted, at the start
_ROUNDS = 20
_QUADRATIC_FROM = 24  # points; fewer would follow a quadratic map wherever it goes


def mirror_permutation(shape: Tensor, *, tolerance: float = _TOLERANCE) -> Tensor | None:
    """Which landmark takes whose place in a mirrored image.

    The shape is reflected left to right and matched to itself, one to one, with the smallest sum of squared distances;
    matching and an alignment of the mirror image (affine, then quadratic) take turns, so that a mean over a few turned
    heads will do.

    Args:
        shape: ``(N, 2)``, a mean shape or a barycenter.
        tolerance: largest root-mean-square miss that still counts as symmetric, over the root-mean-square radius. Means
            of ten faces miss by 0.02 … 0.06, wrong matchings and random points by 0.11 and more.

    Returns:
        ``(N,)`` permutation, its own inverse: landmark ``i`` of the mirror image is landmark ``perm[i]`` of the image; or
        ``None`` if the shape has no such symmetry.
    """
    found = _found(tuple(map(tuple, shape.detach().double().cpu().tolist())), tolerance)
    return None if found is None else found.clone()


@lru_cache(maxsize=8)  # training, measuring and predicting ask for that of one shape; 500 points take a second
def _found(points: tuple[tuple[float, float], ...], tolerance: float) -> Tensor | None:
    shape = torch.tensor(points, dtype=torch.float64)
    centred = shape - shape.mean(0)
    radius = centred.square().sum(-1).mean().sqrt()
    fits = [_match_to_mirror_image(centred / radius, math.radians(turn)) for turn in _TURNS]
    partner, miss = min(fits, key=lambda fit: fit[1])
    involution = torch.equal(partner[partner], torch.arange(len(partner)))
    return partner if involution and miss <= tolerance else None


def _match_to_mirror_image(shape: Tensor, turn: float) -> tuple[Tensor, float]:
    """Match a shape of radius one to its mirror image, by turns with aligning the two; the partners and the miss.

    The mirror image is turned by ``turn`` to begin with.
    """
    reflected = shape * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    rotation = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]], dtype=torch.float64)
    image, partner = reflected @ rotation, torch.arange(len(shape))
    for round_ in range(_ROUNDS):
        cost = torch.cdist(image, shape).square()
        # A symmetric cost has an involution among its best matchings.
        found = torch.as_tensor(linear_sum_assignment((cost + cost.T).numpy())[1])
        if torch.equal(found, partner) and round_ > 2:
            break
        partner = found
        features = _polynomial(reflected, degree=1 if len(shape) < _QUADRATIC_FROM or round_ < 1 else 2)
        image = features @ torch.linalg.lstsq(features, shape[partner], driver="gelsd").solution
    return partner, float((image - shape[partner]).square().sum(-1).mean().sqrt())


def _polynomial(points: Tensor, degree: int) -> Tensor:
    """Monomials of the coordinates: 1, x, y and, for degree 2, x², xy, y²."""
    x, y = points.unbind(-1)
    linear = [torch.ones_like(x), x, y]
    return torch.stack(linear if degree == 1 else [*linear, x * x, x * y, y * y], -1)


def mirrored(points: Tensor, permutation: Tensor) -> Tensor:
    """Landmarks ``(..., N, 2)`` of the unit square as the mirrored image shows them, indices swapped."""
    swapped = points[..., permutation, :]
    return torch.stack([1 - swapped[..., 0], swapped[..., 1]], -1)
