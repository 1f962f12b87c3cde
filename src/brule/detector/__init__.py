"""``LandmarkDetector``: the whole library in one class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brule.lazy import exports

if TYPE_CHECKING:
    from brule.detector.calibrating import CalibrationReport, Quality, calibrate_detector
    from brule.detector.edges import usual_edges
    from brule.detector.estimator import LandmarkDetector
    from brule.detector.heatmaps import LandmarkHeatmap, landmark_heatmap
    from brule.detector.inputs import ReadyShapes, ready_shapes
    from brule.detector.landmarks import Landmarks, ObjectLandmarks
    from brule.detector.measuring import measure_detector, repeat_error
    from brule.detector.origin import Origin
    from brule.detector.predicting import Finder, PredictOptions
    from brule.detector.starting import shapes_of_detector
    from brule.detector.storage import check_vacant, read_detector
    from brule.detector.uncertainty import MAX_TTA, Calibration, write_calibration

__all__ = [
    "MAX_TTA",
    "Calibration",
    "CalibrationReport",
    "Finder",
    "LandmarkDetector",
    "LandmarkHeatmap",
    "Landmarks",
    "ObjectLandmarks",
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

if not TYPE_CHECKING:  # type checkers know the names from above, and nothing else is there
    __getattr__, __dir__ = exports(
        __name__,
        {
            "calibrating": ("CalibrationReport", "Quality", "calibrate_detector"),
            "edges": ("usual_edges",),
            "estimator": ("LandmarkDetector",),
            "heatmaps": ("LandmarkHeatmap", "landmark_heatmap"),
            "inputs": ("ReadyShapes", "ready_shapes"),
            "landmarks": ("Landmarks", "ObjectLandmarks"),
            "measuring": ("measure_detector", "repeat_error"),
            "predicting": ("Finder", "PredictOptions"),
            "origin": ("Origin",),
            "starting": ("shapes_of_detector",),
            "storage": ("check_vacant", "read_detector"),
            "uncertainty": ("Calibration", "MAX_TTA", "write_calibration"),
        },
    )
