"""Detectors as ONNX files, with what comes before and after the network inside."""

from brule.export.int8 import Int8Report
from brule.export.locator import ExportedLocator, export_locator, locator_path
from brule.export.running import check_packages, open_session
from brule.export.writing import FORMAT, TOLERANCE, Exported, export_detector

__all__ = [
    "FORMAT",
    "TOLERANCE",
    "Exported",
    "ExportedLocator",
    "Int8Report",
    "check_packages",
    "export_detector",
    "export_locator",
    "locator_path",
    "open_session",
]
