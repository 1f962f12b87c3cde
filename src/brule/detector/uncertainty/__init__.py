"""Uncertainty: features from several views, and the model from these to an expected error."""

from brule.detector.uncertainty.calibration import CALIBRATION, Calibration, ErrorModel, read_calibration, write_calibration
from brule.detector.uncertainty.features import FEATURES, UncertaintyFeatures
from brule.detector.uncertainty.predictor import Reader, joined_crops
from brule.detector.uncertainty.tta import MAX_TTA, TtaPredictions, View, look, tta_transforms

__all__ = [
    "CALIBRATION",
    "FEATURES",
    "MAX_TTA",
    "Calibration",
    "ErrorModel",
    "Reader",
    "TtaPredictions",
    "UncertaintyFeatures",
    "View",
    "joined_crops",
    "look",
    "read_calibration",
    "tta_transforms",
    "write_calibration",
]
