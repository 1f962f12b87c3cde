"""A small hourglass for CPUs: channels grow where maps shrink, plain 3×3 convolutions, a thin way up."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from brule.errors import ConfigError
from brule.networks.layers import BasicBlock, conv_block


class CompactHourglass(nn.Module):
    """Images to score maps, like :class:`brule.networks.StackedHourglass` with one stack.

    At equal time on two cores it has five times the parameters and learns much faster (``docs/experiments.md``): most of its
    work lies in dense 3×3 convolutions on small maps, which a CPU does near its peak, rather than in 1×1 convolutions and
    normalisations of large ones, which wait for memory.

    Args:
        n_maps: landmarks, N.
        channels: of the image, C.
        width: channels at the finest level; twice and then four times as many further down, twice on the way up.
        stacks: 1; there is a single hourglass.
        depth: how many times the maps are halved.
        stem_stride: the maps are this many times smaller than the image: 1 or 2.

    Raises:
        ConfigError: if the stem's stride or the number of stacks is another.
    """

    def __init__(self, n_maps: int, *, channels: int, width: int, stacks: int, depth: int, stem_stride: int) -> None:
        super().__init__()
        if stem_stride not in (1, 2):
            raise ConfigError(f"stem_stride: expected 1 or 2 with the compact backbone, got {stem_stride}")
        if stacks != 1:
            raise ConfigError(f"stacks: expected 1 with the compact backbone, got {stacks}")
        widths = [width * min(2**level, 4) for level in range(depth + 1)]
        thin = 2 * width
        self.stem = nn.Sequential(conv_block(channels, width, 5, stride=stem_stride), BasicBlock(width, width))
        self.down = nn.ModuleList(
            nn.Sequential(BasicBlock(before, after, stride=2), BasicBlock(after, after))
            for before, after in itertools.pairwise(widths)
        )
        self.across = nn.ModuleList(nn.Conv2d(own, thin, 1) for own in widths)
        self.up = nn.ModuleList(conv_block(thin, thin, 3) for _ in range(depth))
        self.maps = nn.ModuleList([nn.Conv2d(thin, n_maps, 1)])

    @property
    def deepest(self) -> nn.Module:
        """The layer that gives the smallest maps."""
        return self.down[-1]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images ``(B, C, H, W)`` → a list of one: score maps ``(B, N, H / stride, W / stride)``."""
        levels = [self.stem(images)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = self.across[-1](levels[-1])
        for up, across, level in reversed(list(zip(self.up, self.across, levels, strict=False))):
            x = up(across(level) + F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return [self.maps[0](x)]
