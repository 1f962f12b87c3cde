"""Photometric augmentation and random erasing; landmarks are unaffected."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from brule.coordinates import ALIGN_CORNERS, pixel_centres
from brule.training.distributed import SINGLE, Distributed
from brule.training.sections import Augmentation

_LIGHTS = 4  # number of places along each side at which the light is drawn


def augment(images: Tensor, strength: Augmentation, *, generator: torch.Generator, distributed: Distributed = SINGLE) -> Tensor:
    """Change the colours and light of each image and erase a part of it, at random; strengths of 0 change nothing.

    Args:
        images: ``(B, C, H, W)`` in ``[-1, 1]``, -1 black.
        strength: of every kind of change.
        generator: the source of randomness, on the CPU.
        distributed: the images are this process's rows of the batch that changes are drawn for.
    """

    def uniform(width: float, channels: int = 1, nodes: int = 1) -> Tensor:
        unit = distributed.draw_for_batch(lambda n: torch.rand(n, channels, nodes, nodes, generator=generator), len(images))
        return width * (2 * unit - 1).to(images.device, images.dtype)

    if strength.contrast:
        mean = images.mean((1, 2, 3), keepdim=True)
        images = (images - mean) * (1 + uniform(strength.contrast)) + mean
    if strength.saturation and images.shape[1] == 3:
        grey = images.mean(1, keepdim=True)
        images = (images - grey) * (1 + uniform(strength.saturation)) + grey
    if strength.brightness:
        images = images + uniform(strength.brightness)
    if strength.tint:
        images = images + uniform(strength.tint, images.shape[1])
    if strength.shading:
        light = F.interpolate(
            uniform(strength.shading, nodes=_LIGHTS), images.shape[-2:], mode="bicubic", align_corners=ALIGN_CORNERS
        )
        images = (images + 1) * (1 + light) - 1
    if strength.noise:
        noise = distributed.draw_for_batch(lambda n: torch.randn(n, *images.shape[1:], generator=generator), len(images))
        images = images + noise.to(images.device, images.dtype) * uniform(strength.noise).abs()
    if strength.erasing:
        images = torch.where(_rectangles(strength.erasing, uniform, images), uniform(1, images.shape[1]), images)
    return images


def _rectangles(largest: float, uniform: Callable[..., Tensor], images: Tensor) -> Tensor:
    """Where an upright rectangle covers each image, ``(B, 1, H, W)``: sides uniform in ``0 … largest``, centre anywhere."""
    half = uniform(largest / 4, 2) + largest / 4  # (B, 2, 1, 1)
    centre = 0.5 + uniform(0.5, 2)
    places = pixel_centres(*images.shape[-2:], device=images.device, dtype=images.dtype).permute(2, 0, 1)
    return ((places - centre).abs() < half).all(1, keepdim=True)
