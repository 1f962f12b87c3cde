"""ONNX files: what they compute, what they say of themselves, and that a wrong one is never left behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.errors import ConfigError, DataError, ExportError
from brule.export import TOLERANCE, check_packages, export_detector, open_session, running, writing

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason=f"exports need {package}: pip install 'brule-landmarks[export]'")

FACES = synthetic_faces(24, size=32)
TINY = {"crop.image_size": 32, "encoder.width": 8, "encoder.depth": 2, "batch_size": 4, "gan.enabled": False}


def tiny_detector(seed: int = 1, **changes: object) -> LandmarkDetector:
    settings = TINY | {"iterations": 1, "time_limit": 0, "preview_every": 0, "quiet": True, "device": "cpu"}
    detector = LandmarkDetector(**(settings | changes)).fit(FACES.images, shapes=FACES.points[:5])
    with torch.no_grad():  # an encoder at its start answers the barycenter, whatever it sees
        generator = torch.Generator().manual_seed(seed)
        for parameter in detector.model_.encoder.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    detector.model_.set_order(torch.arange(68).roll(5))
    return detector


@pytest.fixture(scope="module")
def detector() -> LandmarkDetector:
    return tiny_detector()


@pytest.fixture(scope="module")
def exported(detector: LandmarkDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes crops; don't write here."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    assert export_detector(detector, path).difference <= TOLERANCE
    return path


def load(path: Path) -> Any:
    import onnx

    return onnx.load(path)


def check_batches(path: Path, detector: LandmarkDetector) -> None:
    session = open_session(path, threads=1)
    for count in (1, 2, 7):
        crops = FACES.images[:count]
        points, spread = session.run(None, {"images": crops})
        found = detector.predict_crops(crops)
        assert np.abs(points - found.points.numpy()).max() < TOLERANCE
        assert np.abs(spread - found.spread.numpy()).max() < TOLERANCE


def test_any_number_of_crops_gives_what_prediction_gives(exported: Path, detector: LandmarkDetector) -> None:
    check_batches(exported, detector)


@pytest.mark.slow
def test_the_papers_head_takes_any_number_of_crops_too(tmp_path: Path) -> None:
    paper = tiny_detector(**{"encoder.head": "convolution"})
    export_detector(paper, tmp_path / "paper.onnx", opset=18)
    check_batches(tmp_path / "paper.onnx", paper)
    assert json.loads((tmp_path / "paper.json").read_text())["opset"] == 18


@pytest.mark.slow
def test_a_whole_image_gives_what_prediction_gives(tmp_path: Path, detector: LandmarkDetector) -> None:
    export_detector(detector, tmp_path / "whole.onnx", whole_image=True)
    session = open_session(tmp_path / "whole.onnx", threads=1)
    large = synthetic_faces(2, size=120).images
    for image, box in ((large[0], (22.0, 30.0, 99.0, 110.0)), (large[1][:, 10:90].copy(), None)):
        points, spread = session.run(None, {"image": image, "box": np.array(box or (0, 0, 0, 0), np.float32)})
        found = detector.predict([image], boxes=[box])
        assert np.abs(points - found.points[0].numpy()).max() < 0.1  # pixels of 120; Pillow's rounding is left
        assert np.abs(spread - found.spread[0].numpy()).max() < 0.1


def test_the_file_and_the_one_beside_it_say_what_it_is(exported: Path, detector: LandmarkDetector) -> None:
    facts = {one.key: one.value for one in load(exported).metadata_props}
    assert (facts["landmarks"], facts["image_size"], facts["crop_scale"]) == ("68", "32", "1.3")
    assert facts["takes"] == "crops" and facts["brule_version"] and facts["crop_rule"] and facts["order"]
    described = json.loads(exported.with_suffix(".json").read_text())
    assert described["inputs"] == [{"name": "images", "type": "uint8", "shape": ["batch", 32, 32, 3]}]
    assert [(one["name"], one["shape"]) for one in described["outputs"]] == [
        ("points", ["batch", 68, 2]),
        ("spread", ["batch", 68]),
    ]
    assert np.allclose(described["barycenter"], detector.barycenter_.numpy(), atol=1e-6)
    assert described["landmarks"] == 68 and described["difference_to_pytorch"] <= TOLERANCE


def test_a_file_that_differs_is_not_left_behind(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def another(module: object, example: object, path: Path, facts: object, opset: object) -> None:
        shutil.copy(exported, path)

    monkeypatch.setattr(writing, "_write", another)  # the file of a detector with other weights
    kept = tmp_path / "kept.onnx"
    kept.write_text("older")
    for name in ("new.onnx", "kept.onnx"):
        with pytest.raises(ExportError, match="differs from PyTorch") as raised:
            export_detector(tiny_detector(seed=2), tmp_path / name)
        assert str(raised.value).startswith(str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ["kept.onnx"] and kept.read_text() == "older"


def reuse(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the file that is there for what torch would write again."""
    monkeypatch.setattr(writing, "_write", lambda module, example, path, facts, opset: shutil.copy(exported, path))


