"""Regressions from what surrounds each landmark to the way to where it should be."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

_NEIGHBOUR = math.exp(-2)  # weight of the next row or column, that of a Gaussian with σ = 0.5 pixels
_DIRECTIONS = 8  # of the slope, all around
_GRID = 5  # points per side of a landmark's surroundings
_SPACING = 0.01  # of the crop
_JITTER = 0.008  # of the crop: how far landmarks are displaced to learn the way back
_COPIES = 2  # of each image, with landmarks displaced
_RIDGE = 0.3  # of the features' mean square
_GAIN = 1.5  # the way back is found too short, since each landmark itself is off
_CHUNK = 64  # images at once
_FINE = 128  # pixels that are fine enough to look at surroundings in a prediction
_TINY = 1e-12


class LocalRegression(nn.Module):
    r"""Regressions from the surroundings of each landmark to the way back to where it should be, one stage after another.

    A teacher that has learnt from equivariance alone finds about the same point of each object, but not quite: what it calls
    the corner of the mouth is a little further out in one face than in another. Each stage treats its landmarks as the truth,
    displaces them at random, and predicts the way back from their surroundings by ridge regression. A rule this simple can't
    reproduce the teacher's errors in single images; it learns only what the images share.

    .. math:: W = \arg\min_W \overline{\lVert W^\top f(I, X + \delta) + \delta \rVert^2} + c \lVert W \rVert^2, \qquad
        X \leftarrow \mathrm{denoise}\bigl(X + g\, W^\top f(I, X)\bigr)

    ``f`` holds the slope of the grey image in eight directions, as far as it is positive, on a small grid about the landmark.
    Grid and directions turn with the whole shape, and the grid scales with it. The mean of all landmarks stays where it is.
    The regressions are those of Xiong and De la Torre's supervised descent (2013), without the supervision. Not in the paper;
    docs/experiments.md has the measurements.

    Args:
        count: ``N``, landmarks.
        stages: how many regressions follow each other.

    Attributes:
        weights: ``(stages, N, F, 2)``, with the gain ``g``.
        mean: ``(N, 2)`` in the unit square, that of the landmarks when they were learnt.
    """

    weights: Tensor
    mean: Tensor

    def __init__(self, count: int, *, stages: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(stages, count, _GRID**2 * _DIRECTIONS + 1, 2))
        self.register_buffer("mean", torch.zeros(count, 2))

    def forward(self, points: Tensor, slopes: Tensor, smoothing: Tensor) -> Tensor:
        """Move landmarks to where their surroundings look as in other images.

        Args:
            points: ``(B, N, 2)`` in the unit square, their mean over all images that of the attribute ``mean``.
            slopes: ``(B, 2, S, S)``, see :func:`image_slopes`.
            smoothing: ``(2N, 2N)``, see :meth:`brule.geometry.ShapePrior.smoothing`; applied after each stage.

        Returns:
            ``(B, N, 2)``.
        """
        for weights in self.weights:
            frames = _frames(points, self.mean)
            way = _way(_surroundings(slopes, points, frames), weights)
            points = _smoothed(points + _turned(way, frames), self.mean, smoothing)
        return points

    @torch.no_grad()
    def fit(
        self, batches: Iterable[tuple[Tensor, Tensor]], *, mean: Tensor, smoothing: Tensor, generator: torch.Generator
    ) -> None:
        """Learn all stages from what a teacher finds.

        Args:
            batches: slopes ``(B, 2, S, S)`` and the teacher's landmarks ``(B, N, 2)``.
            mean: ``(N, 2)``: the landmarks' mean is moved there first, and stays there.
            smoothing: as for :meth:`forward`.
            generator: the source of randomness, on the CPU.
        """
        self.mean.copy_(mean)
        slopes, points = (torch.cat(own) for own in zip(*batches, strict=True))
        points = points - points.mean(0) + mean
        for weights in self.weights:
            frames = _frames(points, mean)
            chunks = list(zip(*(own.split(_CHUNK) for own in (slopes, points, frames)), strict=True))
            weights.copy_(_GAIN * _way_back(chunks, generator))
            ways = torch.cat([_way(_surroundings(*chunk), weights) for chunk in chunks])
            weights[:, -1] -= ways.mean(0)
            points = points + _turned(ways - ways.mean(0), frames)
            points = _smoothed(points - points.mean(0) + mean, mean, smoothing)


class FinalRegression(nn.Module):
    r"""Local regressions as the last step of a prediction: ``X + s (R(I, X) - X)``.

    What an encoder of few pixels gets wrong in a single image and what the regressions do are different errors, so a point
    between both is better than either.

    Args:
        count: ``N``, landmarks.
        share: ``s``, how much of the regressions' way landmarks move.

    Attributes:
        regression: ``R``, two stages.
        smoothing: ``(2N, 2N)``, what they smooth shapes by.
    """

    STAGES = 2

    smoothing: Tensor

    def __init__(self, count: int, *, share: float) -> None:
        super().__init__()
        self.share = share
        self.regression = LocalRegression(count, stages=self.STAGES)
        self.register_buffer("smoothing", torch.eye(2 * count))

    def forward(self, points: Tensor, crops: Tensor) -> Tensor:
        """Move landmarks ``(B, N, 2)`` in the unit square of their crops ``(B, C, S, S)``."""
        points = points.float()
        return points + self.share * (self.regression(points, self.slopes(crops), self.smoothing) - points)

    @staticmethod
    def slopes(crops: Tensor) -> Tensor:
        """Slopes of crops of any size at about 128 pixels: small ones are enlarged twofold, large ones averaged in blocks."""
        grey, size = crops.float().mean(1, keepdim=True), crops.shape[-1]
        if size < _FINE:
            grey = F.interpolate(grey, scale_factor=2.0, mode="bicubic", align_corners=False)
        elif size >= 2 * _FINE:
            grey = F.avg_pool2d(grey, size // _FINE)
        return image_slopes(grey)


def image_slopes(grey: Tensor) -> Tensor:
    """The slope of grey images ``(B, 1, S, S)`` along x and y, slightly blurred: ``(B, 2, S, S)``.

    In units of its mean length in each image, so that contrast doesn't matter.
    """
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    along_x, along_y = padded[..., 2:] - padded[..., :-2], padded[..., 2:, :] - padded[..., :-2, :]
    found = torch.cat(
        [
            along_x[..., 1:-1, :] + _NEIGHBOUR * (along_x[..., :-2, :] + along_x[..., 2:, :]),
            along_y[..., 1:-1] + _NEIGHBOUR * (along_y[..., :-2] + along_y[..., 2:]),
        ],
        dim=1,
    )
    return found / found.square().sum(1, keepdim=True).sqrt().mean((-1, -2), keepdim=True).clamp_min(1e-5)


def _way_back(chunks: list[tuple[Tensor, ...]], generator: torch.Generator) -> Tensor:
    """The regression ``(N, F, 2)`` from the surroundings of displaced landmarks to the way back, in the mean's frame.

    Args:
        chunks: slopes, points and frames of some images each.
        generator: the source of randomness, on the CPU.
    """
    gram, moments = torch.zeros(2, 1, 1, 1, device=chunks[0][0].device)
    for slopes, points, frames in chunks:
        for _ in range(_COPIES):
            displaced = _JITTER * torch.randn(points.shape, generator=generator).to(points)
            surroundings = _surroundings(slopes, points + _turned(displaced, frames), frames)
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


def _smoothed(points: Tensor, mean: Tensor, smoothing: Tensor) -> Tensor:
    return mean + ((points - mean).flatten(1) @ smoothing.T).view_as(points)


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


def _surroundings(slopes: Tensor, points: Tensor, frames: Tensor) -> Tensor:
    """How images rise in each direction on a grid about each landmark ``(B, N, 2)``, and a one: ``(B, N, F)``."""
    steps = (torch.arange(_GRID, device=points.device, dtype=points.dtype) - (_GRID - 1) / 2) * _SPACING
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).view(1, -1, 2)
    places = points[:, :, None] + _turned(grid, frames)[:, None]  # (B, N, G², 2)
    found = F.grid_sample(slopes, 2 * places - 1, padding_mode="border", align_corners=False)  # (B, 2, N, G²)
    angles = torch.arange(_DIRECTIONS, device=points.device, dtype=points.dtype) * (2 * math.pi / _DIRECTIONS)
    directions = _turned(torch.stack([angles.cos(), angles.sin()], -1)[None], frames)  # (B, 8, 2)
    directions = directions / directions.square().sum(-1, keepdim=True).clamp_min(_TINY).sqrt()
    rising = torch.einsum("bkc,bcng->bnkg", directions, found).relu()
    return F.pad(rising.flatten(2), (0, 1), value=1.0)
