"""Estimating the mean shape from edges in unlabelled images."""

from __future__ import annotations

from dataclasses import dataclass

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
_BLUR = 0.6  # σ in pixels of the enlarged image
_REACH = 3  # pixels
_TINY = 1e-6
_LONGEST = 0.12  # of the crop: two neighbours further apart aren't joined by a contour
_DIRECTIONS = 30
_STRICTNESS = 0.02  # weight of a shift by one standard deviation of the shapes, for each annotated shape
_STEPS = 60


@dataclass(frozen=True)
class Contours:
    """The landmarks that a contour joins: pairs of near neighbours.

    Attributes:
        start: ``(E,)`` indices of landmarks.
        end: ``(E,)`` those of their neighbours.
    """

    start: Tensor
    end: Tensor

    @classmethod
    def of(cls, shape: Tensor) -> Contours | None:
        """Those of a shape ``(N, 2)``; ``None`` if most of its landmarks have no near neighbour."""
        edges, kept = nearest_neighbour_edges(shape[None])
        own = edges[0][kept[0]]
        own = own[(shape[own[:, 0]] - shape[own[:, 1]]).norm(dim=-1) < _LONGEST]
        joined = len(own.unique())
        return cls(own[:, 0], own[:, 1]) if 2 * joined > len(shape) else None

    def strength(self, points: Tensor, slopes: Tensor) -> Tensor:
        """How much of an edge or of a line is found halfway between neighbours, across the contour: a number.

        Args:
            points: landmarks ``(B, N, 2)`` in the unit square of the maps.
            slopes: ``(B, 5, S, S)``, see :func:`derivatives`.
        """
        start, end = points[:, self.start], points[:, self.end]
        x, y = F.normalize((end - start).detach(), dim=-1, eps=1e-6).unbind(-1)
        places = (start + end) - 1  # midpoints, in -1 … 1
        there = F.grid_sample(slopes, places[:, :, None], align_corners=False)[..., 0]  # (B, 5, E)
        edge = there[:, 0] * y - there[:, 1] * x
        line = there[:, 2] * y.square() - 2 * there[:, 3] * x * y + there[:, 4] * x.square()
        return (edge.square() + line.square() + _TINY).sqrt().mean()


@torch.no_grad()
def align_with_edges(
    teacher: BruleModel,
    images: Images,
    *,
    shape_model: ShapeModel,
    config: TrainingConfig,
    regression: LocalRegression | None = None,
) -> Tensor:
    r"""The shift from the mean of a few annotated shapes to the mean shape that fits edges in the images best.

    Without annotated images, a teacher whose landmarks are all too high can't be distinguished from one whose landmarks are
    right: both follow warps, and both are held to the mean of the annotated shapes. The mean of ``n`` shapes ``N(μ, Σ)`` is off
    by ``N(0, Σ / n)``. But people annotate along edges and lines, and so the image has more of them on the right contours:

    .. math:: \hat a = \arg\max_a \; \overline{\sqrt{I_\nu^2 + \sigma^2 I_{\nu\nu}^2}}\,(E(I) + \textstyle\sum_k a_k d_k)
        - \tfrac{c\,n}{2} \lvert a \rvert^2

    over the principal directions ``d_k`` of the shape prior (one standard deviation long), with the derivatives of ``I``,
    blurred by ``σ``, across the contour halfway between two neighbours, in units of the gradient's mean length in the image: an
    edge's slope and a line's bend, the local energy of Morrone and Owens (1987). With few shapes the mean may move far, with
    many it hardly does. Nothing is moved if most landmarks have no near neighbour, since they don't trace a contour. Where the
    shape is symmetric, so is the shift. A few annotated images leave the mean open as well, if less so. Not in the paper;
    docs/experiments.md has the measurements.

    Args:
        teacher: the averaged model, in evaluation mode.
        images: unlabelled crops.
        shape_model: its prior's mean is what is shifted.
        config: its section ``crop`` is read.
        regression: moves the teacher's landmarks first; ``None`` before it is learnt.

    Returns:
        ``(N, 2)`` in the unit square of the crop.
    """
    prior = shape_model.prior
    assert prior is not None
    contours = Contours.of(prior.mean)
    if contours is None:
        return torch.zeros_like(prior.mean)
    size = max(config.crop.image_size, min(2 * config.crop.image_size, _FINEST))
    count = max(_MIN_IMAGES, _PIXELS // size**2)
    chosen = evenly_spread(len(images), count)
    batches, found = zip(*predict_crops(teacher, images, config, chosen=chosen), strict=True)
    slopes, points = torch.cat([derivatives(crops, size) for crops in batches]), torch.cat(found)
    points = points - points.mean(0) + prior.mean
    if regression is not None:
        points = regressed(regression, points, torch.cat(batches), prior=prior)
        points = points - points.mean(0) + prior.mean
    directions = principal_directions(prior, shape_model.mirror)
    strictness = _STRICTNESS * prior.count
    amounts = torch.zeros(len(directions), device=points.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([amounts], max_iter=_STEPS, line_search_fn="strong_wolfe")

    @torch.enable_grad()
    def cost() -> Tensor:
        optimizer.zero_grad()
        moved = points + torch.einsum("k,knd->nd", amounts, directions)
        value = strictness / 2 * amounts.square().sum() - contours.strength(moved, slopes)
        value.backward()
        return value

    optimizer.step(cost)
    return torch.einsum("k,knd->nd", amounts, directions)


def principal_directions(prior: ShapePrior, mirror: Tensor | None) -> Tensor:
    """The principal directions of a prior, ``(K, N, 2)``, each one standard deviation long; only their symmetric part."""
    variances, vectors = torch.linalg.eigh((prior.factor @ prior.factor.T).cpu().double())
    order = variances.argsort(descending=True)[:_DIRECTIONS]
    directions = (vectors[:, order] * variances[order].clamp_min(0).sqrt()).T.reshape(len(order), -1, 2)
    if mirror is not None:
        turned = mirrored(directions, mirror.cpu()) - mirrored(torch.zeros_like(directions), mirror.cpu())  # displacements
        directions = (directions + turned) / 2
    return directions.to(prior.mean)


def derivatives(images: Tensor, size: int) -> Tensor:
    """The derivatives of blurred images ``(B, C, S, S)``: ``(B, 5, size, size)`` along x, y, xx, xy, yy.

    In units of the gradient's mean length in each image, the second ones times the blur's width, so that an edge and a line of
    equal contrast count alike.
    """
    grey = images.mean(1, keepdim=True)
    if size != grey.shape[-1]:
        grey = F.interpolate(grey, size=(size, size), mode="bicubic", align_corners=False)
    x = torch.arange(-_REACH, _REACH + 1, device=grey.device, dtype=grey.dtype)
    blur = torch.softmax(-x.square() / (2 * _BLUR**2), 0)
    variance = (x.square() * blur).sum()  # of the sampled Gaussian, so that the filters are exact for parabolas
    slope, bend = x / variance * blur, (x.square() / variance - 1) * blur
    bend = bend * 2 * _BLUR / (x.square() * bend).sum()
    over_y, over_x = (blur, slope, blur, slope * _BLUR, bend), (slope, blur, bend, slope, blur)
    filters = torch.stack([along_y[:, None] * along_x for along_y, along_x in zip(over_y, over_x, strict=True)])[:, None]
    slopes = F.conv2d(F.pad(grey, (_REACH,) * 4, mode="replicate"), filters)
    return slopes / slopes[:, :2].norm(dim=1, keepdim=True).mean((-1, -2), keepdim=True).clamp_min(1e-6)
