"""Detectors as ONNX files, with what comes before and after the network inside."""

from brule.export.int8 import Int8Report
from brule.export.running import check_packages, open_session
from brule.export.writing import FORMAT, TOLERANCE, Exported, export_detector

__all__ = ["FORMAT", "TOLERANCE", "Exported", "Int8Report", "check_packages", "export_detector", "open_session"]
