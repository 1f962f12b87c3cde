"""A teacher's landmarks, moved to where the surroundings of each look as in the other images."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brule.arrays import evenly_spread
from brule.geometry import ShapePrior
from brule.model import BruleModel
from brule.tensors import Images
from brule.training.config import TrainingConfig
from brule.training.prediction import predict_crops

_MAX_IMAGES = 1000  # used for fitting
_SIZE = 64  # pixels at which surroundings are looked at, however large the encoder's input is
_BLUR = 0.5  # σ in these pixels
_REACH = 2  # pixels
_DIRECTIONS = 8  # of the gradient, all around
_GRID = 5  # points per side of a landmark's surroundings
_SPACING = 0.01  # of the crop
_STAGES = 4
_JITTER = 0.008  # of the crop: how far landmarks are displaced to learn the way back
_COPIES = 2  # of each image, with landmarks displaced
_RIDGE = 0.3  # of the features' mean square
_GAIN = 1.5  # the way back is found too short, since each landmark itself is off
_NOISE = 0.015  # of the crop: what the shape prior takes for noise after each stage
_CHUNK = 64  # images at once
_TINY = 1e-12


class LocalRegression(nn.Module):
    r"""Regressions from the surroundings of each landmark to the way back to where it should be, one stage after another.

    A teacher that has learnt from equivariance alone finds about the same point of each object, but not quite: what it calls
    the corner of the mouth is a little further out in one face than in another. Each stage treats its landmarks as the truth,
    displaces them at random, and predicts the way back from their surroundings by ridge regression. A rule this simple can't
    reproduce the teacher's errors in single images; it learns only what the images share.

    .. math:: W = \arg\min_W \overline{\lVert W^\top f(I, X + \delta) + \delta \rVert^2} + c \lVert W \rVert^2, \qquad
        X \leftarrow \mathrm{denoise}\bigl(X + g\, W^\top f(I, X)\bigr)

    ``f`` holds how strong the gradient is in eight directions, on a small grid about the landmark that turns and scales with
    the whole shape. The mean of all landmarks stays where it is. The regressions are those of Xiong and De la Torre's
    supervised descent (2013), without the supervision. Not in the paper; docs/experiments.md has the measurements.

    Args:
        count: ``N``, landmarks.

    Attributes:
        weights: ``(stages, N, F, 2)``, with the gain ``g``.
        mean: ``(N, 2)``, that of the shape prior when they were learnt.
    """

    weights: Tensor
    mean: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        features = _GRID**2 * _DIRECTIONS + 1
        self.register_buffer("weights", torch.zeros(_STAGES, count, features, 2))
        self.register_buffer("mean", torch.zeros(count, 2))

    @torch.no_grad()
    def forward(self, points: Tensor, crops: Tensor, prior: ShapePrior) -> Tensor:
        """Move landmarks to where their surroundings look as in other images.

        Args:
            points: ``(B, N, 2)`` in the unit square, their mean over all images that of the prior.
            crops: ``(B, C, S, S)``.
            prior: of the shape. Its mean may have moved since the regressions were learnt: landmarks are then looked at where
                they would have been, and moved alike.

        Returns:
            ``(B, N, 2)``, without gradient.
        """
        moved = prior.mean - self.mean
        prior = prior.moved(-moved)
        maps = gradients(crops)
        found = points.float() - moved
        for weights in self.weights:
            frames = _frames(found, self.mean)
            way = _way(_surroundings(maps, found, frames), weights)
            found = prior.denoise(found + _turned(way, frames), noise=_NOISE)
        return (found + moved).to(points.dtype)

    @torch.no_grad()
    def fit(
        self,
        teacher: BruleModel,
        images: Images,
        *,
        prior: ShapePrior,
        config: TrainingConfig,
        generator: torch.Generator,
    ) -> None:
        """Learn all stages from what a teacher finds.

        Args:
            teacher: the averaged model, in evaluation mode.
            images: unlabelled crops.
            prior: of the shape; landmarks are put about its mean first.
            config: its section ``crop`` is read.
            generator: the source of randomness, on the CPU.
        """
        self.mean.copy_(prior.mean)
        chosen = evenly_spread(len(images), _MAX_IMAGES)
        pairs = [(gradients(crops), points) for crops, points in predict_crops(teacher, images, config, chosen=chosen)]
        maps, points = (torch.cat(own) for own in zip(*pairs, strict=True))
        points = points - points.mean(0) + prior.mean
        for weights in self.weights:
            frames = _frames(points, prior.mean)
            chunks = list(zip(*(own.split(_CHUNK) for own in (maps, points, frames)), strict=True))
            weights.copy_(_GAIN * _way_back(chunks, generator))
            ways = torch.cat([_way(_surroundings(*chunk), weights) for chunk in chunks])
            weights[:, -1] -= ways.mean(0)
            points = points + _turned(ways - ways.mean(0), frames)
            points = prior.denoise(points - points.mean(0) + prior.mean, noise=_NOISE)


def gradients(crops: Tensor) -> Tensor:
    """How strong the gradient of each crop ``(B, C, S, S)`` is in eight directions: ``(B, 8, 64, 64)``, none negative.

    In units of the gradient's mean length in each image, so that contrast doesn't matter.
    """
    grey = crops.float().mean(1, keepdim=True)
    if grey.shape[-1] != _SIZE:
        grey = F.interpolate(grey, size=(_SIZE, _SIZE), mode="bilinear", antialias=True)
    x = torch.arange(-_REACH, _REACH + 1, device=grey.device, dtype=grey.dtype)
    blur = torch.softmax(-x.square() / (2 * _BLUR**2), 0)
    slope = x * blur
    along_x, along_y = blur[:, None] * slope, slope[:, None] * blur
    angles = [2 * math.pi * turn / _DIRECTIONS for turn in range(_DIRECTIONS)]
    filters = torch.stack([along_x * math.cos(angle) + along_y * math.sin(angle) for angle in angles])[:, None]
    found = F.conv2d(F.pad(grey, (_REACH,) * 4, mode="replicate"), filters).relu_()
    return found / found.square().sum(1, keepdim=True).sqrt().mean((-1, -2), keepdim=True).clamp_min(1e-6)


def _way_back(chunks: list[tuple[Tensor, ...]], generator: torch.Generator) -> Tensor:
    """The regression ``(N, F, 2)`` from the surroundings of displaced landmarks to the way back, in the mean's frame.

    Args:
        chunks: maps, points and frames of some images each.
        generator: the source of randomness, on the CPU.
    """
    gram, moments = torch.zeros(2, 1, 1, 1, device=chunks[0][0].device)
    for maps, points, frames in chunks:
        for _ in range(_COPIES):
            displaced = _JITTER * torch.randn(points.shape, generator=generator).to(points)
            surroundings = _surroundings(maps, points + _turned(displaced, frames), frames)
            gram = gram + torch.einsum("bnf,bng->nfg", surroundings, surroundings)
            moments = moments - torch.einsum("bnf,bnd->nfd", surroundings, displaced)
    penalty = _RIDGE * torch.diagonal(gram, dim1=1, dim2=2).mean(1)[:, None].repeat(1, gram.shape[-1])
    penalty[:, -1] = 0  # of the constant feature
    matrices = (gram + torch.diag_embed(penalty)).cpu().double().numpy()
    # Not by PyTorch: with two threads, its solver of many systems at once never returns on some CPUs (MKL, torch 2.13).
    return torch.from_numpy(np.linalg.solve(matrices, moments.cpu().double().numpy())).to(gram)


def _way(surroundings: Tensor, weights: Tensor) -> Tensor:
    """The way ``(B, N, 2)`` that the surroundings ``(B, N, F)`` of landmarks show, in the mean's frame."""
    return torch.einsum("bnf,nfd->bnd", surroundings, weights)


