"""A detector and a checkpoint that the version before the renaming wrote (commit 6fed42c) are still read.

They come from four iterations on drawn faces with settings under their former names; ``points.json`` is what that version
predicted for the first two faces. ``earlier_version_gan`` is another of that commit, with a decoder and a calibration by twelve
faces; ``expected.json`` has landmarks and expected errors.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.errors import ConfigError
from brule.training.config import load_config

STORED = Path(__file__).parent / "earlier_version"
WITH_DECODER = Path(__file__).parent / "earlier_version_gan"
LANDMARKS = [36, 39, 42, 45, 30, 48, 54]


def test_its_detector_predicts_what_it_predicted_then() -> None:
    faces = synthetic_faces(24, size=64, seed=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nobody can rename what stands in a stored file
        detector = LandmarkDetector.load(STORED)
    assert (detector.config_.ema.decay, detector.config_.augmentation.erasing) == (0.9, 0.25)
    assert (detector.config_.finetune.fraction, detector.config_.finetune.warp_scale) == (0.5, 0.3)
    points = detector.predict(faces.images[:2]).points.numpy()
    np.testing.assert_allclose(points, json.loads((STORED / "points.json").read_text()), atol=1e-3)


def test_its_run_is_resumed(tmp_path: Path) -> None:
    faces = synthetic_faces(24, size=64, seed=5)
    run = tmp_path / "run"
    shutil.copytree(STORED, run)
    detector = LandmarkDetector(quiet=True, iterations=6).fit(faces.images, directory=run, resume=True)
    assert (detector.progress_.iteration, detector.finished_) == (6, True)


def test_its_calibration_and_decoder_are_read() -> None:
    faces = synthetic_faces(24, size=64, seed=5)
    detector = LandmarkDetector.load(WITH_DECODER)
    found = detector.predict(faces.images[:2])
    expected = json.loads((WITH_DECODER / "expected.json").read_text())
    np.testing.assert_allclose(found.points.numpy(), expected["points"], atol=1e-3)
    np.testing.assert_allclose(found.spread.numpy(), expected["spread"], rtol=1e-3)
    assert detector.decoder_ is not None
    image, heatmap = torch.zeros(1, 3, 16, 16), detector.decoder_.heatmap(torch.rand(1, 7, 2))
    drawn = detector.decoder_.generator(heatmap, detector.decoder_.style_of(image))
    assert drawn.shape == (1, 3, 16, 16) and drawn.isfinite().all()


def test_its_run_with_a_decoder_is_resumed(tmp_path: Path) -> None:
    """The averaged decoder had another name in checkpoints."""
    faces = synthetic_faces(24, size=64, seed=5)
    run = tmp_path / "run"
    shutil.copytree(WITH_DECODER, run)
    detector = LandmarkDetector(quiet=True, iterations=6).fit(faces.images, directory=run, resume=True)
    assert (detector.progress_.iteration, detector.finished_, detector.decoder_ is not None) == (6, True, True)


def test_former_names_of_settings_work_and_say_so() -> None:
    with pytest.warns(FutureWarning, match="averaging.decay is now ema.decay"):
        config = load_config("cpu", {"averaging.decay": 0.5})
    assert config.ema.decay == 0.5


def test_a_preset_of_ones_own_with_former_names_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[appearance]\nocclusion = 0.3\n[ending]\nshare = 0.1\nwarps = 0.5\n")
    with pytest.warns(FutureWarning, match="augmentation.erasing") as caught:
        config = load_config(str(tmp_path / "mine.toml"))
    assert len(caught) == 1
    assert (config.augmentation.erasing, config.finetune.fraction, config.finetune.warp_scale) == (0.3, 0.1, 0.5)


def test_two_names_of_one_setting_are_refused(tmp_path: Path) -> None:
    (tmp_path / "both.toml").write_text("[appearance]\nocclusion = 0.3\n[augmentation]\nerasing = 0.1\n")
    with pytest.raises(ConfigError, match=r"'appearance.occlusion' is the former name of 'augmentation.erasing'|'augmentation"):
        load_config(str(tmp_path / "both.toml"))
