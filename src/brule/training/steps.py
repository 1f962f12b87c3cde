"""One iteration of training, as the paper's algorithms write it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from brule.errors import TrainingError
from brule.geometry import ShapePrior, skeleton_heatmap
from brule.losses import barycenter_regularizer, geometric_regularizer, landmark_distance
from brule.model import BruleModel
from brule.networks import EncoderOutput
from brule.training.averaging import MeanPredictions
from brule.training.config import TrainingConfig
from brule.training.views import TwoViews


@dataclass(frozen=True)
class Guide:
    """What training knows of the object's shape.

    Attributes:
        barycenter: ``(1, N, 2)`` in the unit square of the crop.
        prior: the Gaussian over shapes, where the annotated shapes allowed one.
        mirror: the index permutation under mirroring, where the shape has a symmetry.
    """

    barycenter: Tensor
    prior: ShapePrior | None = None
    mirror: Tensor | None = None


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
    views: TwoViews,
    guide: Guide,
    config: TrainingConfig,
    *,
    means: MeanPredictions,
    teacher: BruleModel | None = None,
    shape_factor: float = 1.0,
) -> dict[str, float]:
    """Algorithm 2 without the terms of the GAN: the encoder learns from ``R_b`` and ``R_g``.

    Args:
        model: its encoder is changed, and nothing else.
        optimizer: of the encoder's parameters.
        views: the images ``I`` and ``gI``.
        guide: the barycenter, and the shape prior.
        config: its section ``loss`` holds the weights; a term of weight zero is not computed.
        means: the running mean predictions, brought up to date.
        teacher: the averaged model, where it is to give the targets.
        shape_factor: multiplies the weights of ``R_b`` and of the shape prior (they may be annealed).

    Returns:
        Every term before weighting (``population`` over the share of a batch in the mean, as it enters the sum), the total,
        and the norm of the gradient.

    Raises:
        TrainingError: if a term is NaN or infinite, with its name; the weights are left as they were.
    """
    model.train()
    if teacher is None:
        stages = _learn_from_itself(model, views, config)
    else:
        stages = _learn_from(teacher, model, views, guide, means, config)
    _refuse_non_finite({"a predicted coordinate": stages[-1].moved.sum()})
    running_mean = torch.lerp(means.encoder, stages[-1].plain.mean(0), means.SHARE)
    weights = _weights(config, guide, shape_factor)
    terms = {
        name: torch.stack([_STAGE_TERMS[name](stage, views, guide, config).mean() for stage in stages]).sum()
        for name in weights
        if name in _STAGE_TERMS
    }
    if "population" in weights:
        terms["population"] = _population_term(running_mean, guide, means.SHARE)
    _refuse_non_finite(terms)
    total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.encoder.parameters(), config.optimizer.clip or float("inf"))
    _refuse_non_finite({"the gradient": norm})
    optimizer.step()
    means.encoder.copy_(running_mean.detach())
    values = {name: float(term.detach()) for name, term in terms.items()}
    return values | {"loss": float(total.detach()), "gradient": float(norm)}


def _learn_from_itself(model: BruleModel, views: TwoViews, config: TrainingConfig) -> list[_Stage]:
    """As the paper has it: ``E(gI)`` learns from ``g E(I)``.

    Both views go through in one batch: half the calls, and one set of batch-norm statistics for both.
    """
    output = _encode(model, torch.cat([views.plain, views.moved]), config)
    halves = [stage.chunk(2) for stage in output.stages]
    return [_Stage(plain, moved, views.move(plain.detach()), plain.detach()) for plain, moved in halves]


def _learn_from(
    teacher: BruleModel,
    model: BruleModel,
    views: TwoViews,
    guide: Guide,
    means: MeanPredictions,
    config: TrainingConfig,
) -> list[_Stage]:
    """``E(gI)`` learns from ``g Ē(I)`` of the averaged encoder ``Ē``, and stands for the shape of ``I`` as ``g⁻¹ E(gI)``."""
    with torch.no_grad():
        source = _cleaned(_encode(teacher, views.plain, config).points, guide, means, config)
        target = views.move(source)
    output = _encode(model, views.moved, config)
    return [_Stage(views.move_back(moved), moved, target, source) for moved in output.stages]


def _cleaned(points: Tensor, guide: Guide, means: MeanPredictions, config: TrainingConfig) -> Tensor:
    """The teacher's landmarks without what the shapes say must be wrong with them.

    Their mean over the images drifts, since nothing in an equivariance says *which* points are followed; it is laid on the
    prior's mean. What is unlikely in a single shape is taken for noise.
    """
    means.average.lerp_(points.mean(0), means.SHARE)
    if guide.prior is None:
        return points
    if config.teacher.centre:
        points = points - (means.average - guide.prior.mean)
    return guide.prior.denoise(points, noise=config.teacher.noise) if config.teacher.noise else points


def _encode(model: BruleModel, images: Tensor, config: TrainingConfig) -> EncoderOutput:
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
        output: EncoderOutput = model(images)
    return output


def _weights(config: TrainingConfig, guide: Guide, shape_factor: float) -> dict[str, float]:
    """The weights of the terms that are to be computed."""
    loss, known = config.loss, guide.prior is not None
    weights = {
        "R_b": loss.barycenter * shape_factor,  # c3
        "R_g": loss.geometric,  # c4
        "shape_prior": loss.shape_prior * shape_factor * known,
        "population": loss.population * known,
        "equivariance": loss.equivariance,
    }
    return {name: weight for name, weight in weights.items() if weight}


def _barycenter_term(stage: _Stage, views: TwoViews, guide: Guide, config: TrainingConfig) -> Tensor:
    loss = config.loss
    return barycenter_regularizer(
        stage.plain, guide.barycenter, translation=loss.translation, affine=loss.affine, warp=loss.warp
    )


def _geometric_term(stage: _Stage, views: TwoViews, guide: Guide, config: TrainingConfig) -> Tensor:
    size, sigma = config.crop.image_size, config.loss.sigma
    with torch.no_grad():
        target = views.move_heatmap(skeleton_heatmap(stage.source, size=size, sigma=sigma))  # g L(I)
    drawn = skeleton_heatmap(stage.moved, size=size, sigma=sigma)  # L(gI)
    return geometric_regularizer(drawn, target, stage.moved, stage.target, coordinates=config.loss.coordinates)


def _prior_term(stage: _Stage, views: TwoViews, guide: Guide, config: TrainingConfig) -> Tensor:
    assert guide.prior is not None
    return guide.prior.energy(stage.plain)


def _equivariance_term(stage: _Stage, views: TwoViews, guide: Guide, config: TrainingConfig) -> Tensor:
    return 100 * landmark_distance(stage.moved, stage.target, softening=_SOFTENING)


def _population_term(running_mean: Tensor, guide: Guide, share: float) -> Tensor:
    """The energy of the mean over the latest images; the running mean passes on only its newest share of the gradient."""
    assert guide.prior is not None
    return guide.prior.energy(running_mean[None]).mean() / share


_SOFTENING = 0.01  # of the crop: nearer than a pixel of 64 the distance is rounded off
_STAGE_TERMS = {
    "R_b": _barycenter_term,
    "R_g": _geometric_term,
    "shape_prior": _prior_term,
    "equivariance": _equivariance_term,
}


def _refuse_non_finite(terms: dict[str, Tensor]) -> None:
    for name, term in terms.items():
        value = float(term.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"training stopped: {name} is {value}; the last checkpoint is intact. Train anew with a lower "
                "optimizer.learning_rate, or with optimizer.clip=5"
            )
