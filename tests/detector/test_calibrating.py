"""Calibrating a detector: an honest measurement, kept with the detector, used by what it predicts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import brule.tracking.log as run_logging
from brule import LandmarkDetector
from brule.data import Sample, SampleList, read_samples
from brule.data.synthetic import synthetic_faces, write_synthetic_faces
from brule.detector import MAX_TTA, calibrate_detector
from brule.detector.calibrating import FOLDS, _folds, _on_whole_images, _quality
from brule.detector.training_images import TrainingImages
from brule.errors import ConfigError, DataError, OutputError
from brule.tracking.run_files import CALIBRATION, TRAINING_IMAGES

FACES = synthetic_faces(14, size=48)
TINY = {
    "crop__image_size": 32,
    "encoder__width": 8,
    "encoder__depth": 2,
    "encoder__stem_stride": 2,
    "batch_size": 4,
    "iterations": 3,
    "time_limit": 0,
    "preview_every": 0,
    "gan__enabled": False,
    "quiet": True,
    "device": "cpu",
}


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_logging, "_tensorboard", lambda directory: None)  # importing it takes seconds


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    LandmarkDetector(**TINY).fit(FACES.images, shapes=FACES.points[:10]).save(folder)
    return folder


@pytest.fixture
def detector(saved: Path) -> LandmarkDetector:
    return LandmarkDetector.load(saved, device="cpu")


@pytest.fixture
def annotated(tmp_path: Path) -> SampleList:
    write_synthetic_faces(tmp_path / "annotated", 16, size=48, start=100)
    return read_samples(tmp_path / "annotated", require_points=True)


def test_expected_errors_are_about_as_large_as_the_true_ones(detector: LandmarkDetector, annotated: SampleList) -> None:
    report = calibrate_detector(detector, annotated, tta=3)
    assert sorted(report.calibration.maps) == [1, 2, 3]
    assert [one.views for one in report.quality] == [1, 2, 3]
    assert all(len(one.groups) == 4 for one in report.quality)
    for views in (1, 3):
        found = detector.predict(annotated, views=views)
        truth = torch.from_numpy(np.stack([sample.points for sample in annotated]))  # type: ignore[misc]
        true = (found.points - truth).norm(dim=2).mean()
        assert float(found.spread.mean()) == pytest.approx(float(true), rel=0.05)  # pixels of the image, both
        assert found.uncertainty is not None
        in_other_batches = detector.predict(annotated, views=views, batch_size=3).uncertainty
        assert in_other_batches is not None and torch.allclose(found.uncertainty, in_other_batches, rtol=1e-3)


def test_spread_is_in_pixels_of_each_image_and_uncertainty_in_sides_of_the_crop(
    detector: LandmarkDetector, annotated: SampleList
) -> None:
    calibrate_detector(detector, annotated, tta=1)
    small = FACES.images[0]
    large = small.repeat(2, 0).repeat(2, 1)
    found = detector.predict([small, large])
    assert found.uncertainty is not None
    assert torch.allclose(found.spread[1], 2 * found.spread[0], rtol=0.05)
    assert torch.allclose(found.uncertainty[1], found.uncertainty[0], rtol=0.05)
    assert float(found.uncertainty[0]) == pytest.approx(float(found.spread[0].mean()) / 48, rel=1e-4)


def test_points_are_those_of_before_with_one_view_and_means_with_more(
    detector: LandmarkDetector, annotated: SampleList
) -> None:
    before = detector.predict(annotated)
    assert before.uncertainty is not None
    predictions = detector.reader().read_views(detector_crops(detector), views=2)
    pair = detector.predict(FACES.images[:3], views=2)
    calibrate_detector(detector, annotated, tta=2)
    assert torch.equal(detector.predict(annotated).points, before.points)
    assert torch.allclose(detector.predict(FACES.images[:3], views=2).points, pair.points)
    crops = detector.predict_crops(detector_crops(detector), views=2)
    assert torch.allclose(crops.points, predictions.points.mean(0))


def detector_crops(detector: LandmarkDetector) -> np.ndarray:
    size = detector.config_.crop.image_size
    return np.random.default_rng(0).integers(0, 255, (3, size, size, 3), dtype=np.uint8)


def test_a_calibration_is_saved_and_read(detector: LandmarkDetector, annotated: SampleList, tmp_path: Path) -> None:
    calibrate_detector(detector, annotated, tta=2)
    detector.save(tmp_path / "d")
    loaded = LandmarkDetector.load(tmp_path / "d", device="cpu")
    expected, found = detector.predict(annotated, views=2), loaded.predict(annotated, views=2)
    assert torch.allclose(found.spread, expected.spread, rtol=1e-4)


def test_other_weights_lose_the_calibration(detector: LandmarkDetector, annotated: SampleList, tmp_path: Path) -> None:
    calibrate_detector(detector, annotated, tta=1)
    detector.save(tmp_path)
    assert (tmp_path / CALIBRATION).exists()
    other = LandmarkDetector(**TINY).fit(FACES.images, shapes=FACES.points[:10])
    assert other.calibration_ is None
    other.save(tmp_path)
    assert not (tmp_path / CALIBRATION).exists()


@pytest.mark.parametrize("failing", ["write_safetensors", "write_text", "write_calibration"])
def test_saving_that_fails_leaves_the_detector_that_was_there(
    failing: str, detector: LandmarkDetector, annotated: SampleList, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector.calibrate(annotated)
    detector.save(tmp_path / "d")
    before = {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()}

    def full(path: Path, *_: Any, **__: Any) -> None:
        raise OutputError(f"{path}: can't be written: the disk is full")

    monkeypatch.setattr(f"brule.detector.storage.{failing}", full)
    detector.landmark_names_ = tuple(map(str, range(68)))
    with pytest.raises(OutputError, match=rf"^{re.escape(str(tmp_path / 'd'))}"):
        detector.save(tmp_path / "d")
    assert {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()} == before


def test_saving_leaves_no_file_of_the_detector_that_was_there(
    detector: LandmarkDetector, annotated: SampleList, tmp_path: Path
) -> None:
    detector.calibrate(annotated)
    detector.save(tmp_path)
    assert {TRAINING_IMAGES, CALIBRATION} <= {path.name for path in tmp_path.iterdir()}
    detector.training_images_, detector.calibration_ = TrainingImages(), None
    detector.save(tmp_path)
    assert not {TRAINING_IMAGES, CALIBRATION} & {path.name for path in tmp_path.iterdir()}


def test_a_file_in_the_place_of_the_folder_is_refused(detector: LandmarkDetector, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        detector.save(tmp_path / "file")


def test_a_detector_of_before_this_loads(saved: Path, detector: LandmarkDetector) -> None:
    assert not (saved / CALIBRATION).exists()
    assert detector.calibration_ is None


def test_detectors_without_shapes_of_one_number_do_without_the_energy(
    annotated: SampleList, detector: LandmarkDetector
) -> None:
    detector.shapes_ = None
    report = calibrate_detector(detector, annotated, tta=2)
    assert set(report.calibration.maps[2].exponents) == {"heatmap_spread", "disagreement"}


def test_more_views_than_were_calibrated_are_refused(detector: LandmarkDetector, annotated: SampleList) -> None:
    with pytest.raises(ConfigError, match=f"1 to {MAX_TTA}"):
        detector.predict(FACES.images, views=MAX_TTA + 1)
    with pytest.raises(ConfigError, match=f"1 to {MAX_TTA}"):
        calibrate_detector(detector, annotated, tta=0)
    calibrate_detector(detector, annotated, views=2)  # the other name of tta
    with pytest.raises(ConfigError, match="brule calibrate --tta 3"):
        detector.predict(FACES.images, views=3)


def test_two_numbers_of_views_are_refused(detector: LandmarkDetector, annotated: SampleList) -> None:
    with pytest.raises(ConfigError, match="tta=3 and views=2 are two names of one option"):
        calibrate_detector(detector, annotated, tta=3, views=2)
    with pytest.raises(ConfigError, match="tta=3 and views=2 are two names of one option"):
        detector.predict(FACES.images, tta=3, views=2)
    with pytest.raises(ConfigError, match="tta=3 and views=2 are two names of one option"):
        detector.predict_crops(detector_crops(detector), tta=3, views=2)


def test_on_whole_images_flagged_answers_have_no_part_in_the_figures(
    detector: LandmarkDetector, annotated: SampleList, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer is flagged and far off. The crop of the others is the whole image, of 48 pixels."""
    calibrate_detector(detector, annotated, tta=1)
    predicted = LandmarkDetector.iter_predict

    def with_a_flag(self: LandmarkDetector, *args: Any, **options: Any) -> Iterator[Any]:
        for batch, found in predicted(self, *args, **options):
            wrong = torch.tensor([sample.path == annotated[0].path for sample in batch])
            yield batch, replace(found, flagged=wrong, points=found.points + 1000.0 * wrong[:, None, None])

    monkeypatch.setattr(LandmarkDetector, "iter_predict", with_a_flag)
    whole = _on_whole_images(detector, annotated, batch_size=3, progress=None)
    assert (whole.images, whole.flagged) == (16, 1)
    found = detector.predict([Sample(sample.path) for sample in annotated[1:]])
    truth = torch.from_numpy(np.stack([sample.points for sample in annotated[1:]]))  # type: ignore[misc]
    assert whole.expected == pytest.approx(100 * float(found.uncertainty.mean()), rel=1e-4)
    assert whole.true == pytest.approx(100 * float((found.points - truth).norm(dim=2).mean()) / 48, rel=1e-4)
    assert calibrate_detector(detector, annotated, tta=1).whole is None  # this detector has no locator


