"""``LandmarkDetector``: the whole library in one class."""

from brule.detector.estimator import LandmarkDetector
from brule.detector.measuring import measure_detector
from brule.detector.storage import CONFIG, DECODER, DESCRIPTION, WEIGHTS
from brule.model import Landmarks
from brule.training.run import CHECKPOINT

__all__ = ["CHECKPOINT", "CONFIG", "DECODER", "DESCRIPTION", "WEIGHTS", "LandmarkDetector", "Landmarks", "measure_detector"]
