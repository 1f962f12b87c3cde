"""Algorithm 2: the encoder learns from the shape, from moved images, and from what its landmarks let a decoder redraw."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from brule.geometry import skeleton_heatmap
from brule.losses import (
    barycenter_regularizer,
    generator_loss,
    geometric_regularizer,
    image_reconstruction,
    landmark_distance,
    landmark_reconstruction,
)
from brule.model import BruleModel
from brule.tensors import resized
from brule.training.augmented_pair import AugmentedPair, LabelledBatch
from brule.training.config import TrainingConfig
from brule.training.distributed import ALONE, Distributed
from brule.training.ema import MeanPredictions
from brule.training.steps.common import (
    SOFTENING,
    PseudoLabels,
    ShapeModel,
    autocast,
    encode,
    finite,
    frozen,
    pixel_noise,
    take_step,
    weighted_sum,
)
from brule.training.steps.gan import GanBatch, GanNetworks
from brule.training.steps.supervised import supervised_terms, supervised_weights
from brule.transport import BarycenterFit, fit_barycenter


@dataclass(frozen=True)
class DecoderTerms:
    """What the decoder's terms of Algorithm 2 need.

    Attributes:
        networks: the networks of Algorithm 1; they are frozen in this step.
        gan_batch: the images with their landmarks.
        generator: of styles and pixel noise.
    """

    networks: GanNetworks
    gan_batch: GanBatch
    generator: torch.Generator


@dataclass(frozen=True)
class _Stage:
    """What one stage of the encoder says of a batch: landmarks of ``I``, of ``gI``, and what the latter should be."""

    plain: Tensor  # (B, N, 2), in the unit square of I
    moved: Tensor  # (B, N, 2), in the unit square of gI
    target: Tensor  # (B, N, 2), the target of `moved`, without gradient
    source: Tensor  # (B, N, 2), the landmarks of I that g carried to `target`, without gradient


def encoder_step(
    model: BruleModel,
    optimizer: torch.optim.Optimizer,
    views: AugmentedPair,
    shape_model: ShapeModel,
    config: TrainingConfig,
    *,
    means: MeanPredictions,
    pseudo_labels: PseudoLabels | None = None,
    decoder_terms: DecoderTerms | None = None,
    labelled: LabelledBatch | None = None,
    shape_factor: float = 1.0,
    distributed: Distributed = ALONE,
) -> dict[str, float]:
    """Algorithm 2: one step of the encoder.

    Args:
        model: its encoder is changed, and nothing else.
        optimizer: of the encoder's parameters.
        views: the images ``I`` and ``gI``.
        shape_model: the barycenter, and the shape prior.
        config: its section ``loss`` holds the weights; a term of weight zero is not computed.
        means: the running mean predictions; the encoder's is brought up to date.
        pseudo_labels: a teacher's landmarks, where it is to give the targets; the encoder then looks at ``gI`` alone.
        decoder_terms: the decoder, where its terms are to be computed.
        labelled: annotated images that are to join the batch.
        shape_factor: multiplies the weights of ``R_b`` and of the shape prior (they may be annealed).
        distributed: that train together, each with its share of the batch.

    Returns:
        Every term before weighting (``population`` over the share of a batch in the mean, as it enters the sum), the total,
        and the norm of the gradient.

    Raises:
        TrainingError: if a term is NaN or infinite, with its name; the weights are left as they were.
    """
    model.train()
    weights = _weights(config, shape_model, decoder_terms, shape_factor)
    parts = {"I": torch.cat([views.plain, views.moved]) if pseudo_labels is None else views.moved}
    if decoder_terms is not None and {"L_rec^L", "drawn"} & set(weights):
        parts["fakes"], drawn_from = _draw_fakes(decoder_terms, shape_model, config, distributed)  # F = G(L(X), S_o(z)), and X
    if labelled is not None:
        parts["labelled"] = labelled.images
    found = _encode_together(model, parts, config)
    stages = [
        _from_itself(points, views) if pseudo_labels is None else _from_teacher(points, views, pseudo_labels)
        for points in found["I"]
    ]
    finite({"a predicted coordinate": stages[-1].moved.sum()}, distributed)
    running_mean = torch.lerp(means.encoder, distributed.mean(stages[-1].plain.mean(0)), means.SHARE)
    with ThreadPoolExecutor(1, thread_name_prefix="brule-transport") as aside:  # while a GPU works on the other terms
        wanted = stages if "R_b" in weights else []
        fits = [aside.submit(fit_barycenter, stage.plain.detach(), shape_model.barycenter) for stage in wanted]
        terms = {
            name: _over_stages([_STAGE_TERMS[name](stage, views, shape_model, config) for stage in stages])
            for name in weights
            if name in _STAGE_TERMS
        }
        if "population" in weights:
            terms["population"] = _population_term(running_mean, shape_model, means.SHARE)
        if decoder_terms is not None:
            redrawn_from = stages[-1].plain if pseudo_labels is None else stages[-1].moved
            terms |= _redrawing_terms(decoder_terms, redrawn_from, weights, config, distributed)
        if "fakes" in found:
            terms |= _fake_terms(found["fakes"][-1], drawn_from, weights, config)
        if labelled is not None:
            weights |= supervised_weights(config)
            terms |= supervised_terms(found["labelled"], labelled.points, config)
        if fits:
            terms["R_b"] = _barycenter_term(stages, [fit.result() for fit in fits], shape_model, config)
    values = finite(terms, distributed)
    values |= take_step(model, optimizer, weighted_sum(terms, weights), config, distributed)
    means.encoder.copy_(running_mean.detach())
    return values


def _encode_together(model: BruleModel, parts: dict[str, Tensor], config: TrainingConfig) -> dict[str, list[Tensor]]:
    """The stages' landmarks of several sets of images, ``(B, N, 2)`` each.

    All go through in one batch: fewer calls, and one set of batch-norm statistics for all.
    """
    stages = encode(model, torch.cat(list(parts.values())), config).stages
    split = [points.split([len(images) for images in parts.values()]) for points in stages]
    return {name: [points[index] for points in split] for index, name in enumerate(parts)}


def _from_itself(points: Tensor, views: AugmentedPair) -> _Stage:
    """As the paper has it: ``E(gI)`` learns from ``g E(I)``; points of both views, one after the other."""
    plain, moved = points.chunk(2)
    return _Stage(plain, moved, views.move(plain.detach()), plain.detach())


def _from_teacher(moved: Tensor, views: AugmentedPair, pseudo_labels: PseudoLabels) -> _Stage:
    """``E(gI)`` learns from ``g Ē(I)`` of the averaged encoder ``Ē``, and stands for the shape of ``I`` as ``g⁻¹ E(gI)``."""
    # To what the teacher isn't sure of, the target is where the landmark is: there is nothing to gain from moving it.
    target = (
        pseudo_labels.target
        if pseudo_labels.sure is None
        else torch.where(pseudo_labels.sure[..., None], pseudo_labels.target, moved.detach())
    )
    return _Stage(views.move_back(moved), moved, target, pseudo_labels.source)


def _weights(
    config: TrainingConfig, shape_model: ShapeModel, decoder_terms: DecoderTerms | None, shape_factor: float
) -> dict[str, float]:
    """The weights of the terms that are to be computed."""
    loss, known = config.loss, shape_model.prior is not None
    judged = decoder_terms is not None and decoder_terms.networks.discriminator is not None
    weights = {
        "R_b": loss.barycenter * shape_factor,  # c3
        "R_g": loss.geometric,  # c4
        "L_g of E": loss.adversarial * judged,  # c5
        "L_rec^I": loss.image_reconstruction * (decoder_terms is not None),  # c6
        "L_rec^L": loss.landmark_reconstruction * (decoder_terms is not None),  # c7
        "drawn": loss.drawn * (decoder_terms is not None),
        "shape_prior": loss.shape_prior * shape_factor * known,
        "population": loss.population * known,
        "equivariance": loss.equivariance,
    }
    return {name: weight for name, weight in weights.items() if weight}


def _over_stages(costs: list[Tensor]) -> Tensor:
    """The sum over the stages of their means over the batch."""
    return torch.stack([cost.mean() for cost in costs]).sum()


def _barycenter_term(
    stages: list[_Stage], fits: list[BarycenterFit], shape_model: ShapeModel, config: TrainingConfig
) -> Tensor:
    loss = config.loss
    weights = {"translation": loss.translation, "affine": loss.affine, "warp": loss.warp}
    costs = [
        barycenter_regularizer(stage.plain, shape_model.barycenter, fit=fit, **weights)
        for stage, fit in zip(stages, fits, strict=True)
    ]
    return _over_stages(costs)


def _geometric_term(stage: _Stage, views: AugmentedPair, shape_model: ShapeModel, config: TrainingConfig) -> Tensor:
    size, sigma = config.crop.image_size, config.loss.sigma
    with torch.no_grad():
        target = views.move_heatmap(skeleton_heatmap(stage.source, size=size, sigma=sigma))  # g L(I)
    drawn = skeleton_heatmap(stage.moved, size=size, sigma=sigma)  # L(gI)
    return geometric_regularizer(drawn, target, stage.moved, stage.target, coordinates=config.loss.coordinates)


def _prior_term(stage: _Stage, views: AugmentedPair, shape_model: ShapeModel, config: TrainingConfig) -> Tensor:
    assert shape_model.prior is not None
    return shape_model.prior.energy(stage.plain)


def _equivariance_term(stage: _Stage, views: AugmentedPair, shape_model: ShapeModel, config: TrainingConfig) -> Tensor:
    return 100 * landmark_distance(stage.moved, stage.target, softening=SOFTENING)


def _population_term(running_mean: Tensor, shape_model: ShapeModel, share: float) -> Tensor:
    """The energy of the mean over the latest images; the running mean passes on only its newest share of the gradient."""
    assert shape_model.prior is not None
    return shape_model.prior.energy(running_mean[None]).mean() / share


def _redrawing_terms(
    decoder_terms: DecoderTerms, points: Tensor, weights: dict[str, float], config: TrainingConfig, distributed: Distributed
) -> dict[str, Tensor]:
    """``L_rec^I`` and ``L_g`` of the images redrawn from the encoder's landmarks ``(B, N, 2)``."""
    if "L_rec^I" not in weights and "L_g of E" not in weights:
        return {}
    networks, gan_batch = decoder_terms.networks, decoder_terms.gan_batch
    decoder, terms = networks.decoder, {}
    with frozen(decoder, networks.discriminator), autocast(gan_batch.images, config):
        heatmap = decoder.heatmap(points)
        noise = pixel_noise(decoder, len(points), decoder_terms.generator, distributed)
        redrawn = decoder.generator(heatmap, decoder.style_of(gan_batch.models), noise)
        if "L_rec^I" in weights:
            terms["L_rec^I"] = image_reconstruction(redrawn, gan_batch.images).mean()
        if "L_g of E" in weights and networks.discriminator is not None:
            terms["L_g of E"] = generator_loss(networks.discriminator(redrawn, heatmap.detach())).mean()
    return terms


