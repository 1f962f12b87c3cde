"""The stacked hourglass (Newell, Yang & Deng 2016), which BRULÈ takes as its landmark encoder (§5)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from brule.errors import ConfigError
from brule.networks.layers import Residual, conv_block


class Hourglass(nn.Module):
    """One hourglass: down ``depth`` times by two, up again, with a residual block beside every level."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.beside = Residual(width, width)
        self.down = Residual(width, width)
        self.inner = Hourglass(depth - 1, width) if depth > 1 else Residual(width, width)
        self.up = Residual(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W) → (B, C, H, W)``; the sides must be divisible by ``2**depth``."""
        low = self.up(self.inner(self.down(F.max_pool2d(x, 2))))
        return self.beside(x) + F.interpolate(low, scale_factor=2.0, mode="nearest")


class StackedHourglass(nn.Module):
    """Images to one stack of score maps a landmark for every hourglass in the row.

    Args:
        n_maps: landmarks, N.
        channels: of the image, C.
        width: channels inside.
        stacks: hourglasses in a row; each one's maps are fed into the next.
        depth: levels of an hourglass.
        stem_stride: the maps are this many times smaller than the image: 1, 2 or 4.
    """

    def __init__(self, n_maps: int, *, channels: int, width: int, stacks: int, depth: int, stem_stride: int) -> None:
        super().__init__()
        if stem_stride not in (1, 2, 4):
            raise ConfigError(f"stem_stride: expected 1, 2 or 4, got {stem_stride}")
        first = width if stem_stride < 4 else width // 2
        self.stem = nn.Sequential(
            conv_block(channels, first, 7, stride=min(stem_stride, 2)),
            Residual(first, width),
            nn.MaxPool2d(2) if stem_stride == 4 else nn.Identity(),
            Residual(width, width),
        )
        self.hourglasses = nn.ModuleList(
            nn.Sequential(Hourglass(depth, width), Residual(width, width), conv_block(width, width, 1)) for _ in range(stacks)
        )
        self.maps = nn.ModuleList(nn.Conv2d(width, n_maps, 1) for _ in range(stacks))
        self.features_back = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(stacks - 1))
        self.maps_back = nn.ModuleList(nn.Conv2d(n_maps, width, 1) for _ in range(stacks - 1))

    @property
    def deepest(self) -> nn.Module:
        """The layer that gives the smallest maps, in the last hourglass."""
        level: nn.Module = self.hourglasses[-1][0]  # type: ignore[index]
        while isinstance(level, Hourglass):
            level = level.inner
        return level

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images ``(B, C, H, W)`` → score maps ``(B, N, H / stride, W / stride)`` of each stack, first to last."""
        x, scores = self.stem(images), []
        for index, (hourglass, to_maps) in enumerate(zip(self.hourglasses, self.maps, strict=True)):
            features = hourglass(x)
            scores.append(to_maps(features))
            if index + 1 < len(self.hourglasses):
                x = x + self.features_back[index](features) + self.maps_back[index](scores[-1])
        return scores
