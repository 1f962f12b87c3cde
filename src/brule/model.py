"""The model: the landmark encoder together with the barycenter it was given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brule.errors import BruleError
from brule.networks import EncoderOutput, LandmarkEncoder
from brule.networks.landmark_encoder import Backbone, Head


@dataclass(frozen=True)
class Landmarks:
    """Predicted landmarks.

    Attributes:
        points: ``(B, N, 2)``; the frame is said where they are returned.
        spread: ``(B, N)``, how far off each landmark may be: a standard deviation along one axis, same unit.
    """

    points: Tensor
    spread: Tensor

    def __len__(self) -> int:
        return len(self.points)


class BruleModel(nn.Module):
    """Encoder and barycenter.

    Args:
        barycenter: ``(N, 2)`` in the unit square of the crop.
        image_size: side of the crops, in pixels.
        channels: of the crops.
        head: of the encoder, see :class:`brule.networks.LandmarkEncoder`.
        backbone: of the encoder, likewise.
        width: channels of the hourglass.
        stacks: hourglasses in a row.
        depth: levels of an hourglass.
        stem_stride: crop side over map side.
    """

    barycenter: Tensor
    order: Tensor

    def __init__(
        self,
        barycenter: Tensor,
        *,
        image_size: int,
        channels: int = 3,
        head: Head = "convolution",
        backbone: Backbone = "hourglass",
        width: int = 256,
        stacks: int = 2,
        depth: int = 4,
        stem_stride: int = 4,
    ) -> None:
        super().__init__()
        barycenter = barycenter.float()
        self.encoder = LandmarkEncoder(
            barycenter,
            image_size=image_size,
            channels=channels,
            head=head,
            backbone=backbone,
            width=width,
            stacks=stacks,
            depth=depth,
            stem_stride=stem_stride,
        )
        self.register_buffer("barycenter", barycenter)
        self.register_buffer("order", torch.arange(len(barycenter)))

    def forward(self, images: Tensor) -> EncoderOutput:
        """Crops ``(B, C, S, S)`` in ``[-1, 1]`` → the encoder's output, in the encoder's own order."""
        return self.encoder(images)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Landmarks:
        """Crops ``(B, C, S, S)`` in ``[-1, 1]`` → landmarks in the unit square of the crop, in the barycenter's order."""
        output = self.encoder(images)
        return Landmarks(output.points[:, self.order], output.spread[:, self.order])

    @torch.no_grad()
    def set_order(self, order: Tensor) -> None:
        """Say which output of the encoder is landmark 0, 1, …: a permutation ``(N,)``."""
        if sorted(order.tolist()) != list(range(len(self.order))):
            raise BruleError(f"order: expected a permutation of 0 … {len(self.order) - 1}, got {order.tolist()}")
        self.order.copy_(order)
