"""Where a style comes from: noise through a mapping network, ``S_o(z)``, or an image through a CNN, ``S(I)`` (BRULÈ, §5).

A style has two rows: the first for the generator's blocks below 16×16, the second from there on.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from brule.networks.equalized import EqualConv2d, EqualLinear, downsample, leaky

ROWS = 2  # of a style


class StyleMapping(nn.Module):
    """``S_o``: noise to style by a fully connected network (Karras et al. 2019).

    Args:
        noise_dim: length of a row of noise.
        style_dim: length of a row of style.
        depth: layers.
        multiplier: of their learning rate; StyleGAN has 0.01.
    """

    def __init__(self, noise_dim: int, style_dim: int, *, depth: int = 8, multiplier: float = 0.01) -> None:
        super().__init__()
        widths = [noise_dim] + [style_dim] * depth
        self.layers = nn.ModuleList(EqualLinear(a, b, multiplier=multiplier) for a, b in itertools.pairwise(widths))
        self.noise_dim = noise_dim

    def forward(self, noise: Tensor) -> Tensor:
        """``(B, 2, noise_dim) → (B, 2, style_dim)``; each row of noise is scaled to unit length an entry first."""
        x = noise * noise.square().mean(-1, keepdim=True).add(1e-8).rsqrt()
        for layer in self.layers:
            x = leaky(layer(x))
        return x


def draw_noise(batch: int, noise_dim: int, *, mixing: float, generator: torch.Generator) -> Tensor:
    """Noise for :class:`StyleMapping`: ``(B, 2, noise_dim)`` on the generator's device.

    Args:
        batch: B.
        noise_dim: length of a row.
        mixing: the share of samples whose two rows are drawn apart (style mixing); in the others they are the same.
        generator: the source of the randomness.
    """
    device = generator.device
    rows = torch.randn(batch, ROWS, noise_dim, generator=generator, device=device)
    apart = torch.rand(batch, 1, 1, generator=generator, device=device) < mixing
    return torch.where(apart, rows, rows[:, :1])


class StyleEncoder(nn.Module):
    """``S``: the style of an image, by strided convolutions down to 4×4 and a linear layer.

    Args:
        image_size: side of the images, a power of two.
        channels: of the images.
        width: channels at the images' size; twice as many at every halving.
        max_width: never more than this.
        style_dim: length of a row.
    """

    def __init__(self, image_size: int, channels: int, *, width: int, max_width: int, style_dim: int) -> None:
        super().__init__()
        self.first = EqualConv2d(channels, width, 3)
        blocks, side = [], image_size
        while side > 4:
            wider = min(2 * width, max_width)
            blocks.append(EqualConv2d(width, wider, 3))
            width, side = wider, side // 2
        self.blocks = nn.ModuleList(blocks)
        self.last = EqualLinear(width * side**2, ROWS * style_dim)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, C, S, S)`` in ``[-1, 1]`` → ``(B, 2, style_dim)``."""
        x = leaky(self.first(images))
        for block in self.blocks:
            x = leaky(block(downsample(x)))
        return self.last(x.flatten(1)).unflatten(1, (ROWS, -1))
