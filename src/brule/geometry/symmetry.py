"""The left–right symmetry of a shape, found from its points alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor

from brule.errors import BruleError

# Largest root-mean-square miss of the mean shape that counts as symmetric, over the root-mean-square radius. Means of ten faces
# miss by 0.02 … 0.06, wrong matchings and random points by 0.11 and more.
_TOLERANCE = 0.08
_LOOSE = 0.2  # the same limit if several shapes show that their mean is asymmetric by chance only
_CHANCE = 15.0  # square of their mean's asymmetry, over that which chance gives it
_TURNS = (0, 20, -20, 40, -40)  # degrees: twice how far the shape itself may be tilted, at the start
_AS_IT_STANDS = 0.5  # the cosine of how far a mirror image is turned, times how it is resized: one for a symmetric shape
_LINE = 1e-3  # of points on a line, which their mirror image covers either way: the width's square, the length being one
_ROUNDS = 20
_QUADRATIC_FROM = 24  # points; fewer would follow a quadratic map wherever it goes
_MIN_SHAPES, _MAX_SHAPES = 5, 20  # shapes that judge
_PROPOSING = 10, 1000  # shapes that propose, and their points together, at most: 500 points take a second or two
_NOISE = 0.01  # of each landmark on its own, in units of the crop


def mirror_permutation(shapes: Tensor) -> Tensor | None:
    """Which landmark takes whose place in a mirrored image.

    The mean shape is reflected left to right and matched to itself, one to one, with the smallest sum of squared distances;
    matching and an alignment of the mirror image (affine, then quadratic) take turns, so that a mean over a few turned
    heads will do.

    Where there are five shapes or more, some of them propose matchings as well, since one turned head among ten may mislead the
    mean. The matching is used with which shapes and mirror images together fill the smallest volume (of a Gaussian): a wrong
    one adds directions in which shapes don't vary. The mean may then miss by more, as far as chance explains it.

    Args:
        shapes: ``(K, N, 2)`` in one index order, upright and in the unit square of their crops; or a single shape ``(N, 2)``,
            such as a mean or a barycenter. Of fewer than five, the mean is used.

    Returns:
        ``(N,)`` permutation, its own inverse: landmark ``i`` of the mirror image is landmark ``perm[i]`` of the image; or
        ``None`` if the shape has no such symmetry.
    """
    several = shapes.detach().double().cpu()
    several = several[None] if several.ndim == 2 else several
    several = several[torch.linspace(0, len(several) - 1, min(len(several), _MAX_SHAPES)).round().long()]
    mean = shapes.detach().double().cpu().reshape(-1, *shapes.shape[-2:]).mean(0)
    found = _found(_Points(mean), _Points(several))
    return None if found is None else found.clone()


def paired_permutation(pairs: Iterable[tuple[int, int]], n_points: int) -> Tensor:
    """The permutation in which the landmarks of each pair change places and all others stay.

    Args:
        pairs: indices from 0, such as ``[(0, 1), (3, 4)]``.
        n_points: N.

    Returns:
        ``(N,)``, its own inverse.

    Raises:
        BruleError: an index isn't there, or is in two pairs.
    """
    permutation, seen = torch.arange(n_points), set()
    for first, second in pairs:
        for index in {first, second}:
            if not 0 <= index < n_points:
                raise BruleError(f"landmark {index} isn't there; they count from 0 to {n_points - 1}")
            if index in seen:
                raise BruleError(f"landmark {index} is in two pairs; it can change places with one other only")
            seen.add(index)
        permutation[first], permutation[second] = second, first
    return permutation


class _Points:
    """Points that a cache can be asked for: 500 of them take a second or two, and training, measuring and predicting ask."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self._key = (tuple(values.shape), values.numpy().tobytes())

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Points) and self._key == other._key


@lru_cache(maxsize=8)
def _found(mean: _Points, shapes: _Points) -> Tensor | None:
    several = len(shapes.values) >= _MIN_SHAPES
    candidates = _candidates(mean.values, shapes.values if several else shapes.values[:0])
    if not candidates:
        return None
    unit = _unit(mean.values)
    if not several:
        best = min(candidates, key=lambda partner: _aligned(unit, partner)[1])
        return best if _aligned(unit, best)[1] <= _TOLERANCE else None
    best = min(candidates, key=lambda partner: _volume(shapes.values, partner))
    # An affine map lays every triangle, and every other kite, on its mirror image, so few points are turned at most.
    miss = _turned(unit, best) if len(unit) < _QUADRATIC_FROM else _aligned(unit, best)[1]
    return best if miss <= (_LOOSE if _asymmetry(shapes.values, best) <= _CHANCE else _TOLERANCE) else None


