"""How far the mean of a few annotated shapes is from that of all images, estimated by a teacher that hasn't seen them."""

from __future__ import annotations

import torch
from torch import Tensor

from brule.arrays import evenly_spread
from brule.geometry import ShapeModel, mirrored
from brule.model import BruleModel
from brule.training.batches import LabelledImages
from brule.training.config import TrainingConfig
from brule.training.ema import MeanPredictions
from brule.training.prediction import predict_crops

_MAX_IMAGES = 1000  # annotated images that are used
_MIN_DEVIATION = 1e-5  # of the crop: landmarks that vary by less than that don't vary


def debias_mean(
    means: MeanPredictions,
    teacher: BruleModel,
    labelled: LabelledImages,
    *,
    shape_model: ShapeModel,
    config: TrainingConfig,
) -> None:
    r"""Note the shift from the mean of the annotated shapes to the mean shape of all images.

    The mean of ten shapes is off by what distinguishes these ten from the rest. The teacher's landmarks ``E(I)`` know most
    of that: how the ten differ from all images in what it finds, the ten shapes ``X`` do as well, as far as ``X`` follows it.

    .. math:: \hat\mu = \bar X + \lambda\,\bigl(\overline{E(I)} - \bar E_n\bigr), \qquad
        \lambda = \frac{\mathrm{cov}_n(X, E)}{\mathrm{var}_n(E)} \text{ in } [0, 1]

    with ``n`` for what is taken over the annotated images alone, coordinate by coordinate. As long as the teacher hasn't
    learnt from these labels, this varies with its error rather than with the differences between shapes; where it knows
    nothing, the estimate is hardly worse than their mean from about ten images on (prediction-powered inference, Angelopoulos
    et al. 2023; its power tuning, Angelopoulos, Duchi, Zrnic 2023). Where the shape is symmetric, so is the estimate.

    Args:
        means: its ``ema`` is the teacher's mean over all images; ``shift`` is set.
        teacher: the averaged model, in evaluation mode.
        labelled: the annotated images.
        shape_model: its prior's mean is what is shifted.
        config: its section ``crop`` is read.
    """
    assert shape_model.prior is not None
    chosen = evenly_spread(len(labelled.images), _MAX_IMAGES)
    found = torch.cat([points for _, points in predict_crops(teacher, labelled.images, config, chosen=chosen)])
    truth, everywhere = labelled.points[torch.from_numpy(chosen)].to(found.device), means.ema
    if shape_model.mirror is not None:
        found, truth = (torch.cat([points, mirrored(points, shape_model.mirror)]) for points in (found, truth))
        everywhere = (everywhere + mirrored(everywhere, shape_model.mirror)) / 2
    means.shift.copy_(mean_of_all(truth, found, everywhere) - shape_model.prior.mean)
    means.corrected.fill_(1)


def mean_of_all(truth: Tensor, found: Tensor, everywhere: Tensor) -> Tensor:
    r"""The estimate of :func:`debias_mean`.

    Args:
        truth: ``X``, the annotated shapes ``(n, N, 2)``, NaN where a landmark is missing.
        found: ``E``, the teacher's landmarks of their images, of the same shape.
        everywhere: ``(N, 2)``, the mean of its landmarks over all images.

    Returns:
        ``(N, 2)``; a landmark that no annotated image has is taken to lie where the teacher finds it.
    """
    found = found.where(truth.isfinite(), torch.nan)
    mean, found_mean = truth.nanmean(0), found.nanmean(0)
    variance = (found - found_mean).square().nanmean(0)
    follows = ((truth - mean) * (found - found_mean)).nanmean(0) / variance
    follows = follows.where(variance > _MIN_DEVIATION**2, 1).clamp(
        0, 1
    )  # a single image, or one prediction to all: plain inference
    return torch.where(mean.isfinite(), mean + follows * (everywhere - found_mean), everywhere)
