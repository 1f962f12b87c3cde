"""The locator as a module that ``torch.export`` can follow: an image of any size in, the likeliest places of objects out.

The grey copy has a fixed canvas, so that every level of the pyramid has a fixed size; what is beyond the image is masked.
Resampling is written as products of matrices, and the votes of the gradients as weights, because ONNX has neither as brule
computes them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brule.locating import Locator
from brule.locating.features import SIGNED, normalised, pooled
from brule.locating.framing import ANYWHERE, CERTAIN
from brule.locating.locator import PEAKS
from brule.locating.places import NEAR, VOTE

CANDIDATES = 5  # places of an image that the file gives
_GREY = (0.299, 0.587, 0.114)


class _Peaks(NamedTuple):
    """Local maxima of all levels and filters: places ``(T, 5)`` in pixels of the canvas, and margins ``(T,)``."""

    places: Tensor
    margins: Tensor


class LocatorGraph(nn.Module):
    """Finds objects in one image, as ``brule predict`` does: by :meth:`brule.locating.Locator.locate`, the likeliest first.

    Args:
        locator: its filters and settings.
        most: places that are given.
    """

    def __init__(self, locator: Locator, *, most: int = CANDIDATES) -> None:
        super().__init__()
        self.locator, self.most = locator, most
        settings, side = locator.settings, locator.longest
        smallest = max(int(0.8 * min(locator.box)), settings.cell)
        self.sides = [side]
        while (smaller := round(side * settings.step ** -len(self.sides))) >= smallest and len(self.sides) < 64:
            self.sides.append(smaller)
        self.smallest = smallest
        for level in range(1, len(self.sides)):
            self.register_buffer(f"shrink{level}", _shrinking(self.sides[level - 1], self.sides[level]))
        for number, one in enumerate(locator.filters):
            self.register_buffer(f"filter{number}", one.weights.detach().cpu().float()[None])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find the surest places; the one that is almost certain, and most usual in place and size, comes first.

        Args:
            image: ``(H, W, 3)`` bytes.

        Returns:
            Boxes ``(K, 4)``: left, top, right, bottom in pixels of the image, in the object's upright frame; angles ``(K,)`` in
            degrees; scores ``(K,)`` from 0 to 1.
        """
        canvas, extent, scale = self._canvas(image)
        found = self._responses(canvas, extent)
        places, margins = self._distinct(found)
        slope, offset = self.locator.calibration
        centre = (places[:, :2] + 0.5) / scale - 0.5
        half = places[:, 2:4] / (scale[0] * scale[1]).sqrt() / 2
        odds = slope * margins + offset
        value = odds.clamp(max=CERTAIN) + self._usualness(centre, 2 * half, extent / scale)
        order = value.topk(self.most).indices
        return torch.cat([centre - half, centre + half], 1)[order], places[:, 4][order], torch.sigmoid(odds)[order]

    def _usualness(self, centre: Tensor, size: Tensor, extent: Tensor) -> Tensor:
        """``(K,)``, see :meth:`brule.locating.Framing.usualness`."""
        density = self.locator.framing.density
        if density is None:
            return torch.zeros(self.most)
        mean, scale = (torch.tensor(values.tolist()) for values in (density.mean, density.scale))
        measured = torch.cat([(centre + 0.5) / extent, (size.amax(1, keepdim=True) / extent.max()).log()], 1)
        away = ((measured - mean) ** 2 / scale / density.degrees).log1p().sum(1)
        return ((1 - ANYWHERE) * (-(density.degrees + 1) / 2 * away).exp() + ANYWHERE).log()

    def _canvas(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The grey copy ``(L, L)`` from 0 to 1, its width and height in pixels, and pixels of it for one of the image."""
        side = self.sides[0]
        size = torch.stack([torch.full((), 1.0 * image.shape[1]), torch.full((), 1.0 * image.shape[0])])
        extent = (size * (side / size.amax(0))).round().clamp_min(1)
        grey = (image.float() * torch.tensor(_GREY)).sum(2).round()
        across = _sampling(size[0], extent[0], torch.arange(image.shape[1]), side=side)
        down = _sampling(size[1], extent[1], torch.arange(image.shape[0]), side=side)
        small = (down @ (grey @ across.T).round()).round().clamp(0, 255)
        return small / 255, extent, extent / size

    def _responses(self, canvas: Tensor, extent: Tensor) -> _Peaks:
        """The local maxima of every filter at every level."""
        parts, full = [], self.sides[0]
        for level, side in enumerate(self.sides):
            if level:
                shrink: Any = getattr(self, f"shrink{level}")
                canvas = shrink @ canvas @ shrink.T
            scale = side / full
            maps = _features(canvas, self.locator.settings.cell)
            maps = maps * _inside(maps, extent * scale / self.locator.settings.cell)
            there = torch.ones(()) if not level else ((extent.amin(0) * scale).round() >= self.smallest).float()
            for number, one in enumerate(self.locator.filters):
                weights: Any = getattr(self, f"filter{number}")
                (h, w), bias = one.shape, one.bias
                responses = F.conv2d(maps, weights, padding=(h - 1, w - 1))[0, 0] + bias
                parts.append(self._peaks(responses, (h, w), scale, angle=one.angle, extent=extent, there=there))
        return _Peaks(torch.cat([part.places for part in parts]), torch.cat([part.margins for part in parts]))

    def _peaks(
        self, responses: Tensor, shape: tuple[int, int], scale: float, *, angle: float, extent: Tensor, there: Tensor
    ) -> _Peaks:
        """The strongest local maxima of one filter at one level."""
        (h, w), cell = shape, self.locator.settings.cell
        around = F.max_pool2d(responses[None, None], 3, stride=1, padding=1)[0, 0]
        local = torch.where(responses == around, responses, torch.full_like(responses, -torch.inf))
        margins, index = local.flatten().topk(min(PEAKS, local.numel()))
        row, column = index // local.shape[1], index % local.shape[1]
        x = (column - (w - 1) + w / 2) * cell / scale - 0.5
        y = (row - (h - 1) + h / 2) * cell / scale - 0.5
        inside = (x >= -0.5) & (y >= -0.5) & (x <= extent[0] - 0.5) & (y <= extent[1] - 0.5) & (there > 0)
        size = [torch.full_like(x, value) for value in (*(side / scale for side in self.locator.box), angle)]
        return _Peaks(torch.stack([x, y, *size], 1), torch.where(inside, margins, torch.full_like(margins, -torch.inf)))

    def _distinct(self, found: _Peaks) -> tuple[Tensor, Tensor]:
        """Non-maximum suppression, and the vote of the responses around each that is kept."""
        left, places, margins = found.margins, [], []
        for _ in range(self.most):
            best = left.argmax(0)
            place, margin = found.places[best], found.margins[best]
            shared = _overlap(found.places, place)
            weights = torch.exp(VOTE * (found.margins - margin)) * (shared >= NEAR)
            weights = weights / weights.sum()
            size = place[2:4] * torch.exp((weights * (found.places[:, 2] / place[2]).log()).sum())
            places.append(torch.cat([(weights[:, None] * found.places[:, :2]).sum(0), size, place[4:]]))
            margins.append(left[best])
            left = torch.where(shared < self.locator.settings.share, left, torch.full_like(left, -torch.inf))
        return torch.stack(places), torch.stack(margins)


def _features(canvas: Tensor, cell: int) -> Tensor:
    """:func:`brule.locating.features.hog` of one image ``(S, S)``: ``(1, 31, S // cell, S // cell)``."""
    half = cell // 2
    rows = canvas.shape[0] // (2 * half) * 2
    padded = F.pad(canvas[None, None], (1, 1, 1, 1), mode="replicate")[0, 0, : rows * half + 2, : rows * half + 2]
    dx = padded[1:-1, 2:] - padded[1:-1, :-2]
    dy = padded[2:, 1:-1] - padded[:-2, 1:-1]
    turn = (torch.atan2(dy, dx) + torch.pi) * (SIGNED / (2 * torch.pi))
    # The share of a vote falls linearly with the distance of its orientation, around the circle.
    away = (turn[None] - torch.arange(SIGNED)[:, None, None]).abs()
    shares = (1 - torch.minimum(away, SIGNED - away)).clamp_min(0)
    votes = shares * torch.sqrt(dx * dx + dy * dy)
    return normalised(pooled(F.avg_pool2d(votes[None], half) * half**2))


def _shrinking(before: int, after: int) -> Tensor:
    """The matrix ``(after, before)`` of PyTorch's antialiased bilinear resampling along one axis."""
    columns = F.interpolate(torch.eye(before)[:, None, None], (1, after), mode="bilinear", antialias=True)
    return columns[:, 0, 0].T.contiguous()


def _sampling(length: Tensor, extent: Tensor, pixels: Tensor, *, side: int) -> Tensor:
    """The matrix ``(side, length)`` that shrinks an axis to its extent (triangle filter); beyond, the edge is repeated."""
    step = length / extent
    width = step.clamp_min(1.0)
    centres = (torch.minimum(torch.arange(side).float(), extent - 1) + 0.5) * step
    weights = (1 - ((pixels + 0.5 - centres[:, None]) / width).abs()).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


def _inside(maps: Tensor, cells: Tensor) -> Tensor:
    """1 for cells whose centre is inside the image, else 0: ``(h, w)``."""
    row, column = torch.arange(maps.shape[2]) + 0.5, torch.arange(maps.shape[3]) + 0.5
    return (row < cells[1]).float()[:, None] * (column < cells[0]).float()


def _overlap(places: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of upright boxes of places ``(T, 5)`` with that of one place ``(5,)``."""
    low = torch.maximum(places[:, :2] - places[:, 2:4] / 2, other[:2] - other[2:4] / 2)
    high = torch.minimum(places[:, :2] + places[:, 2:4] / 2, other[:2] + other[2:4] / 2)
    sides = (high - low).clamp_min(0)
    shared = sides[:, 0] * sides[:, 1]
    return shared / (places[:, 2] * places[:, 3] + other[2] * other[3] - shared)
