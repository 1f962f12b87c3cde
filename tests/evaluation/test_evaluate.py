"""Laws of an evaluation, with predictors whose errors are known beforehand."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from brule.data import CropCache, cache_from_arrays
from brule.errors import DataError
from brule.evaluation import CropPredictions, Measurement, evaluate, evaluate_points
from brule.evaluation.intervals import RESAMPLES

SIZE, N = 40, 7


@dataclass
class Found:
    points: np.ndarray


@dataclass
class FoundWithSpread(Found):
    spread: np.ndarray


def crops(n: int = 5, n_points: int = N, seed: int = 0) -> CropCache:
    """Images of annotated random points; the crop rule (1.3) holds exactly."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(8, 32, (n, n_points, 2)).astype(np.float32)
    return cache_from_arrays(rng.integers(0, 255, (n, SIZE, SIZE, 3), dtype=np.uint8), points=points, size=16)


def shifted(cache: CropCache, by: float, order: np.ndarray | None = None):
    """A predictor that knows the truth and moves it; it finds its place by the order of the calls."""
    done = 0

    def predict(images: np.ndarray) -> Found:
        nonlocal done
        truth = cache.points[done : done + len(images)]
        done += len(images)
        points = truth + np.array([by, 0.0])
        return Found(points if order is None else points[:, order])

    return predict


def centre(n: int = N) -> np.ndarray:
    return np.random.default_rng(9).uniform(0.2, 0.8, (n, 2))


def test_perfect_prediction_has_no_error() -> None:
    cache = crops()
    result = evaluate(shifted(cache, 0.0), cache, barycenter=centre())
    assert result.scores.nme == pytest.approx(0, abs=1e-6)
    assert (result.scores.found, result.scores.n) == (1.0, 5)
    assert result.scores.fr_8 is None  # a convention for faces alone
    np.testing.assert_allclose(result.predictions, result.truth, atol=1e-6)


def test_shift_gives_its_length_over_the_distance() -> None:
    cache = crops()
    result = evaluate(shifted(cache, 0.05), cache, barycenter=centre(), normaliser="box-diagonal")
    diagonals = np.linalg.norm(cache.points.max(1) - cache.points.min(1), axis=1)
    np.testing.assert_allclose(result.errors, 5 / diagonals, rtol=1e-5)
    assert result.scores.nme == pytest.approx((5 / diagonals).mean(), rel=1e-5)
    assert result.scores.normaliser == "box diagonal"


def test_w1_is_free_of_the_index_and_nme_is_not() -> None:
    cache = crops()
    result = evaluate(shifted(cache, 0.0, order=np.roll(np.arange(N), 1)), cache, barycenter=centre())
    assert result.scores.w1 == pytest.approx(0, abs=1e-5)
    assert result.scores.nme > 1


def test_predicting_the_barycenter_is_the_floor() -> None:
    cache, barycenter = crops(), centre()
    result = evaluate(lambda images: Found(np.tile(barycenter, (len(images), 1, 1))), cache, barycenter=barycenter)
    assert result.scores == result.barycenter
    assert result.scores.nme == pytest.approx(result.scores.floor_nme)
    np.testing.assert_allclose(result.errors, result.floor_errors)
    assert result.mean_shape is None
    assert result.to_dict()["floor_mean_nme"] is None


def test_mean_shape_is_the_mean_of_the_annotated_shapes() -> None:
    cache, barycenter = crops(), centre()
    shapes = np.stack([barycenter - 0.1, barycenter + 0.1])
    result = evaluate(shifted(cache, 0.0), cache, barycenter=barycenter, shapes=shapes)
    assert result.mean_shape is not None
    assert result.mean_shape.nme == pytest.approx(result.barycenter.nme)
    assert result.to_dict()["floor_mean_nme"] == pytest.approx(result.scores.floor_nme)
    assert result.floor_name == "mean shape"


def test_batches_do_not_matter_and_are_reported() -> None:
    cache, calls = crops(), []
    whole = evaluate(shifted(cache, 0.03), cache, barycenter=centre())
    parts = evaluate(shifted(cache, 0.03), cache, barycenter=centre(), batch_size=2, progress=lambda *done: calls.append(done))
    assert parts.scores == whole.scores
    assert calls == [(2, 5), (4, 5), (5, 5)]


def test_wrong_number_of_landmarks_is_said() -> None:
    cache = crops()
    with pytest.raises(DataError, match="7 landmarks, the detector finds 9"):
        evaluate(shifted(cache, 0.0), cache, barycenter=centre(9))


