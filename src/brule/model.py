"""The two halves of BRULÈ: the encoder with the barycenter it was given, and the decoder that redraws images."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from brule.errors import BruleError
from brule.geometry import skeleton_heatmap
from brule.networks import EncoderOutput, FinalRegression, Generator, LandmarkEncoder, StyleEncoder, StyleMapping, draw_noise


@dataclass(frozen=True)
class CropLandmarks:
    """Landmarks of a batch of crops, in the unit square of each.

    Attributes:
        points: ``(B, N, 2)``.
        spread: ``(B, N)``, how far off each landmark may be, in sides of the crop. Of a calibrated detector the expected
            distance from the truth; otherwise a standard deviation along one axis, whose size means little
            (``docs/confidence.md``).
        uncertainty: ``(B,)``, which images a person should check: the higher, the sooner. Of a calibrated detector the
            expected error in sides of the crop; otherwise only its order counts. ``None`` where it wasn't computed.
    """

    points: Tensor
    spread: Tensor
    uncertainty: Tensor | None = None

    def __len__(self) -> int:
        return len(self.points)


class BruleModel(nn.Module):
    """Encoder and barycenter.

    Args:
        barycenter: ``(N, 2)`` in the unit square of the crop.
        image_size: side of the crops, in pixels.
        channels: of the crops.
        **encoder: further arguments of :class:`brule.networks.LandmarkEncoder`.

    Attributes:
        final: moves the landmarks that were found, once training has ended; ``None`` before, and where none was learnt.
    """

    barycenter: Tensor
    order: Tensor

    def __init__(self, barycenter: Tensor, *, image_size: int, channels: int = 3, **encoder: Any) -> None:
        super().__init__()
        barycenter = barycenter.float()
        self.encoder = LandmarkEncoder(barycenter, image_size=image_size, channels=channels, **encoder)
        self.register_buffer("barycenter", barycenter)
        self.register_buffer("order", torch.arange(len(barycenter)))
        self.final: FinalRegression | None = None

    def forward(self, images: Tensor) -> EncoderOutput:
        """Crops ``(B, C, S, S)`` in ``[-1, 1]`` → the encoder's output, in the encoder's own order."""
        return self.encoder(images)

    @torch.no_grad()
    def encode(self, images: Tensor) -> CropLandmarks:
        """Crops ``(B, C, S, S)`` in ``[-1, 1]`` → landmarks in the unit square of the crop, in the barycenter's order."""
        output = self.encoder(images)
        points = output.points[:, self.order]
        return CropLandmarks(points if self.final is None else self.final(points, images), output.spread[:, self.order])

    def ending_with(self, final: FinalRegression) -> BruleModel:
        """This model with regressions that end its predictions; both share everything else, so neither can be trained alone."""
        other = copy.copy(self)
        other._modules = dict(self._modules)  # or this model would get them as well
        other.final = final
        return other

    @torch.no_grad()
    def set_order(self, order: Tensor) -> None:
        """Set which output of the encoder is landmark 0, 1, …: a permutation ``(N,)``."""
        if sorted(order.tolist()) != list(range(len(self.order))):
            raise BruleError(f"order: expected a permutation of 0 … {len(self.order) - 1}, got {order.tolist()}")
        self.order.copy_(order)


class Decoder(nn.Module):
    """Generator and both sources of style: landmarks in, image out.

    Args:
        image_size: side of the images, a power of two from 8 on.
        channels: of the images.
        sigma: width of the skeleton's lines, in pixels of these images.
        width: the generator's channels at the images' size; twice as many at every halving.
        max_width: never more than this.
        style_dim: length of a row of style.
        noise_dim: length of a row of noise.
        mapping_depth: layers from noise to style.
        mixing: the share of random styles whose two rows are drawn apart.

    Raises:
        ConfigError: if the size is no power of two.
    """

    def __init__(
        self,
        *,
        image_size: int,
        channels: int = 3,
        sigma: float,
        width: int = 32,
        max_width: int = 512,
        style_dim: int = 512,
        noise_dim: int = 512,
        mapping_depth: int = 8,
        mixing: float = 0.9,
    ) -> None:
        super().__init__()
        self.image_size, self.sigma, self.mixing = image_size, sigma, mixing
        self.generator = Generator(image_size, channels, width=width, max_width=max_width, style_dim=style_dim)
        self.style_mapping = StyleMapping(noise_dim, style_dim, depth=mapping_depth)  # S_o
        self.style_encoder = StyleEncoder(image_size, channels, width=width, max_width=max_width, style_dim=style_dim)  # S

    def heatmap(self, points: Tensor) -> Tensor:
        """``L``: landmarks ``(B, N, 2)`` in the unit square → ``(B, 1, S, S)``, lines of height one."""
        return skeleton_heatmap(points, size=self.image_size, sigma=self.sigma, normalize=False)

    def random_style(self, batch: int, generator: torch.Generator) -> Tensor:
        """``S_o(z)`` of noise drawn from the generator: ``(B, 2, style_dim)``."""
        noise = draw_noise(batch, self.style_mapping.noise_dim, mixing=self.mixing, generator=generator)
        style: Tensor = self.style_mapping(noise.to(self.generator.start.device))
        return style

    def style_of(self, images: Tensor) -> Tensor:
        """``S(I)`` of images ``(B, C, S, S)`` in ``[-1, 1]``: ``(B, 2, style_dim)``."""
        style: Tensor = self.style_encoder(images)
        return style

    def pixel_noise(self, batch: int, generator: torch.Generator) -> list[Tensor]:
        """The pixel noise of ``batch`` images, on the decoder's device."""
        return [maps.to(self.generator.start.device) for maps in self.generator.draw_noise(batch, generator)]

    def forward(self, points: Tensor, style: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """``G(L(X), S)``.

        Args:
            points: ``X``, ``(B, N, 2)`` in the unit square.
            style: ``(B, 2, style_dim)``.
            generator: of the pixel noise; none leaves it out.

        Returns:
            ``(B, C, S, S)``.
        """
        noise = None if generator is None else self.pixel_noise(len(points), generator)
        drawn: Tensor = self.generator(self.heatmap(points), style, noise)
        return drawn
