"""The error model, from uncertainty features to an expected error: what it promises of any data, and its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brule.detector.uncertainty import (
    Calibration,
    ErrorModel,
    UncertaintyFeatures,
    read_calibration,
    write_calibration,
)
from brule.errors import CheckpointError, ConfigError, DataError
from brule.tracking.run_files import CALIBRATION

N = 4


def drawn(images: int, seed: int = 0) -> UncertaintyFeatures:
    generator = np.random.default_rng(seed)
    heatmap_spread, disagreement = np.exp(generator.normal(-3, 0.5, (2, images, N)))
    return UncertaintyFeatures(heatmap_spread, disagreement, np.exp(generator.normal(0, 1, images)))


def test_an_error_model_by_hand() -> None:
    one = ErrorModel({"heatmap_spread": 0.5, "energy": 2.0}, np.array([1.0, 10.0]))
    expected = one.expected(UncertaintyFeatures(np.array([[0.04, 0.09]]), None, np.array([3.0])))
    np.testing.assert_allclose(expected, [[0.2 * 9, 10 * 0.3 * 9]])


def test_errors_that_follow_such_a_law_are_found_out() -> None:
    features = drawn(4000)
    law = ErrorModel({"heatmap_spread": 0.3, "disagreement": 0.0, "energy": 0.2}, np.array([0.01, 0.02, 0.03, 0.08]))
    mean = law.expected(features)
    noise = np.random.default_rng(1).gamma(2.0, 0.5, mean.shape)  # of mean one
    found = ErrorModel.fit(features, mean * noise)
    assert found.exponents == pytest.approx(law.exponents, abs=0.03)
    np.testing.assert_allclose(found.expected(features), mean, rtol=0.1)


def test_the_mean_of_true_over_expected_is_one_whatever_the_errors() -> None:
    """The condition of a gamma regression's optimum: it expects the mean, not a typical error."""
    features = drawn(60)
    errors = np.random.default_rng(2).pareto(2.5, (60, N)) + 1e-3
    errors[::7, 1] = np.nan
    ratio = errors / ErrorModel.fit(features, errors).expected(features)
    assert float(np.nanmean(ratio)) == pytest.approx(1, abs=1e-4)


def test_it_rises_with_every_feature_even_where_the_data_fall() -> None:
    features = drawn(100)
    errors = 0.001 / features.heatmap_spread  # a heatmap that is broad where the error is small
    found = ErrorModel.fit(features, errors)
    assert all(exponent >= 0 for exponent in found.exponents.values())
    assert found.exponents["heatmap_spread"] == pytest.approx(0, abs=1e-6)


def test_the_unit_of_errors_passes_through() -> None:
    features, errors = drawn(50), np.random.default_rng(3).gamma(2.0, 0.01, (50, N))
    one, other = ErrorModel.fit(features, errors), ErrorModel.fit(features, 7 * errors)
    np.testing.assert_allclose(other.expected(features), 7 * one.expected(features), rtol=1e-3)


def test_a_landmark_nobody_annotated_has_the_common_scale() -> None:
    features = drawn(40)
    errors = np.random.default_rng(4).gamma(2.0, 0.01, (40, N))
    errors[:, 2] = np.nan
    scale = ErrorModel.fit(features, errors).scale
    others = np.log(scale[[0, 1, 3]])
    assert others.min() < np.log(scale[2]) < others.max()
    with pytest.raises(DataError, match="all of them are missing"):
        ErrorModel.fit(features, np.full((40, N), np.nan))


def test_a_perfect_detector_and_features_without_variation_are_no_trouble() -> None:
    flat = UncertaintyFeatures(np.zeros((12, N)), np.zeros((12, N)), np.zeros(12))
    expected = ErrorModel.fit(flat, np.zeros((12, N))).expected(flat)
    assert np.isfinite(expected).all()
    assert (expected < 1e-3).all()


def test_a_feature_that_hardly_varies_does_not_decide() -> None:
    noise = np.random.default_rng(5).normal(size=(30, N))
    flat = UncertaintyFeatures(0.05 * np.exp(1e-9 * noise))
    errors = 0.02 * np.exp(0.5 * noise)
    found = ErrorModel.fit(flat, errors)
    elsewhere = found.expected(UncertaintyFeatures(np.full((1, N), 0.1)))
    np.testing.assert_allclose(elsewhere, found.expected(flat)[:1], rtol=0.5)


def calibration() -> Calibration:
    maps = {views: ErrorModel({"heatmap_spread": 0.25, "energy": 0.1}, np.linspace(0.01, 0.02, N) * views) for views in (1, 2)}
    return Calibration(maps, 30, {"seed": 0})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_calibration(tmp_path, calibration())
    read = read_calibration(tmp_path, landmarks=N)
    assert read is not None
    assert read.to_dict() == calibration().to_dict()
    features = drawn(5)
    np.testing.assert_allclose(read.expected(features, 2), calibration().expected(features, 2), rtol=1e-5)
    with pytest.raises(ConfigError, match="calibrated for 1 to 2 views, got 3"):
        read.expected(features, 3)


def test_without_a_file_there_is_no_calibration(tmp_path: Path) -> None:
    assert read_calibration(tmp_path, landmarks=N) is None


def broken(change: str) -> str:
    content: dict[str, Any] = calibration().to_dict()
    first = content["maps"][0]
    if change == "format":
        content["format"] = "another"
    elif change == "maps":
        del content["maps"]
    elif change == "scale":
        first["scale"][0] = -1.0
    elif change == "nan":
        first["scale"][0] = float("nan")
    elif change == "exponent":
        first["exponents"]["heatmap_spread"] = -0.1
    elif change == "views":
        first["views"] = 5
    elif change == "none":
        content["maps"] = []
    elif change == "text":
        first["exponents"] = "much"
    elif change == "list":
        return "[]"
    return json.dumps(content)[: 40 if change == "cut" else None]


@pytest.mark.parametrize("change", ["format", "maps", "scale", "nan", "exponent", "views", "none", "text", "list", "cut"])
def test_a_damaged_file_is_reported_as_such(tmp_path: Path, change: str) -> None:
    (tmp_path / CALIBRATION).write_text(broken(change))
    with pytest.raises(CheckpointError, match=rf"{CALIBRATION}: damaged.*calibrate the detector again"):
        read_calibration(tmp_path, landmarks=N)


def test_a_file_of_another_detector_is_refused(tmp_path: Path) -> None:
    write_calibration(tmp_path, calibration())
    with pytest.raises(CheckpointError, match="4 landmarks instead of 5"):
        read_calibration(tmp_path, landmarks=5)
    with pytest.raises(CheckpointError, match="features that this detector lacks: energy"):
        read_calibration(tmp_path, landmarks=N, features=("heatmap_spread", "disagreement"))
