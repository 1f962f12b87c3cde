"""The pair of pictures that a step compares, and the map between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from brule.geometry.symmetry import mirrored
from brule.geometry.warps import SynchronizedWarp


@dataclass(frozen=True)
class AugmentedPair:
    """An image ``I``, its moved copy ``gI``, and ``g``.

    Attributes:
        view1: ``I``, ``(B, C, S, S)``; black is -1 and white 1 before colours are changed.
        view2: ``gI``, of the same shape.
        clean1: ``I`` before its colours are changed: what a decoder is to redraw.
        clean2: ``gI`` before its colours are changed.
        warp: the warp in ``g``.
        flipped: ``(B,)``, whether ``g`` mirrors before it warps; ``None`` if none does.
        mirror: the permutation of the indices under mirroring, ``(N,)``.
    """

    view1: Tensor
    view2: Tensor
    clean1: Tensor
    clean2: Tensor
    warp: SynchronizedWarp
    flipped: Tensor | None = None
    mirror: Tensor | None = None

    def move(self, points: Tensor) -> Tensor:
        """``gX`` for landmarks ``(B, N, 2)`` of ``I``, in the unit square; differentiable."""
        return self.warp.points(self._mirrored(points))

    def move_back(self, points: Tensor) -> Tensor:
        """``g⁻¹Y`` for landmarks ``(B, N, 2)`` of ``gI``, in the unit square of ``I``; differentiable."""
        return self._mirrored(self.warp.inverse_points(points))

    def move_heatmap(self, heatmaps: Tensor) -> Tensor:
        """``gL`` for heatmaps ``(B, 1, H, W)`` of ``I``; a heatmap knows no index, so mirroring just turns it over."""
        if self.flipped is not None:
            heatmaps = flipped_where(heatmaps, self.flipped)
        return self.warp.heatmap(heatmaps)

    def _mirrored(self, points: Tensor) -> Tensor:
        if self.flipped is None or self.mirror is None:
            return points
        return torch.where(self.flipped[:, None, None], mirrored(points, self.mirror), points)


def flipped_where(images: Tensor, which: Tensor) -> Tensor:
    """Images ``(B, C, H, W)`` turned over where ``which`` ``(B,)`` is true."""
    return torch.where(which[:, None, None, None], images.flip(-1), images)
