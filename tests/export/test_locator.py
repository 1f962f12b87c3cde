"""The locator as an ONNX file: the same places as brule's, and landmarks of whole pictures by the program in the docs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import logit

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces, synthetic_scenes
from brule.detector.whereabouts import Whereabouts
from brule.errors import ExportError
from brule.export import export_detector, export_locator, locator_path, open_session
from brule.locating import Locator, LocatorSettings, learn_locator

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason=f"exports need {package}: pip install 'brule-landmarks[export]'")


pytestmark = pytest.mark.slow
DOCS = Path(__file__).parents[2] / "docs" / "export.md"
COARSE = LocatorSettings(step=1.4, longest=120, cells=36, copies=2, rounds=0)  # few levels: torch exports each by itself
SCENES = synthetic_scenes(14, size=240, seed=3)


@pytest.fixture(scope="module")
def locator() -> Locator:
    return learn_locator(
        list(SCENES.images[:8]), [points[0] for points in SCENES.points[:8]], settings=COARSE, any_rotation=False
    )


@pytest.fixture(scope="module")
def detector(locator: Locator) -> LandmarkDetector:
    faces = synthetic_faces(24, size=32)
    settings = {"crop.image_size": 32, "encoder.width": 8, "encoder.depth": 2, "batch_size": 4, "gan.enabled": False}
    found = LandmarkDetector(**settings, iterations=1, time_limit=0, preview_every=0, quiet=True, device="cpu").fit(
        faces.images, shapes=faces.points[:5]
    )
    with torch.no_grad():  # an encoder at its start answers the barycenter, whatever it sees
        generator = torch.Generator().manual_seed(1)
        for parameter in found.model_.encoder.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape, generator=generator))
    found.whereabouts_ = Whereabouts(locator.framing, locator, boxed=True)
    return found


@pytest.fixture(scope="module")
def folder(detector: LandmarkDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both files; don't write here."""
    path = tmp_path_factory.mktemp("exported")
    export_detector(detector, path / "model.onnx", whole_image=True)
    written = export_locator(detector, locator_path(path / "model.onnx"))
    assert written.path.name == "model-locator.onnx"
    for k, image in enumerate(SCENES.images[8:]):
        Image.fromarray(image[: 240 - 24 * (k % 3)]).save(path / f"{k}.png")
    return path


def test_the_same_places_as_in_brule(folder: Path, locator: Locator) -> None:
    session = open_session(folder / "model-locator.onnx", threads=1)
    for path in sorted(folder.glob("*.png")):
        image = np.asarray(Image.open(path))
        limit = 1e-3 if image.shape[0] == image.shape[1] else 0.04  # of other images brule rounds the sizes of levels otherwise
        boxes, angles, scores = session.run(None, {"image": image})
        wanted = locator.locate([image], most=5)
        apart = np.abs(boxes[0] - wanted.boxes).max(axis=1) / max(image.shape)
        assert apart.min() < limit and abs(scores[0] - wanted.score[apart.argmin()]) < 0.1 and not angles.any()
        sizes = np.array([image.shape[1::-1]] * 5)
        likely = np.minimum(logit(wanted.score), 2) + locator.framing.usualness(wanted.boxes, sizes)
        assert limit > 1e-3 or apart.argmin() == likely.argmax()
        own = np.minimum(logit(scores), 2) + locator.framing.usualness(boxes, sizes)
        assert np.all(np.diff(own) <= 1e-4)


def test_the_program_in_the_docs_gives_what_predict_gives(
    folder: Path, detector: LandmarkDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = next(one for one in re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL) if "def find(" in one)
    monkeypatch.chdir(folder)
    program: dict[str, Any] = {}
    exec(block, program)
    for path in sorted(folder.glob("*.png")):
        image = Image.open(path)
        for passes in (0, 2):
            points, spread, score = program["find"](path.name, passes=passes)
            found = detector.predict(image, refine=passes)
            side = float((found.box[0, 2:] - found.box[0, :2]).max())
            np.testing.assert_allclose(points, found.points[0], atol=(0.01 if image.width == image.height else 0.1) * side)
            assert spread.shape == (68,) and 0 <= score <= 1


def test_its_description_says_how_boxes_become_crops(folder: Path, detector: LandmarkDetector) -> None:
    facts = json.loads((folder / "model-locator.json").read_text("utf-8"))
    frame = detector.finder().frame
    assert facts["box_scale"] * detector.config_.crop.scale == pytest.approx(frame.scale)
    assert facts["box_shift"] == pytest.approx(list(frame.shift)) and facts["format"] == "brule-onnx-locator-1"


def test_what_has_no_file_is_refused(detector: LandmarkDetector, locator: Locator, tmp_path: Path) -> None:
    turned = replace(locator, filters=(replace(locator.filters[0], angle=20.0),))
    for known, message in (
        (Whereabouts(), "has no locator"),
        (Whereabouts(locator.framing, turned, boxed=True), "at any angle"),
    ):
        before, detector.whereabouts_ = detector.whereabouts_, known
        try:
            with pytest.raises(ExportError, match=message):
                export_locator(detector, tmp_path / "locator.onnx")
        finally:
            detector.whereabouts_ = before
    assert not list(tmp_path.iterdir())
