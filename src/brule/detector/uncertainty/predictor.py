"""Crops → landmarks that carry their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from brule.detector.uncertainty.calibration import Calibration
from brule.detector.uncertainty.features import UncertaintyFeatures
from brule.detector.uncertainty.tta import TtaPredictions, joined_predictions, predict_views, tta_transforms
from brule.geometry import ShapeModel
from brule.model import BruleModel, CropLandmarks
from brule.tensors import to_input
from brule.threads import available_threads, single_threads

_MIN_CROPS_PER_THREAD = 8  # for fewer a thread isn't worth its while


@dataclass(frozen=True)
class Reader:
    """A model with everything needed to compute its uncertainty.

    Attributes:
        model: in evaluation mode.
        shapes: what is known of its shapes.
        calibration: ``None`` if it wasn't calibrated.
    """

    model: BruleModel
    shapes: ShapeModel
    calibration: Calibration | None = None

    def check_views(self, views: int) -> None:
        """Refuse a number of views that this detector can't predict with.

        Raises:
            ConfigError: too many views, none, or more than the detector was calibrated with.
        """
        tta_transforms(views, mirror=True)
        if self.calibration is not None:
            self.calibration.check_views(views)

    def read_views(self, crops: np.ndarray, *, views: int) -> TtaPredictions:
        """The predictions for several views of crops ``(B, S, S, 3)`` uint8, on the CPU."""
        device = self.model.barycenter.device
        mirror = None if self.shapes.mirror is None else self.shapes.mirror.to(device)

        def predict(some: np.ndarray) -> TtaPredictions:
            images = to_input(torch.from_numpy(some)).to(device)
            return predict_views(self.model, images, views=views, mirror=mirror).on_cpu()

        threads = min(available_threads(), len(crops) // _MIN_CROPS_PER_THREAD) if device.type == "cpu" else 1
        if threads < 2:
            return predict(crops)
        # The maps of a small network are too small for two cores to share a convolution well.
        with single_threads(threads, "brule-read") as pool:
            return joined_predictions(list(pool.map(predict, np.array_split(crops, threads))))

    def features(self, predictions: TtaPredictions) -> UncertaintyFeatures:
        """The uncertainty features of predictions for several views."""
        return UncertaintyFeatures.of(predictions, self.shapes.prior)

    def read(self, crops: np.ndarray, *, views: int = 1) -> CropLandmarks:
        """Landmarks of crops ``(B, S, S, 3)`` uint8 in the unit square of each.

        Raises:
            ConfigError: too many views, none, or more than the detector was calibrated with.
        """
        self.check_views(views)
        predictions = self.read_views(crops, views=views)
        features = self.features(predictions)
        if self.calibration is None:
            return CropLandmarks(predictions.mean, predictions.spread, uncalibrated(predictions, features))
        expected = torch.from_numpy(self.calibration.expected(features, views)).float()
        return CropLandmarks(predictions.mean, expected, expected.mean(1))


def uncalibrated(predictions: TtaPredictions, features: UncertaintyFeatures) -> Tensor:
    r"""What orders the predictions of a detector that wasn't calibrated: ``(B,)``, no error in any unit.

    .. math:: u_b = \sqrt{E_b} \cdot \tfrac1N \textstyle\sum_n \sigma_{bn}

    The energy ``E`` is one on average over shapes of the object, so its root is how many times as far as usual the shape is
    from the mean one. There is nothing to fit, so it means the same for every kind of object.

    Args:
        predictions: for several views.
        features: theirs; without an energy it counts as one.
    """
    spread = predictions.spread.mean(1)
    return spread if features.energy is None else spread * torch.from_numpy(features.energy).to(spread).clamp_min(0).sqrt()


def joined_crops(parts: list[CropLandmarks]) -> CropLandmarks:
    """The landmarks of several batches, one after the other."""
    uncertainties = [part.uncertainty for part in parts if part.uncertainty is not None]
    uncertainty = torch.cat(uncertainties) if len(uncertainties) == len(parts) else None
    return CropLandmarks(torch.cat([part.points for part in parts]), torch.cat([part.spread for part in parts]), uncertainty)
