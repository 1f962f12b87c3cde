"""A detector of 68 landmarks on images whose boxes are for five: CelebA in the layout of its release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brule import LandmarkDetector
from brule.data import read_samples
from brule.data.box_fitting import five_of
from brule.data.samples import crop_box, landmark_box
from brule.data.synthetic import synthetic_faces
from brule.detector.boxes import BoxFitter
from brule.detector.inputs import Unlabelled
from brule.errors import ConfigError
from brule.training.config import load_config

FACES = synthetic_faces(8, size=64, seed=3)
SHAPES = synthetic_faces(6, size=64, seed=4).points
TINY: dict[str, Any] = {
    "crop.image_size": 32,
    "encoder.width": 8,
    "encoder.depth": 2,
    "batch_size": 4,
    "iterations": 1,
    "time_limit": 0,
    "preview_every": 0,
}


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    """Eight drawn faces as CelebA has them: aligned images, one list of five points, one of the partition."""
    names = [f"{index:06d}.jpg" for index in range(1, 9)]
    folder = tmp_path / "celeba" / "Img" / "img_align_celeba"
    folder.mkdir(parents=True)
    rows = []
    for name, image, points in zip(names, FACES.images, FACES.points, strict=True):
        Image.fromarray(np.asarray(image)).save(folder / name, quality=95)
        rows.append(f"{name} " + " ".join(f"{value:.2f}" for value in five_of(np.asarray(points)).ravel()))
    lists = {"Anno/list_landmarks_align_celeba.txt": ["8", "lefteye_x lefteye_y", *rows]}
    lists["Eval/list_eval_partition.txt"] = [f"{name} 0" for name in names]
    for name, lines in lists.items():
        path = tmp_path / "celeba" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return tmp_path / "celeba"


def detector(**more: Any) -> LandmarkDetector:
    return LandmarkDetector(quiet=True, **TINY, **more)


def trained_on(monkeypatch: pytest.MonkeyPatch, found: LandmarkDetector, images: Any) -> list[Any]:
    """The crops that the unlabelled images were cut to."""
    import brule.detector.estimator as estimator

    boxes: list[Any] = []
    genuine = estimator.unlabelled_crops

    def spy(unlabelled: Unlabelled, *given: Any, **keywords: Any) -> Any:
        boxes.extend(sample.crop() for sample in unlabelled.images)
        return genuine(unlabelled, *given, **keywords)

    monkeypatch.setattr(estimator, "unlabelled_crops", spy)
    found.fit(images, shapes=SHAPES)
    return boxes


def truth_outside(boxes: list[Any]) -> float:
    shares = []
    for (left, top, right, bottom), points in zip(boxes, FACES.points, strict=True):
        x, y = np.asarray(points).T
        shares.append(((x < left) | (x > right) | (y < top) | (y > bottom)).mean())
    return float(np.mean(shares))


def test_crops_of_celeba_hold_all_68_landmarks(celeba: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = read_samples(f"celeba:train:{celeba}")
    assert truth_outside(trained_on(monkeypatch, detector(), samples)) < 0.02
    assert truth_outside(trained_on(monkeypatch, detector(**{"crop.fit_boxes": "never"}), samples)) > 0.2


def test_a_given_scale_and_shift_are_used(celeba: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = read_samples(f"celeba:train:{celeba}")
    boxes = trained_on(monkeypatch, detector(**{"crop.fit_boxes": "[3, 0, 0.5]"}), samples)
    left, top, right, bottom = landmark_box(five_of(np.asarray(FACES.points[0], np.float32)))
    side, x, y = max(right - left, bottom - top), (left + right) / 2, (top + bottom) / 2
    centre = y + 0.5 * side
    wanted = crop_box((x - 1.5 * side, centre - 1.5 * side, x + 1.5 * side, centre + 1.5 * side))
    assert boxes[0] == pytest.approx(wanted, abs=0.02)


def test_data_sets_of_five_and_of_68_points_train_together(celeba: Path, tmp_path: Path) -> None:
    from brule.data.synthetic import write_synthetic_faces

    write_synthetic_faces(tmp_path / "whole", 3, size=64, start=70)
    samples = read_samples([f"celeba:train:{celeba}", str(tmp_path / "whole")])
    assert [len(sample.points) for sample in samples if sample.points is not None] == [5] * 8 + [68] * 3
    detector().fit(samples, shapes=SHAPES)


def test_prediction_crops_as_training_does(celeba: Path) -> None:
    """A detector of 68 points takes the box that they need, also where five are annotated."""
    found = detector().fit(FACES.images, shapes=SHAPES)
    samples = read_samples(f"celeba:train:{celeba}")
    fitter = BoxFitter("auto", found.shapes_)
    boxes = [fitter.sample(sample).box for sample in samples]
    images = [np.asarray(Image.open(sample.path)) for sample in samples]
    assert found.predict(samples).points.numpy() == pytest.approx(found.predict(images, boxes=boxes).points.numpy(), abs=0.5)


@pytest.mark.parametrize("value", ["[0, 0, 0]", "[1, 2]", "sometimes", "[nan, 0, 0]"])
def test_a_setting_that_makes_no_sense_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"crop\.fit_boxes"):
        load_config("cpu", {"crop.fit_boxes": value})
