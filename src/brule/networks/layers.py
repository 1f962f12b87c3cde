"""Building blocks shared by the networks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """A pre-activation bottleneck block ``(B, C_in, H, W) → (B, C_out, H, W)`` (Newell et al. 2016, §3.1).

    1×1 to half the channels, 3×3, 1×1 to all; the way past is a 1×1 convolution where the number of channels changes.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        half = channels_out // 2
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_in, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, half, 3, padding=1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, channels_out, 1),
        )
        self.skip = nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Add the block's output to its input."""
        return self.skip(x) + self.body(x)


def conv_block(channels_in: int, channels_out: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a way past them, ``(B, C_in, H, W) → (B, C_out, H/stride, W/stride)`` (He et al. 2016)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_block(channels_in, channels_out, 3, stride=stride),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.skip = (
            nn.Identity()
            if channels_in == channels_out and stride == 1
            else nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the block's output to its input."""
        return F.relu(self.skip(x) + self.body(x), inplace=True)
