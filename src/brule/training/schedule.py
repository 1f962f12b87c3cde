"""What changes over a run by plan: how far it has come, the learning rates, the weight of the shape."""

from __future__ import annotations

import math

from brule.training.checkpoint import Progress
from brule.training.config import TrainingConfig

_SIZES = ("rotation", "scale", "translation", "elastic", "bends")  # of warps


def progress_of(progress: Progress, config: TrainingConfig) -> float:
    """How much of a run is done, by iterations or by minutes, whichever is further."""
    by_count = progress.iteration / config.iterations
    by_time = progress.elapsed / (60 * config.time_limit) if config.time_limit else 0.0
    return max(by_count, by_time)


def lr_scale(iteration: int, share: float, config: TrainingConfig) -> float:
    """What every learning rate is multiplied by: a linear rise over ``warmup`` iterations, then as the schedule says."""
    settings = config.optimizer
    rise = min(1.0, (iteration + 1) / settings.warmup) if settings.warmup else 1.0
    fall = 0.5 + 0.5 * math.cos(math.pi * min(share, 1.0)) if settings.schedule == "cosine" else 1.0
    return rise * fall


def is_finetuning(share: float, config: TrainingConfig) -> bool:
    """Whether a run has come to its last part."""
    return config.finetune.fraction > 0 and share >= 1 - config.finetune.fraction


def finetune_config(config: TrainingConfig) -> TrainingConfig:
    """The settings with the warps of its last part."""
    sizes = {name: config.finetune.warp_scale * getattr(config.warp, name) for name in _SIZES}
    return config.model_copy(update={"warp": config.warp.model_copy(update=sizes)})


def shape_factor(share: float, config: TrainingConfig) -> float:
    """How much stronger than at the end the terms are that tie landmarks to the shape; falls geometrically to one."""
    loss = config.loss
    if not loss.anneal_until or share >= loss.anneal_until:
        return 1.0
    return float(loss.anneal_from ** (1 - share / loss.anneal_until))