@torch.no_grad()
def _draw_fakes(
    decoder_terms: DecoderTerms, shape_model: ShapeModel, config: TrainingConfig, distributed: Distributed
) -> tuple[Tensor, Tensor]:
    """``F = G(L(X), S)`` for a share of the batch, at the size of the encoder's images; and ``X``."""
    decoder, points, generator = decoder_terms.networks.decoder, decoder_terms.gan_batch.points, decoder_terms.generator
    points = points[: max(1, round(len(points) * config.loss.fakes))]
    count, prior = len(points), shape_model.prior
    if prior is not None and config.loss.fake_bends:
        strength = config.loss.fake_bends
        points = points + distributed.drawn(lambda n: prior.sample(n, strength=strength, generator=generator), count)
    with autocast(points, config):
        if config.loss.fake_styles == "images":
            style = distributed.opposite(
                decoder.style_of(decoder_terms.gan_batch.models[-count:].flip(0))
            )  # each of another image
        else:
            style = distributed.drawn(lambda n: decoder.random_style(n, generator), count)
        fakes = decoder.generator(decoder.heatmap(points), style, pixel_noise(decoder, count, generator, distributed))
    return resized(fakes, config.crop.image_size).clamp(-1, 1), points


def _fake_terms(points: Tensor, target: Tensor, weights: dict[str, float], config: TrainingConfig) -> dict[str, Tensor]:
    """``L_rec^L``: the landmarks ``(B', N, 2)`` that the encoder finds on fakes against those they were drawn from."""
    terms, size, sigma = {}, config.crop.image_size, config.loss.sigma
    if "L_rec^L" in weights:
        drawn, wanted = (skeleton_heatmap(one, size=size, sigma=sigma) for one in (points, target))
        loss = landmark_reconstruction(drawn, wanted, points, target, coordinates=config.loss.coordinates)
        terms["L_rec^L"] = loss.mean()
    if "drawn" in weights:
        terms["drawn"] = 100 * landmark_distance(points, target, softening=SOFTENING).mean()
    return terms


_STAGE_TERMS = {
    "R_g": _geometric_term,
    "shape_prior": _prior_term,
    "equivariance": _equivariance_term,
}