def test_int8_is_small_and_says_what_it_costs(
    exported: Path, detector: LandmarkDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reuse(exported, monkeypatch)
    written = export_detector(detector, tmp_path / "small.onnx", calibration=FACES.images)
    assert written.int8 is not None and (written.int8.calibration, written.int8.images) == (12, 12)
    assert 0 < written.int8.mean <= written.int8.largest < 0.05
    found = open_session(written.path, threads=1).run(["points"], {"images": FACES.images[1::2]})[0]
    away = np.linalg.norm(found - detector.predict_crops(FACES.images[1::2]).points.numpy(), axis=-1)
    assert np.isclose(away.mean(), written.int8.mean, rtol=0.2, atol=1e-6)  # batches of another size round otherwise
    assert {one.key: one.value for one in load(written.path).metadata_props}["precision"] == "int8"
    assert json.loads(written.description.read_text())["int8"]["images"] == 12
    assert written.path.stat().st_size < exported.stat().st_size


def test_int8_that_moves_the_landmarks_is_refused(
    exported: Path, detector: LandmarkDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reuse(exported, monkeypatch)
    monkeypatch.setattr("brule.export.int8.LIMIT", 1e-9)
    with pytest.raises(ExportError, match="int8 moves the landmarks"):
        export_detector(detector, tmp_path / "small.onnx", calibration=FACES.images)
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_is_said_before_anything_is_computed(detector: LandmarkDetector, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.onnx"):
        export_detector(detector, tmp_path / "model.pt")
    with pytest.raises(ConfigError, match="18 or more, got 9"):
        export_detector(detector, tmp_path / "model.onnx", opset=9)
    with pytest.raises(ConfigError, match="takes crops"):
        export_detector(detector, tmp_path / "model.onnx", whole_image=True, calibration=FACES.images)
    with pytest.raises(DataError, match="at least 8 images"):
        export_detector(detector, tmp_path / "model.onnx", calibration=FACES.images[:3])
    with pytest.raises(DataError, match=r"\(K, 32, 32, 3\)"):
        export_detector(detector, tmp_path / "model.onnx", calibration=FACES.images[:, :16])
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "find_spec", lambda name: None if name.startswith("onnxs") else object())
    with pytest.raises(ExportError, match=r"needs onnxscript; .*pip install 'brule-landmarks\[export\]'"):
        check_packages()


def test_sessions_do_not_spin_and_broken_files_are_named(exported: Path, tmp_path: Path) -> None:
    options = open_session(exported).get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ExportError, match="onnxruntime can't run it") as raised:
        open_session(tmp_path / "broken.onnx")
    assert str(raised.value).startswith(str(tmp_path / "broken.onnx"))


def test_a_description_never_replaces_another_file(detector: LandmarkDetector, tmp_path: Path) -> None:
    """Such as the description of a detector: without it nothing could be loaded any more."""
    detector.save(tmp_path)
    before = (tmp_path / "detector.json").read_bytes()
    with pytest.raises(ConfigError, match="choose another name"):
        export_detector(detector, tmp_path / "detector.onnx")
    assert (tmp_path / "detector.json").read_bytes() == before and not (tmp_path / "detector.onnx").exists()
    LandmarkDetector.load(tmp_path)
