"""The conditional discriminator: is this image real, given the skeleton beside it? (BRULÈ, §5)."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from brule.networks.equalized import EqualConv2d, EqualLinear, downsample, leaky, widened
from brule.networks.generator import block_sizes, widths_of

_GROUP = 4  # samples over which minibatch statistics are taken


class Discriminator(nn.Module):
    """``D(I | L)``: separate first convolutions on image and heatmap, concatenated, then a ResNet (Karras et al. 2020).

    Args:
        image_size: side of the images, a power of two from 8 on.
        channels: of the images.
        width: channels at the images' size, half of them for the image and half for the heatmap; twice as many at every
            halving.
        max_width: never more than this.

    Raises:
        ConfigError: if the size is no power of two.
    """

    def __init__(self, image_size: int, channels: int = 3, *, width: int, max_width: int) -> None:
        super().__init__()
        sizes = block_sizes(image_size)
        widths = widths_of(sizes, width, max_width)[::-1]  # from the image's size down to 4×4
        half = widths[0] // 2
        self.image_stem = EqualConv2d(channels, widths[0] - half, 3)
        self.heatmap_stem = EqualConv2d(1, half, 3)
        self.blocks = nn.ModuleList(_ResidualBlock(a, b) for a, b in itertools.pairwise(widths))
        self.mixed = EqualConv2d(widths[-1] + 1, widths[-1], 3)
        self.hidden = EqualLinear(widths[-1] * sizes[0] ** 2, widths[-1])
        self.logit = EqualLinear(widths[-1], 1)

    def forward(self, images: Tensor, heatmap: Tensor) -> Tensor:
        """Images ``(B, C, S, S)`` with heatmaps ``(B, 1, S, S)`` → logits ``(B,)``, positive for real ones."""
        images, heatmap = (t.contiguous(memory_format=torch.channels_last) for t in (images, heatmap))
        x = torch.cat([leaky(self.image_stem(images)), leaky(self.heatmap_stem(heatmap))], 1)
        for block in self.blocks:
            x = block(x)
        x = leaky(self.mixed(torch.cat([x, minibatch_deviation(x)], 1)))
        logits: Tensor = self.logit(leaky(self.hidden(x.flatten(1))))
        return widened(logits.squeeze(1))


class _ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a 1×1 past them, half the size."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = EqualConv2d(channels_in, channels_in, 3)
        self.second = EqualConv2d(channels_in, channels_out, 3)
        self.skip = EqualConv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C_in, H, W) → (B, C_out, H/2, W/2)``."""
        body = leaky(self.second(downsample(leaky(self.first(x)))))
        return (body + self.skip(downsample(x))) / math.sqrt(2.0)


def minibatch_deviation(x: Tensor) -> Tensor:
    """The mean standard deviation of features over groups of at most four samples, as one more channel.

    Karras et al. 2018, §3: a generator that always draws the same gives itself away.

    Args:
        x: ``(B, C, H, W)``.

    Returns:
        ``(B, 1, H, W)``. Where the batch can't be split into equal groups, all of it is one.
    """
    batch, _, height, width = x.shape
    group = _GROUP if batch % _GROUP == 0 else batch
    with torch.autocast(x.device.type, enabled=False):
        grouped = widened(x).unflatten(0, (group, -1))  # (group, B / group, C, H, W)
        deviation = (grouped - grouped.mean(0)).square().mean(0).add(1e-8).sqrt().mean((1, 2, 3))  # (B / group,)
    return deviation.repeat(group)[:, None, None, None].expand(-1, 1, height, width).to(x.dtype)
