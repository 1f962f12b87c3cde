"""The conditional generator: StyleGAN2 blocks, each of which also sees the skeleton heatmap at its size (BRULÈ, §5)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brule.errors import BruleError, ConfigError
from brule.networks.equalized import EqualConv2d, EqualLinear, downsample, leaky, upsample, widened

_START = 4  # side of the first block
_SECOND_ROW = 16  # from blocks of this side on, the second row of the style is taken


def block_sizes(image_size: int) -> list[int]:
    """Sides of the generator's blocks, 4, 8, … up to the image's.

    Raises:
        ConfigError: unless the size is a power of two from 8 on.
    """
    if image_size < 2 * _START or image_size & (image_size - 1):
        raise ConfigError(
            f"image size: the generator and the discriminator expect a power of two, at least {2 * _START}, got {image_size}; "
            "set crop.image_size to 32, 64, 128 or 256, or do without the GAN (gan.enabled=false)"
        )
    return [_START << level for level in range(int(math.log2(image_size // _START)) + 1)]


def widths_of(sizes: list[int], width: int, max_width: int) -> list[int]:
    """Channels of the blocks: ``width`` at the largest size, twice as many at half of it, at most ``max_width``."""
    return [min(width * sizes[-1] // size, max_width) for size in sizes]


class ModulatedConv2d(nn.Module):
    """A 3×3 or 1×1 convolution whose weights a style scales (Karras et al. 2020, §2.2).

    Weight ``w'_{oik} = s_i w_{oik}``, with demodulation divided by ``√Σ_{ik} w'²_{oik}``. Both factors are put on the inputs
    and the outputs of an ordinary convolution: the same values without a weight for every sample.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        kernel: odd.
        style_dim: length of the style.
        demodulate: give the outputs unit variance again.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, *, style_dim: int, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, kernel, kernel))
        self.scale = 1 / math.sqrt(channels_in * kernel**2)
        self.style = EqualLinear(style_dim, channels_in, bias=1.0)
        self.demodulate = demodulate

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """``(B, C_in, H, W)`` with style ``(B, style_dim)`` → ``(B, C_out, H, W)``."""
        with torch.autocast(x.device.type, enabled=False):  # sums of squares need more than bfloat16 has
            factors = self.style(widened(style))  # s, (B, C_in)
            weight = self.weight * self.scale
            if self.demodulate:
                energy = factors.square() @ weight.square().sum((2, 3)).T  # (B, C_out)
                outgoing = (energy + 1e-8).rsqrt()
        out = F.conv2d(x * factors[..., None, None].to(x.dtype), weight, padding=weight.shape[-1] // 2)
        return out * outgoing[..., None, None].to(out.dtype) if self.demodulate else out


class StyledBlock(nn.Module):
    """Modulated convolution, noise of learnt strength, bias, leaky ReLU."""

    def __init__(self, channels_in: int, channels_out: int, style_dim: int) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(channels_in, channels_out, 3, style_dim=style_dim)
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.noise_strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """``(B, C_in, H, W)``, style ``(B, D)`` and noise ``(B, 1, H, W)`` → ``(B, C_out, H, W)``."""
        x = self.convolution(x, style)
        x = x + self.bias[:, None, None].to(x.dtype)
        if noise is not None:
            x = x + (noise * self.noise_strength).to(x.dtype)
        return leaky(x)


class Generator(nn.Module):
    """``G(L, S)``: an image from a skeleton heatmap and a style.

    The heatmap is brought down to 4×4 by convolutions; every block gets it at its own size, beside its other input. Images
    are summed up over the blocks by skips (Karras et al. 2020, §4.1).

    Args:
        image_size: side of the images, a power of two from 8 on.
        channels: of the images.
        width: channels of the blocks at the images' size; twice as many at every halving.
        max_width: never more than this.
        style_dim: length of a row of the style.
        heatmap_width: channels of the heatmap's features.

    Raises:
        ConfigError: if the size is no power of two.
    """

    def __init__(
        self, image_size: int, channels: int = 3, *, width: int, max_width: int, style_dim: int, heatmap_width: int = 16
    ) -> None:
        super().__init__()
        self.sizes = block_sizes(image_size)
        widths = widths_of(self.sizes, width, max_width)
        h = heatmap_width
        self.heatmap_convolutions = nn.ModuleList(EqualConv2d(1 if s == image_size else h, h, 3) for s in self.sizes)
        self.start = nn.Parameter(torch.randn(1, widths[0], _START, _START))
        before = [widths[0], *widths[:-1]]
        self.first = nn.ModuleList(StyledBlock(a + h, b, style_dim) for a, b in zip(before, widths, strict=True))
        self.second = nn.ModuleList(StyledBlock(b, b, style_dim) for b in widths)
        self.to_image = nn.ModuleList(ModulatedConv2d(b, channels, 1, style_dim=style_dim, demodulate=False) for b in widths)
        self.image_bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def draw_noise(self, batch: int, generator: torch.Generator) -> list[Tensor]:
        """Pixel noise for every block: two maps ``(B, 2, s, s)`` a size ``s``."""
        return [torch.randn(batch, 2, size, size, generator=generator, device=generator.device) for size in self.sizes]

    def forward(self, heatmap: Tensor, style: Tensor, noise: list[Tensor] | None = None) -> Tensor:
        """Draw.

        Args:
            heatmap: ``(B, 1, S, S)``, lines of height one (not normalised).
            style: ``(B, 2, style_dim)``.
            noise: as :meth:`draw_noise` gives it; none leaves the pixel noise out.

        Returns:
            ``(B, C, S, S)``; ``[-1, 1]`` is the range of images, though nothing clips them to it.
        """
        size = self.sizes[-1]
        if heatmap.ndim != 4 or tuple(heatmap.shape[1:]) != (1, size, size):
            raise BruleError(f"generator: expected heatmaps (B, 1, {size}, {size}), got {tuple(heatmap.shape)}")
        pyramid = self._pyramid(heatmap.contiguous(memory_format=torch.channels_last))
        x = self.start.expand(len(heatmap), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        image: Tensor | None = None
        for level, side in enumerate(self.sizes):
            row = style[:, 0 if side < _SECOND_ROW else 1]
            maps: tuple[Tensor | None, ...] = (None, None) if noise is None else noise[level].split(1, dim=1)
            x = x if level == 0 else upsample(x)
            x = self.first[level](torch.cat([x.to(pyramid[level].dtype), pyramid[level]], 1), row, maps[0])
            x = self.second[level](x, row, maps[1])
            drawn = widened(self.to_image[level](x, row))
            image = drawn if image is None else upsample(image) + drawn
        assert image is not None
        return image + self.image_bias

    def _pyramid(self, heatmap: Tensor) -> list[Tensor]:
        """The heatmap's features at the size of every block, smallest first."""
        features = [leaky(self.heatmap_convolutions[-1](heatmap))]
        for convolution in list(self.heatmap_convolutions)[-2::-1]:
            features.append(leaky(convolution(downsample(features[-1]))))
        return features[::-1]
