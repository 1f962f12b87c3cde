"""What changes over a run by plan: the learning rates, and the fine-tuning phase."""

from __future__ import annotations

import math

from brule.training.config import TrainingConfig

_SIZES = ("rotation", "scale", "translation", "elastic", "bends")  # of warps


def lr_scale(iteration: int, progress: float, config: TrainingConfig) -> float:
    """What every learning rate is multiplied by: a linear rise over ``warmup`` iterations, then according to the schedule."""
    settings = config.optimizer
    rise = min(1.0, (iteration + 1) / settings.warmup) if settings.warmup else 1.0
    fall = 0.5 + 0.5 * math.cos(math.pi * min(progress, 1.0)) if settings.schedule == "cosine" else 1.0
    return rise * fall


def is_finetuning(progress: float, config: TrainingConfig) -> bool:
    """Whether a run is in its fine-tuning phase."""
    return config.finetune.fraction > 0 and progress >= 1 - config.finetune.fraction


def finetune_config(config: TrainingConfig) -> TrainingConfig:
    """The settings with the warps of the fine-tuning phase."""
    sizes = {name: config.finetune.warp_scale * getattr(config.warp, name) for name in _SIZES}
    return config.model_copy(update={"warp": config.warp.model_copy(update=sizes)})