def _candidates(mean: Tensor, shapes: Tensor) -> list[Tensor]:
    """The matchings that are their own inverses, of the mean ``(N, 2)`` and of some shapes ``(K, N, 2)``."""
    most, together = _PROPOSING
    proposing = shapes[: min(most, together // len(mean))]
    matched = [_match_to_mirror_image(_unit(mean), math.radians(turn)) for turn in _TURNS]
    matched += [_match_to_mirror_image(_unit(shape), 0.0) for shape in proposing]
    distinct = {tuple(partner.tolist()): partner for partner in matched}
    return [partner for partner in distinct.values() if _mirrors(_unit(mean), partner)]


def _mirrors(shape: Tensor, partner: Tensor) -> bool:
    """Whether a matching is its own inverse, and aligns the mirror image with the shape without much rotation or scaling.

    Each point its own partner, for one, is a perfect match for an affine map that turns the mirror image over again.
    """
    if not torch.equal(partner[partner], torch.arange(len(partner))) or float(_turn(shape, partner).real) < _AS_IT_STANDS:
        return False
    return float(torch.linalg.det(_reflected(shape).T @ shape[partner] / len(shape))) > -_LINE


def _volume(shapes: Tensor, partner: Tensor) -> float:
    """The logarithm of the volume that shapes ``(K, N, 2)`` and their mirror images fill: that of a Gaussian's covariance."""
    both = torch.cat([shapes, mirrored(shapes, partner)]).flatten(1)
    apart = both - both.mean(0)
    # The determinant of a small matrix in place of that of (2N, 2N): they differ by a constant.
    inner = torch.eye(len(both)).double() + apart @ apart.T / ((len(both) - 1) * _NOISE**2)
    return float(torch.linalg.slogdet(inner).logabsdet)


def _unit(shape: Tensor) -> Tensor:
    """The shape about its centre, its radius one."""
    centred = shape - shape.mean(0)
    return centred / centred.square().sum(-1).mean().sqrt().clamp_min(1e-12)


def _asymmetry(shapes: Tensor, partner: Tensor) -> float:
    """The square of the mean of ``X - mirrored X`` over that which chance gives it; one on average if there is nothing else."""
    apart = shapes - mirrored(shapes, partner)
    mean = apart.mean(0)
    variance = (apart - mean).square().sum() / (len(shapes) - 1)
    return float(len(shapes) * mean.square().sum() / variance.clamp_min(1e-12))


def _match_to_mirror_image(shape: Tensor, turn: float) -> Tensor:
    """Match a shape of radius one to its mirror image, by turns with aligning the two; the partners.

    The mirror image is turned by ``turn`` to begin with.
    """
    from scipy.optimize import linear_sum_assignment

    rotation = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]], dtype=torch.float64)
    image, partner = _reflected(shape) @ rotation, torch.arange(len(shape))
    for round_ in range(_ROUNDS):
        cost = torch.cdist(image, shape).square()
        # A symmetric cost has an involution among its best matchings.
        found = torch.as_tensor(linear_sum_assignment((cost + cost.T).numpy())[1])
        if torch.equal(found, partner) and round_ > 2:
            break
        partner = found
        image, _ = _aligned(shape, partner, quadratic=round_ > 0)
    return partner


def _aligned(shape: Tensor, partner: Tensor, *, quadratic: bool = True) -> tuple[Tensor, float]:
    """The mirror image aligned with a shape of radius one, each point near its partner; and by how much it misses."""
    reflected = _reflected(shape)
    features = _polynomial(reflected, degree=2 if quadratic and len(shape) >= _QUADRATIC_FROM else 1)
    image = features @ torch.linalg.lstsq(features, shape[partner], driver="gelsd").solution
    return image, float((image - shape[partner]).square().sum(-1).mean().sqrt())


def _turned(shape: Tensor, partner: Tensor) -> float:
    """By how much the mirror image misses if it may be turned and resized."""
    reflected, goal = torch.view_as_complex(_reflected(shape)), torch.view_as_complex(shape[partner])
    return float((_turn(shape, partner) * reflected - goal).abs().square().mean().sqrt())


def _turn(shape: Tensor, partner: Tensor) -> Tensor:
    """The complex number that turns and resizes the mirror image of a shape of radius one, each point towards its partner."""
    reflected, goal = torch.view_as_complex(_reflected(shape)), torch.view_as_complex(shape[partner])
    return (reflected.conj() * goal).mean()


def _reflected(shape: Tensor) -> Tensor:
    return shape * torch.tensor([-1.0, 1.0], dtype=torch.float64)


def _polynomial(points: Tensor, degree: int) -> Tensor:
    """Monomials of the coordinates: 1, x, y and, for degree 2, x², xy, y²."""
    x, y = points.unbind(-1)
    linear = [torch.ones_like(x), x, y]
    return torch.stack(linear if degree == 1 else [*linear, x * x, x * y, y * y], -1)


def mirrored(points: Tensor, permutation: Tensor) -> Tensor:
    """Landmarks ``(..., N, 2)`` of the unit square as the mirrored image shows them, indices swapped."""
    swapped = points[..., permutation, :]
    return torch.stack([1 - swapped[..., 0], swapped[..., 1]], -1)
