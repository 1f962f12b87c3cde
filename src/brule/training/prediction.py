"""A model's landmarks of stored images, without augmentation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from brule.model import BruleModel
from brule.tensors import Images, to_input
from brule.training.config import TrainingConfig
from brule.training.views import central_crop

_BATCH = 64


def predict_crops(
    model: BruleModel, images: Images, config: TrainingConfig, *, chosen: np.ndarray
) -> Iterator[tuple[Tensor, Tensor]]:
    """Find the landmarks of some images, a batch at a time.

    Args:
        model: in evaluation mode.
        images: crops, ``crop.context`` times as wide as the encoder's input.
        config: its section ``crop`` is read.
        chosen: which of them, ``(n,)``.

    Yields:
        Crops ``(B, C, S, S)`` in ``[-1, 1]`` and points ``(B, N, 2)`` in their unit square, on the model's device.
    """
    for start in range(0, len(chosen), _BATCH):
        with torch.no_grad():
            stored = to_input(torch.from_numpy(images[chosen[start : start + _BATCH]])).to(model.barycenter.device)
            crops = central_crop(stored, config)
            points = model.encode(crops).points.float()
        yield crops, points