def test_unannotated_images_are_said() -> None:
    cache = cache_from_arrays(np.zeros((2, SIZE, SIZE, 3), np.uint8), size=16)
    with pytest.raises(DataError, match="annotation"):
        evaluate(lambda images: Found(np.zeros((len(images), N, 2))), cache, barycenter=centre())


def test_image_without_a_distance_is_named() -> None:
    points = np.random.default_rng(0).uniform(8, 32, (3, 5, 2)).astype(np.float32)
    points[1, 1] = points[1, 0]  # both eyes in one place
    cache = cache_from_arrays(np.zeros((3, SIZE, SIZE, 3), np.uint8), points=points, size=16)
    with pytest.raises(DataError, match="first such image is image 1"):
        evaluate(shifted(cache, 0.0), cache, barycenter=centre(5), normaliser="eyes")


def test_every_error_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("brule.evaluation.evaluate")  # the package's attribute of that name is the function
    measured, real = [], module.measure
    monkeypatch.setattr(module, "measure", lambda *args, **more: measured.append(1) or real(*args, **more))
    cache, barycenter = crops(), centre()
    evaluate(shifted(cache, 0.0), cache, barycenter=barycenter, shapes=barycenter[None]).to_dict()
    assert len(measured) == 3  # the predictor, the barycenter, the mean shape


def test_landmarks_and_regions_show_the_same_error() -> None:
    cache = crops()
    regions = {"first": [0, 1, 2], "rest": [3, 4, 5, 6]}
    result = evaluate(shifted(cache, 0.05), cache, barycenter=centre(), regions=regions)
    by_landmark = np.array([one.value for one in result.by_landmark])
    assert by_landmark.mean() == pytest.approx(result.scores.nme)
    assert result.by_region["first"].value == pytest.approx(by_landmark[:3].mean())
    assert result.by_region["rest"].value == pytest.approx(by_landmark[3:].mean())
    np.testing.assert_allclose(result.landmark_lengths, 0.05, rtol=1e-6)
    weights = np.array([3, 4]) / 7
    floors = [result.floor_by_region[name].value for name in regions]
    assert weights @ floors == pytest.approx(result.scores.floor_nme)


def test_missing_points_are_left_out_of_every_figure() -> None:
    whole = crops()
    points = np.array(whole.points)
    points[0, 2] = points[3, 5] = np.nan
    cache = replace(whole, points=points)
    result = evaluate(shifted(whole, 0.05), cache, barycenter=centre(), normaliser=0.5)
    np.testing.assert_allclose(result.errors, 10, rtol=1e-5)  # 0.05 / 0.5 for every point that is there
    assert (result.per_image.w1 <= result.errors + 1e-9).all()
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert (content["missing_landmarks"], content["n"]) == (2, 5)
    assert all(triple[0] == pytest.approx(10, rel=1e-5) for triple in content["by_landmark"])


def test_other_distances_rescale_each_image() -> None:
    cache = crops()
    result = evaluate(shifted(cache, 0.05), cache, barycenter=centre())
    sides = np.asarray(cache.points.max(1) - cache.points.min(1), dtype=float)
    own, floor = result.by_distance["box size"]
    assert own.value == pytest.approx((5 / np.sqrt(sides.prod(1))).mean(), rel=1e-5)
    assert result.by_distance["box diagonal"][1].value == pytest.approx(result.scores.floor_nme)
    assert floor.low < floor.value < floor.high


def test_spread_is_taken_along() -> None:
    cache = crops()
    predict = shifted(cache, 0.0)
    spreads = np.arange(5.0)[:, None] * np.full(N, 0.01)

    def predict_all(images: np.ndarray) -> Found:
        moved = predict(images).points + 0.1 * np.arange(5)[:, None, None]  # the surer, the nearer
        return FoundWithSpread(moved, spreads)

    result = evaluate(predict_all, cache, barycenter=centre(), normaliser=1.0)
    np.testing.assert_allclose(result.mean_spread, np.arange(5.0))
    assert result.rank_correlation is not None and result.rank_correlation.value == pytest.approx(1)
    assert result.risk_coverage is not None and result.risk_coverage.area == pytest.approx(result.risk_coverage.oracle_area)
    without = evaluate(shifted(cache, 0.0), cache, barycenter=centre())
    assert without.mean_spread is None and without.to_dict()["spread_error_correlation"] is None


