"""Algorithm 1: the decoder learns to redraw images from their landmarks, against the discriminator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from brule.losses import discriminator_loss, generator_loss, gradient_penalty, image_reconstruction, style_consistency
from brule.model import Decoder
from brule.networks import Discriminator
from brule.tensors import resized
from brule.training.augmented_pair import AugmentedPair
from brule.training.config import TrainingConfig
from brule.training.distributed import ALONE, Distributed
from brule.training.steps.common import PseudoLabels, autocast, finite, frozen, pixel_noise, weighted_sum


@dataclass(frozen=True)
class GanBatch:
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
    def of(cls, views: AugmentedPair, pseudo_labels: PseudoLabels, config: TrainingConfig) -> GanBatch:
        """The view that the encoder's landmarks stand for: ``I``, or ``gI`` where a teacher has looked at ``I``."""
        size = config.decoder.image_size or config.crop.image_size
        pair = views.clean1, views.clean2
        drawn, other = pair[::-1] if config.teacher.enabled else pair
        points = pseudo_labels.target if config.teacher.enabled else pseudo_labels.source
        models = drawn if config.gan.style_from == "image" else other
        return cls(resized(drawn, size), points, resized(models, size))


@dataclass(frozen=True)
class GanNetworks:
    """The networks of Algorithm 1.

    Attributes:
        decoder: generator and styles.
        discriminator: where the GAN has one.
    """

    decoder: Decoder
    discriminator: Discriminator | None = None


def gan_step(
    networks: GanNetworks,
    optimizers: dict[str, torch.optim.Optimizer],
    gan_batch: GanBatch,
    config: TrainingConfig,
    *,
    generator: torch.Generator,
    penalize: bool = True,
    distributed: Distributed = ALONE,
) -> dict[str, float]:
    """Algorithm 1: one step of the discriminator, then one of generator, mapping network and style encoder.

    Args:
        networks: its networks are changed, and nothing else.
        optimizers: ``discriminator`` and ``decoder``.
        gan_batch: images with the encoder's landmarks, the latter without gradient.
        config: its section ``gan`` holds the weights; a term of weight zero is not computed.
        generator: of styles and pixel noise.
        penalize: whether it is the turn of the gradient penalty.
        distributed: that train together, each with its share of the batch.

    Returns:
        Every term before weighting.

    Raises:
        TrainingError: if a term is NaN or infinite, with its name.
    """
    decoder = networks.decoder.train()
    heatmap = decoder.heatmap(gan_batch.points)  # L = L(E(I))
    fakes = config.gan.adversarial or config.gan.style
    with autocast(gan_batch.images, config):
        style = distributed.drawn(lambda n: decoder.random_style(n, generator), len(heatmap)) if fakes else None  # S_o(z)
        fake = decoder.generator(heatmap, style, pixel_noise(decoder, len(heatmap), generator, distributed)) if fakes else None
    terms: dict[str, float] = {}
    if networks.discriminator is not None and fake is not None:
        terms |= _discriminator_half(
            networks.discriminator,
            optimizers["discriminator"],
            gan_batch,
            heatmap,
            fake.detach(),
            config,
            penalize,
            distributed,
        )
    return terms | _decoder_half(
        networks, optimizers["decoder"], gan_batch, heatmap, fake, style, config, generator, distributed
    )


def _discriminator_half(
    discriminator: Discriminator,
    optimizer: torch.optim.Optimizer,
    gan_batch: GanBatch,
    heatmap: Tensor,
    fake: Tensor,
    config: TrainingConfig,
    penalize: bool,
    distributed: Distributed,
) -> dict[str, float]:
    gan = config.gan
    discriminator.train()
    real = gan_batch.images.detach().requires_grad_(penalize and gan.penalty > 0)
    with autocast(real, config):
        of_real, of_fake = discriminator(real, heatmap), discriminator(fake, heatmap)
    terms, weights = {"L_d": discriminator_loss(of_real, of_fake).mean()}, {"L_d": 1.0, "penalty": gan.penalty}
    if real.requires_grad:
        terms["penalty"] = gradient_penalty(of_real, real).mean()
    values = finite(terms, distributed)
    optimizer.zero_grad(set_to_none=True)
    weighted_sum(terms, weights).backward()
    distributed.average_gradients(optimizer)
    optimizer.step()
    return values


def _decoder_half(
    networks: GanNetworks,
    optimizer: torch.optim.Optimizer,
    gan_batch: GanBatch,
    heatmap: Tensor,
    fake: Tensor | None,
    style: Tensor | None,
    config: TrainingConfig,
    generator: torch.Generator,
    distributed: Distributed,
) -> dict[str, float]:
    gan, decoder = config.gan, networks.decoder
    weights = {"L_g": gan.adversarial, "redrawn": gan.reconstruction, "L_style": gan.style}  # 1, c1, c2
    terms: dict[str, Tensor] = {}
    with autocast(gan_batch.images, config), frozen(networks.discriminator):
        if networks.discriminator is not None and fake is not None:
            terms["L_g"] = generator_loss(networks.discriminator(fake, heatmap)).mean()
        if gan.reconstruction:
            noise = pixel_noise(decoder, len(heatmap), generator, distributed)
            redrawn = decoder.generator(heatmap, decoder.style_of(gan_batch.models), noise)
            terms["redrawn"] = image_reconstruction(redrawn, gan_batch.images).mean()
        if gan.style and fake is not None and style is not None:
            terms["L_style"] = style_consistency(decoder.style_of(fake).float(), style.detach().float()).mean()
    values = finite(terms, distributed)
    optimizer.zero_grad(set_to_none=True)
    weighted_sum(terms, weights).backward()
    distributed.average_gradients(optimizer)
    optimizer.step()
    return values
