"""How sure a detector is: several looks at an image, what they tell, and the map from that to an expected error."""

from brule.detector.confidence.calibration import CALIBRATION, Calibration, ErrorMap, read_calibration, write_calibration
from brule.detector.confidence.reading import Reader, ShapeKnowledge
from brule.detector.confidence.signals import SIGNALS, Signals
from brule.detector.confidence.views import MAX_VIEWS, Looks, View, chosen_views, look

__all__ = [
    "CALIBRATION",
    "MAX_VIEWS",
    "SIGNALS",
    "Calibration",
    "ErrorMap",
    "Looks",
    "Reader",
    "ShapeKnowledge",
    "Signals",
    "View",
    "chosen_views",
    "look",
    "read_calibration",
    "write_calibration",
]