def test_a_lost_object_does_not_make_a_detector_worse_than_a_constant() -> None:
    cache, lost = crops(), np.array([False, False, True, False, False])
    truth = np.asarray(cache.points, dtype=np.float64)
    answers = CropPredictions(np.where(lost[:, None, None], np.nan, truth))
    far = np.full(truth.shape, 50.0)
    result = evaluate_points(answers, cache, boxes="none", stand_in=far, barycenter=centre())
    assert result.scores.found == pytest.approx(4 / 5) and result.scores.median_nme == pytest.approx(0, abs=1e-9)
    assert result.scores.nme > result.scores.floor_nme and result.beats_floor
    constant = CropPredictions(np.tile(centre(), (5, 1, 1)))
    assert not evaluate_points(constant, cache, barycenter=centre()).beats_floor
    near = evaluate_points(answers, cache, boxes="none", stand_in=truth, barycenter=centre())
    assert near.scores.found == pytest.approx(4 / 5)  # a stand-in is never found, however good it is


def test_landmarks_have_their_names_or_numbers_from_1() -> None:
    cache, names = crops(), tuple("abcdefg")
    result = evaluate(shifted(cache, 0.0), cache, barycenter=centre(), landmark_names=names)
    assert result.landmark_labels == list(names) and result.to_dict()["landmark_names"] == list(names)
    bare = evaluate(shifted(cache, 0.0), cache, barycenter=centre())
    assert bare.landmark_labels[0] == "landmark 1" and bare.to_dict()["landmark_names"] is None
    assert Measurement(given=bare).with_landmark_names(names).first.landmark_labels == list(names)
    with pytest.raises(DataError, match="a name for each of 7 landmarks, got 2"):
        evaluate(shifted(cache, 0.0), cache, barycenter=centre(), landmark_names=("a", "b"))


def test_the_worst_landmarks_come_first_without_missing_ones() -> None:
    whole = crops()
    points = np.array(whole.points)
    points[:, 4] = np.nan
    cache = replace(whole, points=points)
    truth = np.asarray(whole.points, dtype=np.float64)
    truth[:, 2] += 0.2
    truth[:, 5] += 0.1
    result = evaluate_points(CropPredictions(truth), cache, barycenter=centre())
    assert result.worst_landmarks(2) == [2, 5] and 4 not in result.worst_landmarks(7)


def one_image(cache: CropCache, objects: int) -> CropCache:
    """The first crops are objects of one image."""
    samples = [replace(one, path=cache.samples[0].path) if k < objects else one for k, one in enumerate(cache.samples)]
    return replace(cache, samples=cache.samples.replaced(samples))


def test_every_object_of_an_image_is_measured_with_its_own_prediction() -> None:
    cache = one_image(crops(), 3)
    truth = np.asarray(cache.points, dtype=np.float64)
    moved = truth + 0.01 * np.arange(5)[:, None, None] * np.array([1.0, 0.0])
    result = evaluate_points(CropPredictions(moved), cache, barycenter=centre(), normaliser=1.0)
    np.testing.assert_allclose(result.errors, np.arange(5.0), atol=1e-9)
    assert (result.scores.n, result.n_images) == (5, 3)
    assert result.object_numbers == [1, 2, 3, 1, 1]
    assert [one["object"] for one in result.to_dict()["images"]] == [1, 2, 3, 1, 1]


def test_predictions_that_cannot_be_paired_are_refused() -> None:
    cache = one_image(crops(), 3)
    truth = np.asarray(cache.points, dtype=np.float64)
    per_image, few = CropPredictions(truth[2:]), CropPredictions(truth, spread=np.ones((4, N)))
    with pytest.raises(
        DataError, match=r"points of shape \(5, 7, 2\), one row for each of the 5 annotated objects.*\(3, 7, 2\)"
    ):
        evaluate_points(per_image, cache, barycenter=centre())
    with pytest.raises(DataError, match=r"spread of shape \(5, 7\).*got \(4, 7\)"):
        evaluate_points(few, cache, barycenter=centre())
    with pytest.raises(DataError, match="stand_in of shape"):
        evaluate_points(CropPredictions(truth), cache, stand_in=truth[:2], barycenter=centre())


def test_the_interval_is_described_as_it_is_computed() -> None:
    result = evaluate(shifted(crops(), 0.0), crops(), barycenter=centre())
    assert f"{RESAMPLES} resamples" in result.to_dict()["interval"]
