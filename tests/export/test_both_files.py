"""A model and its description are written together, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from brule.data.synthetic import synthetic_faces
from brule.detector import LandmarkDetector
from brule.errors import OutputError
from brule.export import export_detector

for package in ("onnx", "onnxruntime", "onnxscript"):
    pytest.importorskip(package, reason=f"exports need {package}: pip install 'brule-landmarks[export]'")


def test_no_model_is_left_without_its_description(tmp_path: Path) -> None:
    faces = synthetic_faces(8, size=32)
    settings = {"crop.image_size": 32, "encoder.width": 8, "encoder.depth": 2, "batch_size": 4, "gan.enabled": False}
    how = {"iterations": 1, "time_limit": 0, "preview_every": 0, "quiet": True, "device": "cpu"}
    detector = LandmarkDetector(**(settings | how)).fit(faces.images, shapes=faces.points[:5])
    (tmp_path / "d.json").mkdir()
    with pytest.raises(OutputError, match=r"d\.json"):
        export_detector(detector, tmp_path / "d.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["d.json"]
