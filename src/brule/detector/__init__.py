"""``LandmarkDetector``: the whole library in one class."""

from brule.detector.calibrating import CalibrationReport, Quality, calibrate_detector
from brule.detector.edges import usual_edges
from brule.detector.estimator import LandmarkDetector
from brule.detector.heatmaps import LandmarkHeatmap, landmark_heatmap
from brule.detector.inputs import ReadyShapes, ready_shapes
from brule.detector.landmarks import Landmarks
from brule.detector.measuring import measure_detector, repeat_error
from brule.detector.predicting import Finder, PredictOptions
from brule.detector.starting import Origin, shapes_of_detector
from brule.detector.storage import CONFIG, DECODER, DESCRIPTION, LOCATOR, WEIGHTS, check_vacant, read_detector
from brule.detector.uncertainty import CALIBRATION, MAX_TTA, Calibration, write_calibration
from brule.training.run import CHECKPOINT

__all__ = [
    "CALIBRATION",
    "CHECKPOINT",
    "CONFIG",
    "DECODER",
    "DESCRIPTION",
    "LOCATOR",
    "MAX_TTA",
    "WEIGHTS",
    "Calibration",
    "CalibrationReport",
    "Finder",
    "LandmarkDetector",
    "LandmarkHeatmap",
    "Landmarks",
    "Origin",
    "PredictOptions",
    "Quality",
    "ReadyShapes",
    "calibrate_detector",
    "check_vacant",
    "landmark_heatmap",
    "measure_detector",
    "read_detector",
    "ready_shapes",
    "repeat_error",
    "shapes_of_detector",
    "usual_edges",
    "write_calibration",
]
