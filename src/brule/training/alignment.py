"""Estimating the mean shape from edges and corners in unlabelled images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from brule.arrays import evenly_spread
from brule.geometry import ShapeModel, ShapePrior, mirrored, nearest_neighbour_edges
from brule.model import BruleModel
from brule.networks import LocalRegression
from brule.tensors import Images
from brule.training.config import TrainingConfig
from brule.training.local_regression import regressed
from brule.training.prediction import predict_crops

_PIXELS = 512 * 128**2  # of all gradient maps together: 512 images of an encoder at 64 px
_MIN_IMAGES = 64
_FINEST = 160  # side to which smaller images are enlarged: edges are placed between pixels
_EDGE_BLUR = 0.6  # σ in pixels of the enlarged image
_CORNER_BLUR = 0.0095  # σ in sides of the crop
_CORNER_WINDOW = 1.5  # over which the structure tensor is averaged, in multiples of that blur
_TINY = 1e-6
_LONGEST = 0.12  # of the crop: two neighbours further apart aren't joined by a contour
_OPPOSITE = -0.5  # cosine of the angle between the directions to two neighbours, at most, on a contour
_ON_CONTOURS = 0.25  # of all landmarks, at least, and …
_FEWEST_ON_CONTOURS = 4  # of them: fewer lie between two neighbours by chance
_PROMINENT = 1.5  # times the average of the crop: weaker places are no corners
_DIRECTIONS = 30
STRICTNESS = 0.02  # weight of a shift by one standard deviation of the shapes, for each annotated shape
_STEPS = 60
_AT_ONCE = 64  # crops that are filtered together


class Evidence(Protocol):
    """What images say about where landmarks are."""

    def strength(self, points: Tensor) -> Tensor:
        """How well landmarks ``(B, N, 2)`` in the unit square of the crop fit the images: a number, larger is better."""
        ...


@dataclass(frozen=True)
class Contours:
    """Edges and lines along the contours that join near neighbours.

    Attributes:
        start: ``(E,)`` indices of landmarks.
        end: ``(E,)`` those of their neighbours.
        slopes: ``(B, 5, S, S)``, see :func:`derivatives`.
    """

    start: Tensor
    end: Tensor
    slopes: Tensor

    @classmethod
    def of(cls, shape: Tensor, images: Tensor, size: int) -> Contours | None:
        """Those of a shape ``(N, 2)`` in crops ``(B, C, S, S)``; ``None`` if too few landmarks lie on contours.

        The maps have ``size`` × ``size`` pixels.
        """
        if not traces_contours(shape):
            return None
        edges, kept = nearest_neighbour_edges(shape[None])
        own = edges[0][kept[0]]
        own = own[(shape[own[:, 0]] - shape[own[:, 1]]).norm(dim=-1) < _LONGEST]
        return cls(own[:, 0], own[:, 1], torch.cat([derivatives(part, size) for part in images.split(_AT_ONCE)]))

    def strength(self, points: Tensor) -> Tensor:
        """How much of an edge or of a line is found halfway between neighbours, across the contour."""
        start, end = points[:, self.start], points[:, self.end]
        x, y = F.normalize((end - start).detach(), dim=-1, eps=1e-6).unbind(-1)
        there = _sampled(self.slopes, (start + end) / 2)  # (B, 5, E)
        edge = there[:, 0] * y - there[:, 1] * x
        line = there[:, 2] * y.square() - 2 * there[:, 3] * x * y + there[:, 4] * x.square()
        return (edge.square() + line.square() + _TINY).sqrt().mean()


@dataclass(frozen=True)
class Corners:
    """Corners and blobs at those landmarks that lie on one.

    Attributes:
        chosen: ``(N,)`` 1 for these landmarks, 0 for the others.
        maps: ``(B, 1, S, S)``, see :func:`corner_strength`.
    """

    chosen: Tensor
    maps: Tensor

    @classmethod
    def of(cls, points: Tensor, images: Tensor, size: int) -> Corners:
        """Those at landmarks ``(B, N, 2)`` of crops ``(B, C, S, S)``, on average over the crops; ``size`` as for contours."""
        maps = torch.cat([corner_strength(part, size) for part in images.split(_AT_ONCE)])
        prominent = _sampled(maps, points).mean((0, 1)) > _PROMINENT * maps.mean()
        return cls(prominent.to(maps), maps)

    def strength(self, points: Tensor) -> Tensor:
        """How pronounced the corners at the chosen landmarks are."""
        return (_sampled(self.maps, points)[:, 0] * self.chosen).mean()


@torch.no_grad()
def align_mean(
    teacher: BruleModel,
    images: Images,
    *,
    shape_model: ShapeModel,
    config: TrainingConfig,
    regression: LocalRegression | None = None,
    corners: bool = True,
) -> Tensor:
    r"""The shift from the mean of a few annotated shapes to the mean shape that fits the images best.

    Without annotated images, a teacher whose landmarks are all too high can't be distinguished from one whose landmarks are
    right: both follow warps, and both are held to the mean of the annotated shapes. The mean of ``n`` shapes ``N(μ, Σ)`` is off
    by ``N(0, Σ / n)``. But people annotate along edges and lines, and so the image has more of them on the right contours:

    .. math:: \hat a = \arg\max_a \; \overline{\sqrt{I_\nu^2 + \sigma^2 I_{\nu\nu}^2}}\,(E(I) + \textstyle\sum_k a_k d_k)
        - \tfrac{c\,n}{2} \lvert a \rvert^2

    over the principal directions ``d_k`` of the shape prior (one standard deviation long), with the derivatives of ``I``,
    blurred by ``σ``, across the contour halfway between two neighbours, in units of the gradient's mean length in the image: an
    edge's slope and a line's bend, the local energy of Morrone and Owens (1987). With few shapes the mean may move far, with
    many it hardly does.

    Where the landmarks don't trace contours, the first term is the root of the smaller eigenvalue of the structure tensor
    (Shi and Tomasi, 1994), at those landmarks where it is more than 1.5 times its average over the crops: people choose single
    points that can be found again, and these are corners and blobs, where the image changes in every direction. Where the shape
    is symmetric, so is the shift. A few annotated images leave the mean open as well, if less so. Not in the paper;
    docs/experiments.md has the measurements.

    Args:
        teacher: the averaged model, in evaluation mode.
        images: unlabelled crops.
        shape_model: its prior's mean is what is shifted.
        config: its section ``crop`` is read.
        regression: moves the teacher's landmarks first; ``None`` before it is learnt.
        corners: whether landmarks that don't trace contours are moved at all.

    Returns:
        ``(N, 2)`` in the unit square of the crop; zero if ``corners`` is false and the landmarks don't trace contours.
    """
    prior = shape_model.prior
    assert prior is not None
    if not corners and not traces_contours(prior.mean):
        return torch.zeros_like(prior.mean)
    size = max(config.crop.image_size, min(2 * config.crop.image_size, _FINEST))
    count = max(_MIN_IMAGES, _PIXELS // size**2)
    chosen = evenly_spread(len(images), count)
    batches, found = zip(*predict_crops(teacher, images, config, chosen=chosen), strict=True)
    crops, points = torch.cat(batches), torch.cat(found)
    points = points - points.mean(0) + prior.mean
    if regression is not None:
        points = regressed(regression, points, crops, prior=prior)
        points = points - points.mean(0) + prior.mean
    evidence = Contours.of(prior.mean, crops, size) or Corners.of(points, crops, size)
    directions = principal_directions(prior, shape_model.mirror)
    return best_shift(evidence, points, directions, strictness=STRICTNESS * prior.count)


def best_shift(evidence: Evidence, points: Tensor, directions: Tensor, *, strictness: float) -> Tensor:
    """The shift ``(N, 2)`` of all landmarks ``(B, N, 2)``, along directions ``(K, N, 2)``, that fits the evidence best.

    ``strictness`` is the weight of half the squared amounts of the directions.
    """
    amounts = torch.zeros(len(directions), device=points.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([amounts], max_iter=_STEPS, line_search_fn="strong_wolfe")

    @torch.enable_grad()
    def cost() -> Tensor:
        optimizer.zero_grad()
        moved = points + torch.einsum("k,knd->nd", amounts, directions)
        value = strictness / 2 * amounts.square().sum() - evidence.strength(moved)
        value.backward()
        return value

    optimizer.step(cost)
    return torch.einsum("k,knd->nd", amounts.detach(), directions)


def traces_contours(shape: Tensor) -> bool:
    """Whether enough landmarks ``(N, 2)`` lie between two near neighbours, as along a contour."""
    if len(shape) < 3:
        return False
    edges, _ = nearest_neighbour_edges(shape[None])  # two from every landmark
    towards = (shape[edges[0, :, 1]] - shape[edges[0, :, 0]]).view(-1, 2, 2)
    one, other = F.normalize(towards, dim=-1).unbind(1)
    between = ((one * other).sum(-1) < _OPPOSITE) & (towards.norm(dim=-1).amax(1) < _LONGEST)
    return int(between.sum()) >= max(_ON_CONTOURS * len(shape), _FEWEST_ON_CONTOURS)


def principal_directions(prior: ShapePrior, mirror: Tensor | None) -> Tensor:
    """The principal directions of a prior, ``(K, N, 2)``, each one standard deviation long; only their symmetric part."""
    variances, vectors = torch.linalg.eigh((prior.factor @ prior.factor.T).cpu().double())
    order = variances.argsort(descending=True)[:_DIRECTIONS]
    directions = (vectors[:, order] * variances[order].clamp_min(0).sqrt()).T.reshape(len(order), -1, 2)
    if mirror is not None:
        turned = mirrored(directions, mirror.cpu()) - mirrored(torch.zeros_like(directions), mirror.cpu())  # displacements
        directions = (directions + turned) / 2
    return directions.to(prior.mean)


def corner_strength(images: Tensor, size: int) -> Tensor:
    """How much images ``(B, C, S, S)`` change in *every* direction about each place: ``(B, 1, size, size)``.

    The root of the smaller eigenvalue of the structure tensor, in units of the gradient's mean length in each image.
    """
    sigma = _CORNER_BLUR * size
    grey = _grey(images, size)
    blur, slope, _ = _filters(sigma, grey)
    x, y = _per_gradient(torch.cat([_filtered(grey, blur, slope), _filtered(grey, slope, blur)], 1)).split(1, dim=1)
    window, _, _ = _filters(_CORNER_WINDOW * sigma, grey)
    xx, xy, yy = (_filtered(product, window, window) for product in (x * x, x * y, y * y))
    smaller = (xx + yy - ((xx - yy).square() + 4 * xy.square()).sqrt()) / 2
    return (smaller.clamp_min(0) + _TINY).sqrt()


def derivatives(images: Tensor, size: int) -> Tensor:
    """The derivatives of blurred images ``(B, C, S, S)``: ``(B, 5, size, size)`` along x, y, xx, xy, yy.

    In units of the gradient's mean length in each image, the second ones times the blur's width, so that an edge and a line of
    equal contrast count alike.
    """
    grey = _grey(images, size)
    blur, slope, bend = _filters(_EDGE_BLUR, grey)
    along_y, along_x = (blur, slope, blur, slope * _EDGE_BLUR, bend), (slope, blur, bend, slope, blur)
    slopes = [_filtered(grey, down, across) for down, across in zip(along_y, along_x, strict=True)]
    return _per_gradient(torch.cat(slopes, 1))


def _grey(images: Tensor, size: int) -> Tensor:
    grey = images.mean(1, keepdim=True)
    if size == grey.shape[-1]:
        return grey
    return F.interpolate(grey, size=(size, size), mode="bicubic", align_corners=False)


def _per_gradient(derivatives: Tensor) -> Tensor:
    """Derivatives ``(B, 2 or more, S, S)`` in units of the mean length of the gradient, the first two of them."""
    return derivatives / derivatives[:, :2].norm(dim=1, keepdim=True).mean((-1, -2), keepdim=True).clamp_min(1e-6)


def _filters(sigma: float, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A sampled Gaussian ``(2 r + 1,)`` whose sum is 1, its first derivative, and its second one times ``sigma``."""
    reach = math.ceil(4 * sigma)
    x = torch.arange(-reach, reach + 1, device=like.device, dtype=like.dtype)
    blur = torch.softmax(-x.square() / (2 * sigma**2), 0)
    variance = (x.square() * blur).sum()  # of the sampled Gaussian, so that the filters are exact for parabolas
    slope, bend = x / variance * blur, (x.square() / variance - 1) * blur
    return blur, slope, bend * 2 * sigma / (x.square() * bend).sum()


def _filtered(maps: Tensor, along_y: Tensor, along_x: Tensor) -> Tensor:
    """Maps ``(B, 1, S, S)``, filtered along y and along x; beyond its border an image goes on as it is there.

    As products with band matrices, which take a CPU a fifth of the time of convolutions.
    """
    down, across = (_band(weights, maps.shape[-1]) for weights in (along_y, along_x))
    return down @ maps @ across.T


def _band(weights: Tensor, size: int) -> Tensor:
    """The matrix ``(size, size)`` that correlates a row of pixels with weights ``(2 r + 1,)``."""
    reach = len(weights) // 2
    at = torch.arange(size, device=weights.device)
    column = (at[:, None] + torch.arange(-reach, reach + 1, device=weights.device)).clamp(0, size - 1)
    return weights.new_zeros(size, size).scatter_add_(1, column, weights.expand(size, -1))


def _sampled(maps: Tensor, points: Tensor) -> Tensor:
    """What maps ``(B, C, S, S)`` have at places ``(B, N, 2)`` in their unit square: ``(B, C, N)``."""
    return F.grid_sample(maps, (2 * points - 1)[:, :, None], align_corners=False)[..., 0]
