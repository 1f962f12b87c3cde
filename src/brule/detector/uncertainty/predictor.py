"""Crops → landmarks that carry their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from brule.detector.uncertainty.calibration import Calibration, ErrorModel
from brule.detector.uncertainty.features import UncertaintyFeatures
from brule.detector.uncertainty.tta import TtaPredictions, look, tta_transforms
from brule.geometry import ShapeModel
from brule.model import BruleModel, CropLandmarks
from brule.networks import split_batches
from brule.tensors import to_input

# Exponents for a detector that wasn't calibrated: rounded from those of two runs on 300-W, validation images. They order
# images; they tell no error.
_USUAL_EXPONENTS = {"heatmap_spread": 0.2, "disagreement": 0.05, "energy": 0.13}
_LEAST = 8  # crops: for fewer a thread isn't worth its while


@dataclass(frozen=True)
class Reader:
    """A model with all that it takes to say how sure it is.

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

    def look(self, crops: np.ndarray, *, views: int) -> TtaPredictions:
        """The answers to several views of crops ``(B, S, S, 3)`` uint8, on the CPU."""
        device = self.model.barycenter.device
        images = to_input(torch.from_numpy(crops)).to(device)
        mirror = self.shapes.mirror
        parts = max(1, min(torch.get_num_threads(), len(crops) // _LEAST)) if device.type == "cpu" else 1
        mirror = None if mirror is None else mirror.to(device)
        with split_batches(self.model.encoder, parts=parts):
            looks = look(self.model, images, views=views, mirror=mirror)
        return TtaPredictions(looks.points.float().cpu(), looks.heatmap_spread.float().cpu())

    def signals(self, looks: TtaPredictions) -> UncertaintyFeatures:
        """The signals of uncertainty."""
        return UncertaintyFeatures.of(looks, self.shapes.prior)

    def read(self, crops: np.ndarray, *, views: int = 1) -> CropLandmarks:
        """Landmarks of crops ``(B, S, S, 3)`` uint8 in the unit square of each.

        Raises:
            ConfigError: too many views, none, or more than the detector was calibrated with.
        """
        self.check_views(views)
        looks = self.look(crops, views=views)
        signals = self.signals(looks)
        if self.calibration is None:
            usual = ErrorModel({name: _USUAL_EXPONENTS[name] for name in signals.names}, np.ones(1))
            uncertainty = torch.from_numpy(usual.expected(signals).mean(axis=1)).float()
            return CropLandmarks(looks.mean, looks.spread, uncertainty)
        expected = torch.from_numpy(self.calibration.expected(signals, views)).float()
        return CropLandmarks(looks.mean, expected, expected.mean(1))


def joined_crops(parts: list[CropLandmarks]) -> CropLandmarks:
    """The landmarks of several batches, one after the other."""
    uncertainties = [part.uncertainty for part in parts if part.uncertainty is not None]
    uncertainty = torch.cat(uncertainties) if len(uncertainties) == len(parts) else None
    return CropLandmarks(torch.cat([part.points for part in parts]), torch.cat([part.spread for part in parts]), uncertainty)
