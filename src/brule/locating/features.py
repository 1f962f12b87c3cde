"""Histograms of oriented gradients in torch: what the filters of the locator see of an image."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SIGNED = 18  # orientations over the full turn; 9 of them over half of it
CHANNELS = SIGNED + SIGNED // 2 + 4
_TRUNCATE = 0.2  # Felzenszwalb et al. 2010, §6.1
_ENERGY = 0.2357  # of the same section: puts the four energy channels on the scale of the others
_FLOOR = 1e-4  # of a block's squared norm: flat areas stay near zero rather than turn into noise


def hog(images: Tensor, cell: int) -> Tensor:
    """Gradient histograms of 31 channels for every cell of an image (Felzenszwalb et al. 2010, §6).

    Each pixel votes with its gradient's length for its two nearest orientations and its four nearest cells. A cell's
    histogram is normalised by its four blocks of 2 × 2 cells, cut at 0.2 and summed: 18 signed orientations, 9 unsigned
    ones, and the energy under each of the four normalisations.

    Args:
        images: ``(B, H, W)`` grey, from 0 to 1.
        cell: side of a cell in pixels, even.

    Returns:
        ``(B, 31, H // cell, W // cell)``; cell ``(i, j)`` spans the pixels from ``i · cell`` to ``(i + 1) · cell``.
    """
    return normalised(pooled(_votes(images, cell // 2)))


def normalised(histogram: Tensor) -> Tensor:
    """The 31 channels of cells whose histograms of 18 signed orientations are known: ``(B, 18, h, w)`` → ``(B, 31, h, w)``."""
    unsigned = histogram[:, : SIGNED // 2] + histogram[:, SIGNED // 2 :]
    energy = F.pad(unsigned.square().sum(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    block = 4 * F.avg_pool2d(energy, 2, stride=1)  # (B, 1, h + 1, w + 1)
    scale = (block + _FLOOR).rsqrt()
    scales = [scale[..., i : i + histogram.shape[2], j : j + histogram.shape[3]] for i in (0, 1) for j in (0, 1)]
    signed_sum, unsigned_sum = torch.zeros_like(histogram), torch.zeros_like(unsigned)
    energies: list[Tensor] = []
    for one in scales:
        cut = (histogram * one).clamp_max(_TRUNCATE)
        signed_sum, energies = signed_sum + cut, [*energies, _ENERGY * cut.sum(1, keepdim=True)]
        unsigned_sum = unsigned_sum + (unsigned * one).clamp_max(_TRUNCATE)
    return torch.cat([0.5 * signed_sum, 0.5 * unsigned_sum, *energies], 1)


def _votes(images: Tensor, half: int) -> Tensor:
    """Sums of gradient lengths by orientation over squares of ``half`` a cell: ``(B, 18, H // half, W // half)``."""
    rows, columns = images.shape[1] // (2 * half) * 2, images.shape[2] // (2 * half) * 2
    batch, squares, bins = len(images), rows * columns, SIGNED + 2  # the last two are the first two again
    padded = F.pad(images[:, None], (1, 1, 1, 1), mode="replicate")[:, 0, : rows * half + 2, : columns * half + 2]
    dx = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    dy = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    length = torch.hypot(dx, dy)
    turn = torch.atan2(dy, dx).add_(math.pi).mul_(SIGNED / (2 * math.pi))
    lower = turn.floor()
    upper = turn.sub_(lower).mul_(length)
    # 32-bit indices take half the time.
    row, column, image = (
        torch.arange(k, device=images.device, dtype=torch.int32) for k in (rows * half, columns * half, batch)
    )
    square = (row // half)[:, None] * columns + column // half + (squares * bins * image)[:, None, None]
    place = lower.int().mul_(squares).add_(square).flatten()
    votes = images.new_zeros(batch * bins * squares)
    votes.index_add_(0, place, length.sub_(upper).flatten())
    votes.index_add_(0, place.add_(squares), upper.flatten())
    votes = votes.view(batch, bins, rows, columns)
    votes[:, :2] += votes[:, SIGNED:]
    return votes[:, :SIGNED]


def pooled(halves: Tensor) -> Tensor:
    """Histograms of cells from those of half cells: each counts for its two nearest cells along each axis, by 3 to 1."""
    padded = F.pad(halves, (1, 1, 1, 1))
    rows = 0.75 * (padded[:, :, 1:-1:2] + padded[:, :, 2::2]) + 0.25 * (padded[:, :, :-2:2] + padded[:, :, 3::2])
    return 0.75 * (rows[..., 1:-1:2] + rows[..., 2::2]) + 0.25 * (rows[..., :-2:2] + rows[..., 3::2])
