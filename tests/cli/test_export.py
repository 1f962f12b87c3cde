"""``brule export``."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from brule import LandmarkDetector
from brule.errors import ConfigError

export = importlib.import_module("brule.cli.export")  # the package has the command under this name


@pytest.fixture(autouse=True)
def packages() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"exports need {package}: pip install 'brule-landmarks[export]'")


@pytest.mark.slow
def test_a_run_is_exported_and_says_so(brule, trained: Path, tmp_path: Path) -> None:
    target = tmp_path / "sub" / "model.onnx"
    found = brule("export", trained, "-o", target)
    assert found.code == 0, found.err
    assert f"written: {target}" in found.out and "% of the crop's side" in found.out
    assert {path.name for path in target.parent.iterdir()} == {"model.onnx", "model.json"}
    assert json.loads((target.parent / "model.json").read_text())["landmarks"] == 68
    again = brule("export", trained, "-o", target)
    assert again.code == 2 and "--overwrite" in again.err


def test_the_file_of_an_earlier_locator_is_not_replaced(brule, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "model-locator.onnx").write_text("of another detector")
    found = brule("export", trained, "-o", tmp_path / "model.onnx", "--whole-image")
    assert found.code == 2 and "model-locator.onnx: exists already" in found.err and "--overwrite" in found.err
    assert [path.name for path in tmp_path.iterdir()] == ["model-locator.onnx"]
    assert (tmp_path / "model-locator.onnx").read_text() == "of another detector"


def test_what_is_wrong_is_said(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    found = brule("export", tmp_path / "nowhere", "-o", tmp_path / "model.onnx")
    assert found.code == 2 and "nowhere" in found.err
    found = brule("export", trained, "-o", tmp_path / "model.pt")
    assert found.code == 2 and ".onnx" in found.err
    found = brule("export", trained, "-o", tmp_path / "model.onnx", "--int8", faces / "shapes")
    assert found.code == 2 and "at least 8 images" in found.err
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(brule, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brule.export.running.find_spec", lambda name: None)
    found = brule("export", trained, "-o", tmp_path / "model.onnx")
    assert found.code == 2 and "pip install 'brule-landmarks[export]'" in found.err


def test_of_many_images_as_many_as_are_taken(trained: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five images of which four are wanted: not every second one."""
    monkeypatch.setattr(export, "CALIBRATION", 4)
    detector = LandmarkDetector.load(trained, device="cpu")
    assert len(export._crops(detector, [str(faces / "shapes")], False)) == 4
    with pytest.raises(ConfigError, match="--int8: expected images"):
        export._crops(detector, [], False)
