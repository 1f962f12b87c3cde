"""The landmark encoder ``E``: images to landmarks, through a stacked hourglass and one of two heads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from brule.coordinates import check_points, pixel_centres
from brule.errors import BruleError, ConfigError
from brule.networks.compact import CompactHourglass
from brule.networks.hourglass import StackedHourglass
from brule.networks.layers import conv_block

_Maker = TypeVar("_Maker")
_PRIOR_WIDTH = 0.15  # of the first heatmap about every landmark's place, in units of the square


@dataclass(frozen=True)
class EncoderOutput:
    """The encoder's output for a batch.

    Attributes:
        stages: landmarks after each hourglass, ``(B, N, 2)`` in the unit square; the last one is the prediction.
        spread: ``(B, N)``, standard deviation of the last heatmap about each landmark's place along one axis, unit square.
    """

    stages: tuple[Tensor, ...]
    spread: Tensor

    @property
    def points(self) -> Tensor:
        """The prediction: landmarks of the last stage, ``(B, N, 2)``."""
        return self.stages[-1]


class LandmarkEncoder(nn.Module):
    """Stacked hourglass with a head that turns score maps into coordinates; it starts at the barycenter.

    BRULÈ (arXiv 2006.11643), §5.

    Args:
        barycenter: ``(N, 2)`` in the unit square: what the untrained encoder predicts for every image.
        image_size: side of the square images, in pixels.
        channels: of the images.
        head: one of :data:`HEADS`. ``convolution`` is the paper's: stride-2 convolutions on the score maps of the last
            stack, down to coordinates. ``softmax`` takes each map's centre of mass after a softmax over the pixels (an
            integral regression, Sun et al. 2018).
        backbone: one of :data:`BACKBONES`. ``hourglass`` is the paper's stacked hourglass; ``compact`` a single one made
            for CPUs.
        width: channels inside the hourglass (``compact``: at its finest level).
        stacks: hourglasses in the row; ``compact`` has one.
        depth: levels of an hourglass.
        stem_stride: image side over map side.

    Raises:
        ConfigError: if the head or the backbone is unknown, the maps can't be halved ``depth`` times, or the backbone can't
            be built so.
    """

    def __init__(
        self,
        barycenter: Tensor,
        *,
        image_size: int,
        channels: int = 3,
        head: str = "convolution",
        backbone: str = "hourglass",
        width: int = 256,
        stacks: int = 2,
        depth: int = 4,
        stem_stride: int = 4,
    ) -> None:
        super().__init__()
        check_points(barycenter[None], "barycenter")
        make_head, make_backbone = _known("head", head, HEADS), _known("backbone", backbone, BACKBONES)
        side = image_size // stem_stride
        if image_size % stem_stride or side % 2**depth:
            raise ConfigError(
                f"encoder: {image_size} px images and stem_stride {stem_stride} give maps that can't be halved {depth} "
                f"times; use an image_size that is a multiple of {stem_stride * 2**depth}, or a smaller depth"
            )
        self.image_size, self.channels = image_size, channels
        self.hourglass: nn.Module = make_backbone(
            len(barycenter), channels=channels, width=width, stacks=stacks, depth=depth, stem_stride=stem_stride
        )
        # The paper reads coordinates from the last stack; the integral head costs nothing and supervises every stack.
        count = stacks if make_head.reads_every_stack else 1
        self.heads = nn.ModuleList(make_head(barycenter, side) for _ in range(count))
        if not isinstance(getattr(self.hourglass, "maps", None), nn.ModuleList):
            raise TypeError(f"backbone {backbone!r}: .maps has to be an nn.ModuleList, a layer per stack")
        if make_head.starts_from_empty_maps:
            for parameter in self.hourglass.get_submodule("maps").parameters():
                nn.init.zeros_(parameter)

    @property
    def deepest(self) -> nn.Module:
        """The layer that gives the smallest maps, whose features describe an image."""
        return cast("nn.Module", self.hourglass.deepest)

    def forward(self, images: Tensor) -> EncoderOutput:
        """Images ``(B, C, S, S)`` in ``[-1, 1]`` → landmarks in the unit square."""
        if images.ndim != 4 or tuple(images.shape[1:]) != (self.channels, self.image_size, self.image_size):
            expected = f"(B, {self.channels}, {self.image_size}, {self.image_size})"
            raise BruleError(f"encoder: expected images {expected}, got {tuple(images.shape)}")
        scores = self.hourglass(images)[-len(self.heads) :]
        # Coordinates need more than bfloat16's eight bits, also where the convolutions run in it.
        with torch.autocast(images.device.type, enabled=False):
            # Contiguous: a softmax over the pixels of channels-last maps takes five times as long.
            predictions = [head(maps.contiguous().float()) for head, maps in zip(self.heads, scores, strict=True)]
        return EncoderOutput(tuple(points for points, _ in predictions), predictions[-1][1])

    @torch.no_grad()
    def reorder(self, order: Tensor) -> None:
        """Give the landmarks another order, and change nothing else: output ``i`` becomes what ``order[i]`` was.

        Args:
            order: a permutation ``(N,)``.
        """
        for maps in self.hourglass.get_submodule("maps").children():
            for parameter in maps.parameters():
                parameter.copy_(parameter[order])
        for back in getattr(self.hourglass, "maps_back", ()):  # where a stack's maps are fed into the next
            back.weight.copy_(back.weight[:, order])
        for head in self.heads:
            head.reorder(order)  # type: ignore[operator]


class SoftmaxHead(nn.Module):
    """Score maps → their centres of mass: ``x = Σ_q softmax(s)_q q``.

    A broad Gaussian around the barycenter is added to the scores (in logarithms, learnt from there on), so that zero scores
    mean the barycenter; a constant takes away what the border cuts off that Gaussian.
    """

    reads_every_stack = starts_from_empty_maps = True

    centres: Tensor
    offset: Tensor

    def __init__(self, barycenter: Tensor, side: int) -> None:
        super().__init__()
        centres = pixel_centres(side, side).view(-1, 2)
        squared = torch.cdist(barycenter.float(), centres).square()  # (N, HW)
        self.prior = nn.Parameter(-squared / (2 * _PRIOR_WIDTH**2))
        self.register_buffer("centres", centres)
        self.register_buffer("offset", barycenter.float() - self.prior.detach().softmax(-1) @ centres)

    @property
    def _places(self) -> Tensor:
        """The pixel centres along one axis of the square maps, ``(side,)``."""
        side = math.isqrt(self.centres.shape[0])
        return self.centres[:side, 0]

    def forward(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, N, h, w)`` → points ``(B, N, 2)`` and spread ``(B, N)``."""
        heatmap = (scores.flatten(2) + self.prior).softmax(-1).view(scores.shape)
        along_x, along_y = heatmap.sum(-2), heatmap.sum(-1)  # (B, N, w), (B, N, h)
        mean = torch.stack([along_x @ self._places, along_y @ self._places], -1)
        return mean + self.offset, _spread(along_x.detach(), along_y.detach(), self._places)

    def reorder(self, order: Tensor) -> None:
        """Follow score maps in another order ``(N,)``."""
        for own in (self.prior, self.offset):
            own.copy_(own[order])