def test_too_few_images_and_images_of_other_landmarks_are_refused(detector: LandmarkDetector, annotated: SampleList) -> None:
    with pytest.raises(DataError, match="at least 10 annotated images, got 9"):
        calibrate_detector(detector, annotated.replaced(annotated[:9]))
    bare = [*annotated[:9], Sample(annotated[9].path, np.full((68, 2), np.nan), (4, 4, 40, 40))]
    with pytest.raises(DataError, match=rf"{annotated[9].path.name}: expected annotated landmarks, all of them are missing"):
        calibrate_detector(detector, annotated.replaced(bare))
    with pytest.raises(DataError, match="got none"):
        calibrate_detector(detector, annotated.replaced([]))
    with pytest.raises(DataError, match=r"png: its annotation has None landmarks, the detector finds 68"):
        calibrate_detector(detector, annotated.unlabelled())


def test_folds_are_even_and_no_image_is_in_two() -> None:
    folds = _folds(23, 1)
    assert sorted(np.bincount(folds, minlength=FOLDS).tolist()) == [4, 4, 5, 5, 5]
    assert not np.array_equal(folds, _folds(23, 2))


def test_quality_by_hand() -> None:
    """Four images, one landmark: expected and true in the same order but for one pair; a missing landmark says nothing."""
    expected = np.array([[0.01, 9.0], [0.02, 9.0], [0.03, 9.0], [0.04, 9.0]])
    errors = np.array([[0.01, np.nan], [0.03, np.nan], [0.02, np.nan], [0.06, np.nan]])
    found = _quality(1, expected, errors)
    assert found.error == pytest.approx(3)
    assert found.correlation.value == pytest.approx(0.8)
    assert found.groups == [pytest.approx(pair) for pair in [(1, 1), (2, 3), (3, 2), (4, 6)]]
    assert found.kept(0.5) == pytest.approx((2, 1.5))
