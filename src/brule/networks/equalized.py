"""Layers of the StyleGAN family: weights of unit variance scaled at run time, and resampling that blurs."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_GAIN = math.sqrt(2.0)  # keeps the variance behind a leaky ReLU
_SLOPE = 0.2


class EqualLinear(nn.Module):
    """A linear layer with an equalised learning rate (Karras et al. 2018, §4.1).

    The stored weight has unit variance; at run time it is scaled by ``multiplier / √fan-in``, so that Adam moves every
    layer alike.

    Args:
        inputs: features in.
        outputs: features out.
        multiplier: of the learning rate.
        bias: what the bias starts at.
    """

    def __init__(self, inputs: int, outputs: int, *, multiplier: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias / multiplier))
        self.scale, self.multiplier = multiplier / math.sqrt(inputs), multiplier

    def forward(self, x: Tensor) -> Tensor:
        """``(…, inputs) → (…, outputs)``."""
        return F.linear(x, self.weight * self.scale, self.bias * self.multiplier)


class EqualConv2d(nn.Module):
    """A convolution with an equalised learning rate, ``(B, C_in, H, W) → (B, C_out, H, W)``; odd kernels, same size."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels_out)) if bias else None
        self.scale = 1 / math.sqrt(channels_in * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.weight.shape[-1] // 2)


def widened(x: Tensor) -> Tensor:
    """In float32 at least: for sums that need more than bfloat16's eight bits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def leaky(x: Tensor) -> Tensor:
    """A leaky ReLU of slope 0.2, scaled so that it keeps the variance."""
    return F.leaky_relu(x, _SLOPE) * _GAIN


def upsample(x: Tensor) -> Tensor:
    """Twice the size, bilinearly: away from the border the filter [1, 3, 3, 1] of StyleGAN2."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def downsample(x: Tensor) -> Tensor:
    """Half the size, behind the blur [1, 3, 3, 1] of StyleGAN2; at the border its weights are scaled so that constants stay."""
    wide = widened(x)
    # CPUs are four times as fast at the depthwise convolution, GPUs at the means; PyTorch 2.13 can't compile the means.
    halved = _by_convolution if x.device.type == "cpu" or torch.compiler.is_compiling() else _by_means
    # CPUs do a depthwise convolution six times faster in float32 than in bfloat16, conversion included.
    with torch.autocast(x.device.type, enabled=False):
        return (halved(wide) / halved(torch.ones_like(wide[:1, :1]))).to(x.dtype)


def _by_convolution(x: Tensor) -> Tensor:
    line = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device, dtype=x.dtype)
    kernel = torch.outer(line, line).div(64).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


def _by_means(x: Tensor) -> Tensor:
    """[1, 3, 3, 1] is [1, 1] ∗ [1, 1] ∗ [1, 1]: three means over 2 × 2 pixels, zeros around."""
    return F.avg_pool2d(F.avg_pool2d(F.avg_pool2d(x, 2, 1, padding=1), 2, 1), 2)
