"""Local regressions, learnt from what the averaged encoder finds in unlabelled images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from brule.arrays import evenly_spread
from brule.geometry import ShapePrior
from brule.model import BruleModel
from brule.networks.local_regression import FinalRegression, LocalRegression, image_slopes
from brule.tensors import Images
from brule.training.config import TrainingConfig
from brule.training.prediction import predict_crops

STAGES = 4  # that move a teacher's landmarks
_MAX_IMAGES = 1000  # used for fitting
_MAX_FINAL_IMAGES = 600  # whose slopes are finer
_MIN_IMAGES = 200  # fewer don't show what they share well enough for predictions to gain
_SIZE = 64  # pixels at which a teacher's surroundings are looked at, however large the encoder's input is
_NOISE = 0.015  # of the crop: what the shape prior takes for noise after each stage


@torch.no_grad()
def regressed(regression: LocalRegression, points: Tensor, crops: Tensor, *, prior: ShapePrior) -> Tensor:
    """A teacher's landmarks, moved to where their surroundings look as in other images.

    Args:
        regression: is learnt already.
        points: ``(B, N, 2)`` in the unit square, their mean over all images that of the prior.
        crops: ``(B, C, S, S)``.
        prior: of the shape. Its mean may have moved since the regressions were learnt: landmarks are then looked at where
            they would have been, and moved alike. Otherwise they would be led back.

    Returns:
        ``(B, N, 2)``, without gradient.
    """
    moved = prior.mean - regression.mean
    found: Tensor = regression(points.float() - moved, teacher_slopes(crops), prior.smoothing(_NOISE))
    return (found + moved).to(points.dtype)


def learn_regression(
    regression: LocalRegression,
    teacher: BruleModel,
    images: Images,
    *,
    prior: ShapePrior,
    config: TrainingConfig,
    generator: torch.Generator,
) -> None:
    """Learn the regressions that move a teacher's landmarks during training.

    Args:
        regression: is overwritten.
        teacher: the averaged model, in evaluation mode.
        images: unlabelled crops.
        prior: of the shape; landmarks are put about its mean first.
        config: its section ``crop`` is read.
        generator: the source of randomness, on the CPU.
    """
    found = predict_crops(teacher, images, config, chosen=evenly_spread(len(images), _MAX_IMAGES))
    batches = ((teacher_slopes(crops), points) for crops, points in found)
    regression.fit(batches, mean=prior.mean, smoothing=prior.smoothing(_NOISE), generator=generator)


def learns_final(images: Images, config: TrainingConfig) -> bool:
    """Whether the last step of predictions is wanted, and there are enough images to learn it from."""
    return bool(config.teacher.regress_final) and len(images) >= _MIN_IMAGES


def learn_final_regression(
    model: BruleModel, images: Images, *, prior: ShapePrior, config: TrainingConfig, generator: torch.Generator
) -> FinalRegression | None:
    """Learn the last step of predictions, at the end of training; ``None`` from too few images, or if none is wanted.

    Args:
        model: the trained one, in evaluation mode.
        images: unlabelled crops.
        prior: of the shape.
        config: its section ``crop`` and ``teacher.regress_final`` are read.
        generator: the source of randomness, on the CPU.
    """
    if not learns_final(images, config):
        return None
    found = predict_crops(model, images, config, chosen=evenly_spread(len(images), _MAX_FINAL_IMAGES))
    batches = [(FinalRegression.slopes(crops), points) for crops, points in found]
    mean = torch.cat([points for _, points in batches]).mean(0)
    final = FinalRegression(len(mean), share=config.teacher.regress_final).to(mean.device)
    final.smoothing.copy_(prior.smoothing(_NOISE))
    final.regression.fit(batches, mean=mean, smoothing=final.smoothing, generator=generator)
    return final


def teacher_slopes(crops: Tensor) -> Tensor:
    """Slopes ``(B, 2, 64, 64)`` of crops ``(B, C, S, S)``."""
    grey = crops.float().mean(1, keepdim=True)
    if grey.shape[-1] != _SIZE:
        grey = F.interpolate(grey, size=(_SIZE, _SIZE), mode="bilinear", antialias=True)
    return image_slopes(grey)
