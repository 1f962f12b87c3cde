"""Algorithm 1: the decoder learns to redraw images from their landmarks, against the discriminator."""

from __future__ import annotations

from torch import Tensor

from brule.losses import discriminator_loss, generator_loss, gradient_penalty, image_reconstruction, style_consistency
from brule.training.steps.context import Step, autocast, descend, frozen, pixel_noise
from brule.training.views import draw_warp


def gan_step(step: Step, *, penalize: bool = True) -> dict[str, float]:
    """Algorithm 1: one step of the discriminator, then one of generator, mapping network and style encoder.

    Args:
        step: of a run with a decoder; decoder and discriminator are changed, and nothing else. The section ``gan`` of the
            settings holds the weights; a term of weight zero is not computed.
        penalize: whether it is the turn of the gradient penalty.

    Returns:
        Every term before weighting.

    Raises:
        TrainingError: if a term is NaN or infinite, with its name.
    """
    state, gan = step.state, step.config.gan
    assert state.decoder is not None
    decoder = state.decoder.train()
    # Alg. 1, line 1: L = L(E(I)), without gradient.
    heatmap = decoder.heatmap(step.gan_points)
    # Alg. 1, line 2: z, and the fake G(L, S_o(z)).
    style = fake = None
    if gan.adversarial or gan.style:
        with autocast(heatmap, step.config):
            style = step.distributed.draw_for_batch(lambda n: decoder.random_style(n, step.generator), len(heatmap))
            fake = decoder.generator(heatmap, style, pixel_noise(decoder, len(heatmap), step))
    terms: dict[str, float] = {}
    if state.discriminator is not None and fake is not None:
        terms |= _discriminator_update(step, heatmap, fake.detach(), penalize=penalize)
    return terms | _decoder_update(step, heatmap, fake=fake, style=style)


def _discriminator_update(step: Step, heatmap: Tensor, fake: Tensor, *, penalize: bool) -> dict[str, float]:
    """Alg. 1, line 3: D descends ``-L_d + λ‖∇D‖²``."""
    gan, discriminator = step.config.gan, step.state.discriminator
    assert discriminator is not None
    discriminator.train()
    real = step.gan_images.detach().requires_grad_(penalize and gan.penalty > 0)
    with autocast(real, step.config):
        of_real, of_fake = discriminator(real, heatmap), discriminator(fake, heatmap)
    terms, weights = (
        {"L_d": discriminator_loss(of_real, of_fake).mean()},
        {"L_d": 1.0, "penalty": gan.penalty.at(step.progress)},
    )
    if real.requires_grad:
        terms["penalty"] = gradient_penalty(of_real, real).mean()
    values = descend(step, "discriminator", terms, weights=weights)
    return {name: values[name] for name in terms}


def _decoder_update(step: Step, heatmap: Tensor, *, fake: Tensor | None, style: Tensor | None) -> dict[str, float]:
    """Alg. 1, line 4: G, S_o and S descend ``L_g + c₁ L_rec^I + c₂ L_style``."""
    gan, decoder, discriminator = step.config.gan, step.state.decoder, step.state.discriminator
    assert decoder is not None
    each = {"L_g": gan.adversarial, "redrawn": gan.reconstruction, "L_style": gan.style}  # 1, c1, c2
    terms: dict[str, Tensor] = {}
    with autocast(heatmap, step.config), frozen(discriminator):
        if discriminator is not None and fake is not None:
            terms["L_g"] = generator_loss(discriminator(fake, heatmap)).mean()
        if gan.reconstruction:
            noise = pixel_noise(decoder, len(heatmap), step)
            redrawn = decoder.generator(heatmap, decoder.style_of(step.style_images), noise)
            terms["redrawn"] = image_reconstruction(redrawn, step.gan_images).mean()
        if gan.style and fake is not None and style is not None:
            of_fake = decoder.style_of(fake).float()
            # L_style has a g of its own; without it, the second half is zero.
            of_warped = decoder.style_of(_warped(fake, step)).float() if gan.warped_style else of_fake.detach()
            terms["L_style"] = style_consistency(of_fake, style.float(), of_warped).mean()
    weights = {name: weight.at(step.progress) for name, weight in each.items()}
    values = descend(step, "decoder", terms, weights=weights)
    return {name: values[name] for name in terms}


def _warped(images: Tensor, step: Step) -> Tensor:
    """Images under random maps g, drawn for the whole batch."""
    prior = step.shape_model.prior
    warps = step.distributed.draw_for_batch(
        lambda n: draw_warp(step.config, n, generator=step.generator, prior=prior), len(images)
    )
    return warps.to(images.device).image(images)
