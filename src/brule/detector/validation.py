"""Validation: a detector's error during training, on annotated images that it doesn't learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from brule.arrays import Array, evenly_spread
from brule.data import BadFiles, CropCache, SampleList
from brule.detector.inputs import Annotated, as_annotated, labelled_crops
from brule.detector.upright import upright_like
from brule.errors import DataError
from brule.evaluation import normaliser, normalized_mean_error
from brule.evaluation.metrics import wasserstein1_error
from brule.model import BruleModel
from brule.tracking.run_state import VALIDATION_NME, VALIDATION_W1
from brule.training.config import TrainingConfig
from brule.training.prediction import predict_crops

MAX_MEASURED = 500  # images: measuring must not take longer than training


@dataclass(frozen=True, eq=False)
class Validation:
    """Crops of annotated validation images, about their true boxes, and the distances that errors are divided by.

    Attributes:
        crops: with their landmarks in the unit square of the crop.
        distance: ``(B,)`` in the same unit.
        config: of the run.
    """

    crops: CropCache
    distance: Array
    config: TrainingConfig

    @classmethod
    def of(
        cls, data: Any, config: TrainingConfig, *, names: tuple[str, ...] | None, landmarks: int, mean: Tensor | None = None
    ) -> Validation:
        """Read annotated images, :data:`MAX_MEASURED` of them, evenly spread, where there are more.

        Args:
            data: as ``labelled`` of :meth:`brule.LandmarkDetector.fit`.
            config: of the run.
            names: of the run's landmarks.
            landmarks: their number.
            mean: the mean shape ``(N, 2)`` if crops show turned objects upright.

        Raises:
            DataError: there are none, a file is bad, or the landmarks are others than those of the run.
        """
        annotated = _some(as_annotated(data, False)).in_order(names)
        if mean is not None:
            annotated = upright_like(annotated, mean)
        crops = labelled_crops(annotated, config.crop, skip_bad=False, progress=None)
        truth = np.asarray(crops.points, dtype=np.float64)
        if truth.shape[1] != landmarks:
            raise DataError(
                f"validation: expected {landmarks} landmarks per image, as many as the shapes have, got {truth.shape[1]}"
            )
        return cls(crops, normaliser(truth)[1], config)

    def __call__(self, model: BruleModel) -> dict[str, float]:
        """The mean NME and W₁ of a model, in % of the normalising distance, given boxes.

        Args:
            model: in evaluation mode; it isn't changed.
        """
        found = predict_crops(model, self.crops.images, self.config, chosen=np.arange(len(self.crops.images)))
        points = np.concatenate([own.cpu().numpy() for _, own in found]).astype(np.float64)
        truth = np.asarray(self.crops.points, dtype=np.float64)
        nme = normalized_mean_error(points, truth, distance=self.distance)
        w1 = wasserstein1_error(points, truth, self.distance)
        return {VALIDATION_NME: float(nme.mean()), VALIDATION_W1: float(w1.mean())}


def _some(annotated: Annotated) -> Annotated:
    chosen = evenly_spread(len(annotated.images), MAX_MEASURED).tolist()
    images = [annotated.images[index] for index in chosen]
    if isinstance(annotated.images, SampleList):
        return Annotated(annotated.images.replaced(images), None, BadFiles())
    assert annotated.points is not None
    return Annotated(images, [annotated.points[index] for index in chosen], BadFiles())
