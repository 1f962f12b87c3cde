"""Algorithm 1: the decoder learns to redraw images from their landmarks, against the discriminator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from brule.losses import discriminator_loss, generator_loss, gradient_penalty, image_reconstruction, style_consistency
from brule.model import Decoder
from brule.networks import Discriminator
from brule.training.config import TrainingConfig
from brule.training.parallel import ALONE, Processes
from brule.training.steps.common import Observation, autocast, finite, frozen, pixel_noise, weighted_sum
from brule.training.views import TwoViews


@dataclass(frozen=True)
class Scene:
    """Images to be redrawn.

    Attributes:
        images: ``(B, C, S, S)`` at the decoder's size.
        points: their landmarks, ``(B, N, 2)`` in the unit square, without gradient.
        models: where the style is read off, ``(B, C, S, S)``: the same images, or the same objects moved.
    """

    images: Tensor
    points: Tensor
    models: Tensor

    @classmethod
    def of(cls, views: TwoViews, seen: Observation, config: TrainingConfig) -> Scene:
        """The view that the encoder's landmarks stand for: ``I``, or ``gI`` where a teacher has looked at ``I``."""
        size = config.decoder.image_size or config.crop.image_size
        pair = views.plain_clean, views.moved_clean
        drawn, other = pair[::-1] if config.teacher.enabled else pair
        points = seen.target if config.teacher.enabled else seen.source
        models = drawn if config.gan.style_from == "image" else other
        return cls(resized(drawn, size), points, resized(models, size))


@dataclass(frozen=True)
class Painter:
    """The networks of Algorithm 1.

    Attributes:
        decoder: generator and styles.
        discriminator: where the GAN has one.
    """

    decoder: Decoder
    discriminator: Discriminator | None = None


def gan_step(
    painter: Painter,
    optimizers: dict[str, torch.optim.Optimizer],
    scene: Scene,
    config: TrainingConfig,
    *,
    generator: torch.Generator,
    penalize: bool = True,
    processes: Processes = ALONE,
) -> dict[str, float]:
    """Algorithm 1: one step of the discriminator, then one of generator, mapping network and style encoder.

    Args:
        painter: its networks are changed, and nothing else.
        optimizers: ``discriminator`` and ``decoder``.
        scene: images with the encoder's landmarks, the latter without gradient.
        config: its section ``gan`` holds the weights; a term of weight zero is not computed.
        generator: of styles and pixel noise.
        penalize: whether it is the turn of the gradient penalty.
        processes: that train together, each with its share of the scene.

    Returns:
        Every term before weighting.

    Raises:
        TrainingError: if a term is NaN or infinite, with its name.
    """
    decoder = painter.decoder.train()
    heatmap = decoder.heatmap(scene.points)  # L = L(E(I))
    fakes = config.gan.adversarial or config.gan.style
    with autocast(scene.images, config):
        style = processes.drawn(lambda n: decoder.random_style(n, generator), len(heatmap)) if fakes else None  # S_o(z)
        fake = decoder.generator(heatmap, style, pixel_noise(decoder, len(heatmap), generator, processes)) if fakes else None
    terms: dict[str, float] = {}
    if painter.discriminator is not None and fake is not None:
        terms |= _discriminator_half(
            painter.discriminator, optimizers["discriminator"], scene, heatmap, fake.detach(), config, penalize, processes
        )
    return terms | _decoder_half(painter, optimizers["decoder"], scene, heatmap, fake, style, config, generator, processes)


def _discriminator_half(
    discriminator: Discriminator,
    optimizer: torch.optim.Optimizer,
    scene: Scene,
    heatmap: Tensor,
    fake: Tensor,
    config: TrainingConfig,
    penalize: bool,
    processes: Processes,
) -> dict[str, float]:
    gan = config.gan
    discriminator.train()
    real = scene.images.detach().requires_grad_(penalize and gan.penalty > 0)
    with autocast(real, config):
        of_real, of_fake = discriminator(real, heatmap), discriminator(fake, heatmap)
    terms, weights = {"L_d": discriminator_loss(of_real, of_fake).mean()}, {"L_d": 1.0, "penalty": gan.penalty}
    if real.requires_grad:
        terms["penalty"] = gradient_penalty(of_real, real).mean()
    values = finite(terms, processes)
    optimizer.zero_grad(set_to_none=True)
    weighted_sum(terms, weights).backward()
    processes.average_gradients(optimizer)
    optimizer.step()
    return values


def _decoder_half(
    painter: Painter,
    optimizer: torch.optim.Optimizer,
    scene: Scene,
    heatmap: Tensor,
    fake: Tensor | None,
    style: Tensor | None,
    config: TrainingConfig,
    generator: torch.Generator,
    processes: Processes,
) -> dict[str, float]:
    gan, decoder = config.gan, painter.decoder
    weights = {"L_g": gan.adversarial, "redrawn": gan.reconstruction, "L_style": gan.style}  # 1, c1, c2
    terms: dict[str, Tensor] = {}
    with autocast(scene.images, config), frozen(painter.discriminator):
        if painter.discriminator is not None and fake is not None:
            terms["L_g"] = generator_loss(painter.discriminator(fake, heatmap)).mean()
        if gan.reconstruction:
            noise = pixel_noise(decoder, len(heatmap), generator, processes)
            redrawn = decoder.generator(heatmap, decoder.style_of(scene.models), noise)
            terms["redrawn"] = image_reconstruction(redrawn, scene.images).mean()
        if gan.style and fake is not None and style is not None:
            terms["L_style"] = style_consistency(decoder.style_of(fake).float(), style.detach().float()).mean()
    values = finite(terms, processes)
    optimizer.zero_grad(set_to_none=True)
    weighted_sum(terms, weights).backward()
    processes.average_gradients(optimizer)
    optimizer.step()
    return values


def resized(images: Tensor, size: int) -> Tensor:
    """Images ``(B, C, S, S)`` at another size; every pixel is the mean of what it covers."""
    return images if images.shape[-1] == size else F.interpolate(images, size=(size, size), mode="area")
