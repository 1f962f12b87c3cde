"""Crops → landmarks that carry their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from brule.detector.uncertainty.calibration import Calibration
from brule.detector.uncertainty.features import UncertaintyFeatures
from brule.detector.uncertainty.tta import TtaPredictions, look, tta_transforms
from brule.geometry import ShapeModel
from brule.model import BruleModel, CropLandmarks
from brule.networks import split_batches
from brule.tensors import to_input

_LEAST = 8  # crops: for fewer a thread isn't worth its while


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
            return CropLandmarks(looks.mean, looks.spread, uncalibrated(looks, signals))
        expected = torch.from_numpy(self.calibration.expected(signals, views)).float()
        return CropLandmarks(looks.mean, expected, expected.mean(1))


def uncalibrated(looks: TtaPredictions, signals: UncertaintyFeatures) -> Tensor:
    r"""What orders the answers of a detector that wasn't calibrated: ``(B,)``, no error in any unit.

    .. math:: u_b = \sqrt{E_b} \cdot \tfrac1N \textstyle\sum_n \sigma_{bn}

    The energy ``E`` is one on average over shapes of the object, so its root is how many times as far as usual the shape is
    from the mean one. There is nothing to fit, so it means the same for every kind of object.

    Args:
        looks: the answers to the views.
        signals: theirs; without an energy it counts as one.
    """
    spread = looks.spread.mean(1)
    return spread if signals.energy is None else spread * torch.from_numpy(signals.energy).to(spread).clamp_min(0).sqrt()


def joined_crops(parts: list[CropLandmarks]) -> CropLandmarks:
    """The landmarks of several batches, one after the other."""
    uncertainties = [part.uncertainty for part in parts if part.uncertainty is not None]
    uncertainty = torch.cat(uncertainties) if len(uncertainties) == len(parts) else None
    return CropLandmarks(torch.cat([part.points for part in parts]), torch.cat([part.spread for part in parts]), uncertainty)