def _frames(points: Tensor, mean: Tensor) -> Tensor:
    """The rotation and scale ``(B, 2, 2)`` that carry the mean ``(N, 2)`` nearest to each shape ``(B, N, 2)``."""
    if len(mean) == 1:
        return torch.eye(2).to(points).expand(len(points), 2, 2)
    like, apart = mean - mean.mean(0), points - points.mean(1, keepdim=True)
    size = like.square().sum().clamp_min(_TINY)
    cosine = (apart * like).sum((1, 2)) / size
    sine = (apart[..., 1] * like[:, 0] - apart[..., 0] * like[:, 1]).sum(1) / size
    return torch.stack([cosine, -sine, sine, cosine], -1).view(-1, 2, 2)


def _turned(displacements: Tensor, frames: Tensor) -> Tensor:
    return torch.einsum("bij,bnj->bni", frames, displacements)


def _surroundings(maps: Tensor, points: Tensor, frames: Tensor) -> Tensor:
    """What maps ``(B, 8, S, S)`` hold on a grid about each landmark ``(B, N, 2)``, and a one: ``(B, N, F)``."""
    steps = (torch.arange(_GRID, device=points.device, dtype=points.dtype) - (_GRID - 1) / 2) * _SPACING
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).view(1, -1, 2)
    places = points[:, :, None] + _turned(grid.expand(len(points), -1, -1), frames)[:, None]  # (B, N, G², 2)
    found = F.grid_sample(maps, 2 * places - 1, padding_mode="border", align_corners=False)  # (B, 8, N, G²)
    found = _turned_directions(found, torch.atan2(frames[:, 1, 0], frames[:, 0, 0]))
    return F.pad(found.permute(0, 2, 3, 1).flatten(2), (0, 1), value=1.0)


def _turned_directions(found: Tensor, angles: Tensor) -> Tensor:
    """The directions of gradients ``(B, 8, …)``, seen from frames that are turned by angles ``(B,)``."""
    steps = angles * _DIRECTIONS / (2 * math.pi)
    whole = steps.floor()
    first = torch.arange(_DIRECTIONS, device=found.device) + whole.long()[:, None]  # (B, 8)
    rows = torch.arange(len(found), device=found.device)[:, None]
    one, next_one = found[rows, first % _DIRECTIONS], found[rows, (first + 1) % _DIRECTIONS]
    return one.lerp(next_one, (steps - whole).view(-1, *[1] * (found.ndim - 1)))