class ConvolutionHead(nn.Module):
    """Score maps → coordinates by stride-2 convolutions down to 4×4 and a linear layer: the paper's head.

    The linear layer starts at zero and its bias at the barycenter. The spread is that of the score maps' softmax.
    """

    reads_every_stack = starts_from_empty_maps = False

    def __init__(self, barycenter: Tensor, side: int) -> None:
        super().__init__()
        n, blocks = len(barycenter), []
        width = n
        while side > 4:
            blocks.append(conv_block(width, max(2 * n, 64), 3, stride=2))
            width, side = max(2 * n, 64), -(-side // 2)
        self.body = nn.Sequential(*blocks, nn.Flatten())
        self.coordinates = nn.Linear(width * side * side, 2 * n)
        nn.init.zeros_(self.coordinates.weight)
        with torch.no_grad():
            self.coordinates.bias.copy_(barycenter.reshape(-1))

    def forward(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, N, h, w)`` → points ``(B, N, 2)`` and spread ``(B, N)``."""
        points = self.coordinates(self.body(scores)).view(scores.shape[0], -1, 2)
        heatmap = scores.detach().flatten(2).softmax(-1).view(scores.shape)
        places = pixel_centres(1, scores.shape[-1], device=scores.device).view(-1, 2)[:, 0]
        return points, _spread(heatmap.sum(-2), heatmap.sum(-1), places)

    def reorder(self, order: Tensor) -> None:
        """Follow score maps in another order ``(N,)``: what reads them, and what gives the coordinates."""
        n, last = len(order), self.coordinates
        first = next((layer for layer in self.body.modules() if isinstance(layer, nn.Conv2d)), None)
        if first is not None:
            first.weight.copy_(first.weight[:, order])
        else:  # the maps are so small that the linear layer reads them itself
            last.weight.copy_(last.weight.view(2 * n, n, -1)[:, order].flatten(1))
        last.weight.copy_(last.weight.view(n, 2, -1)[order].flatten(0, 1))
        last.bias.copy_(last.bias.view(n, 2)[order].flatten())


@torch.no_grad()
def _spread(along_x: Tensor, along_y: Tensor, places: Tensor) -> Tensor:
    """The standard deviation along one axis of heatmaps over a square, from their marginals ``(B, N, side)``: ``(B, N)``."""
    variances = [heatmap @ places.square() - (heatmap @ places).square() for heatmap in (along_x, along_y)]
    return torch.stack(variances, -1).clamp_min(0).mean(-1).sqrt()


# To add a backbone: a file with a module ``(n_maps, *, channels, width, stacks, depth, stem_stride)`` that turns images
# ``(B, C, H, W)`` into a list of score maps ``(B, N, H / stem_stride, W / stem_stride)``, one per stack. ``.maps`` is an
# ``nn.ModuleList`` of the layers that give them, ``.maps_back`` one of the convolutions that read them again, if there are any,
# and ``.deepest`` the layer with the smallest maps, whose features describe an image. Then its line here:
# ``tests/networks/test_contracts.py`` tests it.
BACKBONES: dict[str, Callable[..., nn.Module]] = {"hourglass": StackedHourglass, "compact": CompactHourglass}
HEADS: dict[str, type[ConvolutionHead | SoftmaxHead]] = {"convolution": ConvolutionHead, "softmax": SoftmaxHead}


def _known(what: str, name: str, registry: Mapping[str, _Maker]) -> _Maker:
    if name not in registry:
        raise ConfigError(f"{what}: expected one of {', '.join(registry)}, got {name!r}")
    return registry[name]
