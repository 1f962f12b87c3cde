"""The skeleton heatmap of predicted landmarks, as the losses and the decoder see it (the paper's Figs. 8 and 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from brule.arrays import Array
from brule.coordinates import pixels_to_unit
from brule.data import Box, crop_box, landmark_box
from brule.errors import DataError
from brule.geometry import skeleton_heatmap
from brule.training.config import TrainingConfig

SIDE = 256  # pixels, the paper's resolution


@dataclass(frozen=True, eq=False)
class LandmarkHeatmap:
    """A heatmap and the part of the image that it belongs to.

    Attributes:
        box: the crop about the landmarks, in pixels of the image.
        points: ``(N, 2)`` in the unit square of that crop.
        heatmap: ``(S, S)``, lines of height one, as the generator and the discriminator get it.
    """

    box: Box
    points: Array
    heatmap: Array


def landmark_heatmap(points: ArrayLike, config: TrainingConfig, *, side: int = SIDE) -> LandmarkHeatmap:
    """``L(X)`` of one object's landmarks, Eq. (2), in the crop that they have by the crop rule.

    Args:
        points: ``X``, ``(N, 2)`` in pixels of the image.
        config: of the detector: the lines are as wide, in sides of the crop, as in its training.
        side: ``S``, pixels of the heatmap.

    Raises:
        DataError: the points aren't ``(N, 2)``, or not finite.
    """
    found = np.asarray(points, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != 2 or not np.isfinite(found).all():
        raise DataError(f"landmark_heatmap: expected finite points (N, 2) of one object, got {found.shape}")
    box = crop_box(landmark_box(found), scale=config.crop.scale)
    unit = pixels_to_unit(found, box)
    sigma = config.loss.sigma * side / config.crop.image_size
    drawn = skeleton_heatmap(torch.from_numpy(unit)[None].float(), size=side, sigma=sigma, normalize=False)
    return LandmarkHeatmap(box, unit, drawn[0, 0].numpy())
