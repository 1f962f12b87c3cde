"""Learning from annotated images (BRULÈ, §6.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from brule.geometry import skeleton_heatmap
from brule.losses import geometric_regularizer, landmark_distance
from brule.model import BruleModel
from brule.training.augmented_pair import LabelledBatch
from brule.training.config import TrainingConfig
from brule.training.distributed import ALONE, Distributed
from brule.training.steps.common import SOFTENING, encode, finite, take_step, weighted_sum


def supervised_step(
    model: BruleModel,
    optimizer: torch.optim.Optimizer,
    batch: LabelledBatch,
    config: TrainingConfig,
    *,
    distributed: Distributed = ALONE,
) -> dict[str, float]:
    """One step of the encoder on annotated images alone.

    Args:
        model: its encoder is changed, and nothing else.
        optimizer: of the encoder's parameters.
        batch: images and landmarks; a landmark that is missing (NaN) teaches nothing.
        config: its section ``labelled`` holds the weights; a term of weight zero is not computed.
        distributed: that train together, each with its share of the batch.

    Returns:
        Every term before weighting.

    Raises:
        TrainingError: if a term is NaN or infinite, with its name; the weights are left as they were.
    """
    model.train()
    terms = supervised_terms(encode(model, batch.images, config).stages, batch.points, config)
    values = finite(terms, distributed)
    take_step(model, optimizer, weighted_sum(terms, supervised_weights(config)), config, distributed)
    return values


def supervised_terms(stages: Sequence[Tensor], target: Tensor, config: TrainingConfig) -> dict[str, Tensor]:
    """The terms of annotated images, summed over the stages of the encoder.

    Args:
        stages: ``(B, N, 2)`` each, in the unit square.
        target: ``(B, N, 2)`` the annotation, NaN where a landmark is missing.
        config: the weights.
    """
    present = target.isfinite().all(-1, keepdim=True)
    weights, terms = supervised_weights(config), {}
    # What is missing is taken to be where the encoder has it: there is nothing to gain from moving it.
    filled = [torch.where(present, target.nan_to_num(), points.detach()) for points in stages]
    if "labels" in weights:
        apart = [landmark_distance(p, t, softening=SOFTENING).mean() for p, t in zip(stages, filled, strict=True)]
        terms["labels"] = 100 * torch.stack(apart).sum()
    if "labels H" in weights:
        size, sigma = config.crop.image_size, config.loss.sigma
        costs = []
        for points, wanted in zip(stages, filled, strict=True):
            drawn, target_map = (skeleton_heatmap(one, size=size, sigma=sigma) for one in (points, wanted))
            cost = geometric_regularizer(drawn, target_map, points, wanted, coordinates=config.loss.coordinates)
            costs.append(cost.mean())
        terms["labels H"] = torch.stack(costs).sum()
    return terms


def supervised_weights(config: TrainingConfig) -> dict[str, float]:
    """The weights of the terms that are to be computed."""
    weights = {"labels": config.labelled.distance, "labels H": config.labelled.heatmap}
    return {name: weight for name, weight in weights.items() if weight}
