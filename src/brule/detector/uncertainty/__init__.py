"""Uncertainty: features from several views, and the model that predicts an error from them."""

from brule.detector.uncertainty.calibration import Calibration, ErrorModel, read_calibration, write_calibration
from brule.detector.uncertainty.features import FEATURES, UncertaintyFeatures
from brule.detector.uncertainty.predictor import Reader, joined_crops
from brule.detector.uncertainty.tta import MAX_TTA, TtaPredictions, View, one_tta, predict_views, tta_transforms

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
    "one_tta",
    "predict_views",
    "read_calibration",
    "tta_transforms",
    "write_calibration",
]
