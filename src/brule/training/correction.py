"""How far the mean of a few annotated shapes is from that of all images, told by a teacher that hasn't learnt from them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from brule.geometry import mirrored
from brule.model import BruleModel
from brule.training.averaging import MeanPredictions
from brule.training.config import TrainingConfig
from brule.training.looking import look_at
from brule.training.source import Images, LabelledImages
from brule.training.steps import Guide

_MOST = 1000  # annotated images that are looked at


def correct_mean(
    means: MeanPredictions, teacher: BruleModel, labelled: LabelledImages, guide: Guide, config: TrainingConfig
) -> None:
    r"""Note the shift from the mean of the annotated shapes to the mean shape of all images.

    The mean of ten shapes is off by what distinguishes these ten from the rest. The teacher's landmarks ``E(I)`` know most
    of that. What they have wrong, on average over the annotated images, is taken off their mean over all images:

    .. math:: \hat\mu = \overline{E(I)} + \frac1n \sum_{k=1}^n (X_k - E(I_k))

    This is unbiased whatever the teacher is worth, as long as it hasn't learnt from these labels, and varies with the
    teacher's error rather than with the differences between shapes (prediction-powered inference, Angelopoulos et al.
    2023). Where the shape is symmetric, so is the estimate.

    Args:
        means: its ``average`` is the teacher's mean over all images; ``shift`` is set.
        teacher: the averaged model, in evaluation mode.
        labelled: the annotated images.
        guide: its prior's mean is what is shifted.
        config: its section ``crop`` is read.
    """
    assert guide.prior is not None
    chosen = np.unique(np.linspace(0, len(labelled.images) - 1, _MOST).round().astype(int))
    found = _landmarks(teacher, labelled.images, chosen, config)
    missed = labelled.points[torch.from_numpy(chosen)].to(found.device) - found
    estimate = means.average + missed.nanmean(0).nan_to_num(0.0)
    if guide.mirror is not None:
        estimate = (estimate + mirrored(estimate, guide.mirror)) / 2
    means.shift.copy_(estimate - guide.prior.mean)
    means.corrected.fill_(1)


def _landmarks(teacher: BruleModel, images: Images, chosen: np.ndarray, config: TrainingConfig) -> Tensor:
    """The landmarks of images as they are, ``(n, N, 2)`` in the unit square of the crop."""
    return torch.cat([points for _, points in look_at(teacher, images, chosen, config)])
