"""Metrics: cases computed by hand, then the laws that tie the figures to each other, then what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brule.errors import DataError
from brule.evaluation import (
    area_under_ced,
    bootstrap_interval,
    cumulative_error_distribution,
    failure_rate,
    fitting_kinds,
    landmark_errors,
    landmark_regions,
    normaliser,
    normalized_mean_error,
    read_regions,
    region_errors,
    score,
    wasserstein1_error,
)

NAN = np.nan
SEEDS = st.integers(0, 2**32 - 1)
ERRORS = st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=40)


def face68() -> np.ndarray:
    """One face whose outer eye corners are 10 apart, its pupils 8, its box 16 × 12."""
    points = np.tile([5.0, 5.0], (1, 68, 1))
    points[0, 36:42] = [1, 2]
    points[0, 42:48] = [9, 2]
    points[0, [36, 37, 45, 46]] = [[0, 2], [2, 2], [10, 2], [8, 2]]
    points[0, 0], points[0, 16] = [-3, 0], [13, 12]
    return points


def clouds(seed: int, images: int = 3, landmarks: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(images, landmarks, 2)), generator.normal(size=(images, landmarks, 2))


# --- the distance ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("auto", "outer eye corners", 10),
        ("outer-eye-corners", "outer eye corners", 10),
        ("pupils", "pupils", 8),
        ("box-diagonal", "box diagonal", 20),  # 16 × 12
        ("box-size", "box size", np.sqrt(192)),
        (7.5, "given distance", 7.5),
    ],
)
def test_normaliser_by_hand(kind, name, value):
    found, distance = normaliser(face68(), kind)
    assert found == name
    assert distance == pytest.approx([value])


def test_normaliser_follows_the_number_of_points():
    five = np.array([[[0, 0], [3, 4], [9, 9], [1, 8], [2, 8]]], dtype=float)
    assert normaliser(five)[0] == "eyes"
    assert normaliser(five)[1] == pytest.approx([5])
    name, distance = normaliser(five[:, :4])
    assert name == "box diagonal"
    assert distance == pytest.approx([np.hypot(9, 9)])


def test_normaliser_box_ignores_missing_points():
    truth = np.array([[[0, 0], [3, 4], [NAN, 99], [1, 1]]])
    assert normaliser(truth)[1] == pytest.approx([5])  # the half-missing point takes no part, not even with its y


def test_pupils_are_the_means_of_the_present_points():
    face = face68()
    face[0, 37:42] = NAN  # 36, at (0, 2), is all that is left of the one eye; the other's mean is (9, 2)
    assert normaliser(face, "pupils")[1] == pytest.approx([9])
    face[0, 36] = NAN
    with pytest.raises(DataError, match="zero or missing in image 0"):
        normaliser(face, "pupils")


def test_fitting_kinds_are_those_that_all_images_have():
    face = face68()
    assert {name: float(d[0]) for name, d in fitting_kinds(face).items()} == pytest.approx(
        {"outer eye corners": 10, "pupils": 8, "box diagonal": 20, "box size": np.sqrt(192)}
    )
    face[0, 36] = NAN
    assert list(fitting_kinds(face)) == ["pupils", "box diagonal", "box size"]
    assert list(fitting_kinds([[[0, 0], [3, 0]]])) == ["box diagonal"]  # a box without height has no size


def test_normaliser_takes_one_number_for_each_image():
    assert normaliser(np.zeros((2, 4, 2)), [2, 3])[1] == pytest.approx([2, 3])


def test_normaliser_refuses():
    with pytest.raises(DataError, match=r"unknown normaliser 'iod'.*outer-eye-corners"):
        normaliser(face68(), "iod")
    with pytest.raises(DataError, match="needs 68 points per image, got 5"):
        normaliser(np.zeros((1, 5, 2)), "pupils")
    with pytest.raises(DataError, match=r"zero or missing in image 1 \(counted from 0\):"):
        normaliser(np.stack([face68()[0], np.full((68, 2), 4.0)]))
    corner = face68()
    corner[0, 36] = NAN
    with pytest.raises(DataError, match="zero or missing in image 0"):
        normaliser(corner)
    with pytest.raises(DataError, match=r"each of the 2 images, got the shape \(3,\)"):
        normaliser(np.zeros((2, 4, 2)), [1, 2, 3])


# --- NME -------------------------------------------------------------------------------------------------------------


def test_nme_by_hand():
    truth = face68()
    shifted = truth + np.array([3, 4])  # every point off by 5, the distance is 10
    assert normalized_mean_error(shifted, truth, distance=10) == pytest.approx([50])
    one = truth.copy()
    one[0, 8] += [6, 8]  # one of 68 points off by 10
    assert normalized_mean_error(one, truth, distance=10) == pytest.approx([100 / 68])
    assert normalized_mean_error(truth, truth, distance=10) == pytest.approx([0], abs=0)


def test_nme_divides_each_image_by_its_own_distance():
    truth = np.zeros((2, 3, 2))
    assert normalized_mean_error(truth + np.array([3, 4]), truth, distance=[5, 50]) == pytest.approx([100, 10])


def test_nme_leaves_missing_points_out():
    truth = np.array([[[0, 0], [NAN, NAN], [0, NAN]], [[0, 0], [1, 0], [2, 0]]], dtype=float)
    guess = np.array([[[3, 4], [NAN, NAN], [1e9, 0]], [[0, 3], [1, 0], [2, 0]]], dtype=float)
    assert normalized_mean_error(guess, truth, distance=10) == pytest.approx([50, 10])


def test_landmark_errors_by_hand():
    truth = np.array([[[0, 0], [0, 0], [NAN, NAN]], [[0, 0], [NAN, NAN], [NAN, NAN]]], dtype=float)
    guess = np.array([[[1, 0], [2, 0], [9, 9]], [[0, 3], [9, 9], [9, 9]]], dtype=float)
    expected = np.array([[10, 20, NAN], [30, NAN, NAN]])
    assert landmark_errors(guess, truth, distance=[10, 10]) == pytest.approx(expected, nan_ok=True)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_nme_is_the_mean_over_landmarks_and_blind_to_the_unit(seed):
    guess, truth = clouds(seed)
    errors = normalized_mean_error(guess, truth, distance=2)
    assert errors.mean() == pytest.approx(landmark_errors(guess, truth, distance=2).mean())
    assert normalized_mean_error(7 * guess + 3, 7 * truth + 3, distance=14) == pytest.approx(errors)


# --- W₁ --------------------------------------------------------------------------------------------------------------


def test_w1_by_hand():
    truth = np.array([[[0, 0], [10, 0]]], dtype=float)
    assert wasserstein1_error(truth[:, ::-1], truth, 10) == pytest.approx([0], abs=1e-12)  # swapped: NME 100, W₁ 0
    assert wasserstein1_error(truth[:, ::-1] + [0, 1], truth, 10) == pytest.approx([10])
    # On a line W₁ matches in order: 0→0, 3→4, so (0 + 1) / 2.
    assert wasserstein1_error([[[3, 0], [0, 0]]], [[[0, 0], [4, 0]]], 1) == pytest.approx([50])


def test_w1_takes_its_own_plan_not_that_of_squared_lengths():
    truth = np.array([[[0, 0], [1, 0]]], dtype=float)
    guess = np.array([[[1, 0], [2, 0.5]]])
    # Crosswise: lengths 0 and √4.25, squares 4.25. In order: lengths 1 and √1.25, squares 2.25.
    assert wasserstein1_error(guess, truth, 1) == pytest.approx([100 * np.sqrt(4.25) / 2])
    assert np.sqrt(4.25) < 1 + np.sqrt(1.25)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_w1_is_never_above_nme_also_with_missing_points(seed):
    guess, truth = clouds(seed)
    truth[np.random.default_rng(seed).random(truth.shape[:2]) < 0.3] = NAN
    truth[:, 0] = 0
    w1 = wasserstein1_error(guess, truth, 2)
    assert (w1 <= normalized_mean_error(guess, truth, distance=2) + 1e-9).all()


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_w1_ignores_the_order(seed):
    guess, truth = clouds(seed)
    order = np.random.default_rng(seed).permutation(guess.shape[1])
    assert wasserstein1_error(guess[:, order], truth, 1) == pytest.approx(wasserstein1_error(guess, truth, 1))
    assert wasserstein1_error(truth[:, order], truth, 1) == pytest.approx(np.zeros(3), abs=1e-9)


def test_w1_equals_nme_for_small_errors():
    truth = np.array([[[0, 0], [10, 0], [0, 10]]], dtype=float)
    guess = truth + np.array([[0.3, 0.4], [0.0, 0.5], [-0.5, 0.0]])
    assert wasserstein1_error(guess, truth, 5) == pytest.approx(normalized_mean_error(guess, truth, distance=5))


def test_w1_with_missing_points_by_hand():
    truth = np.array([[[0, 0], [10, 0], [NAN, NAN]]], dtype=float)
    # Two present points take two of the three: 0→0 costs 0, (10, 0)→(10, 1) costs 1; (5, 5) is left over.
    assert wasserstein1_error([[[10, 1], [0, 0], [5, 5]]], truth, 10) == pytest.approx([5])
    # The prediction of the missing landmark is nearer to the second point: the index plays no part.
    assert wasserstein1_error([[[0, 0], [10, 4], [10, 2]]], truth, 10) == pytest.approx([10])
    assert wasserstein1_error([[[0, 0], [10, 4], [NAN, NAN]]], truth, 10) == pytest.approx([20])


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_w1_with_missing_points_ignores_the_order_and_is_zero_for_the_truth(seed):
    guess, truth = clouds(seed)
    generator = np.random.default_rng(seed)
    holes = np.where(generator.random(truth.shape[:2]) < 0.4, NAN, 1.0)
    holes[:, 0] = 1.0
    order = generator.permutation(guess.shape[1])
    partial = truth * holes[..., None]
    assert wasserstein1_error(guess[:, order], partial, 1) == pytest.approx(wasserstein1_error(guess, partial, 1))
    assert wasserstein1_error(truth[:, order], partial, 1) == pytest.approx(np.zeros(3), abs=1e-12)


def test_w1_of_another_number_of_points():
    pytest.importorskip("ot")
    assert wasserstein1_error([[[3, 4], [6, 8]]], [[[0, 0]]], 10) == pytest.approx([75])  # lengths 5 and 10, half each


# --- landmarks and regions -------------------------------------------------------------------------------------------


def test_region_errors_by_hand():
    errors = np.array([[10, 20, NAN, 40], [NAN, NAN, 6, 8]])
    found = region_errors(errors, {"a": [0, 1], "b": [2, 3], "c": [3]})
    assert found["a"] == pytest.approx([15, NAN], nan_ok=True)
    assert found["b"] == pytest.approx([40, 7])
    assert found["c"] == pytest.approx([40, 8])


def test_the_regions_of_68_points_cover_each_once():
    regions = landmark_regions(68)
    assert list(regions) == ["jaw", "brows", "nose", "eyes", "mouth"]
    assert [len(indices) for indices in regions.values()] == [17, 10, 9, 12, 20]
    assert sorted(i for indices in regions.values() for i in indices) == list(range(68))


def test_other_numbers_of_points_are_one_region():
    assert landmark_regions(5) == {"all": (0, 1, 2, 3, 4)}
    guess, truth = clouds(1)
    errors = landmark_errors(guess, truth, distance=2)
    assert region_errors(errors)["all"] == pytest.approx(normalized_mean_error(guess, truth, distance=2))


@pytest.mark.parametrize("regions", [{}, {"a": []}, {"a": [0, 9]}, {"a": [-1]}, {"a": [1, 1]}, {"a": [True]}, {"a": ["x"]}])
def test_impossible_regions_are_refused(regions):
    with pytest.raises(DataError, match="region"):
        landmark_regions(5, regions)


def test_regions_from_a_file(tmp_path):
    path = tmp_path / "regions.json"
    path.write_text('{"left": [0, 1], "right": [3]}')
    assert read_regions(path, 4) == {"left": (0, 1), "right": (3,)}
    for text in ("{", "[]", '{"left": 3}', '{"left": [4]}', '{"left": [0.5]}', "{}"):
        path.write_text(text)
        with pytest.raises(DataError, match=rf"^{path}: "):
            read_regions(path, 4)
    with pytest.raises(DataError, match="can't be read"):
        read_regions(tmp_path / "none.json", 4)


# --- CED, AUC, FR ----------------------------------------------------------------------------------------------------


def test_ced_by_hand():
    assert cumulative_error_distribution([4, 1, 4, 20], [0, 1, 3.9, 4, 19, 20]) == pytest.approx([0, 0.25, 0.25, 0.75, 0.75, 1])


def test_an_error_on_the_limit_is_no_failure():
    assert failure_rate([8.0, 8.000001, 1.0, 9.0], 8) == 0.5


@pytest.mark.parametrize("limit", [8, 10, 0.37, 7.77])
def test_auc_at_the_ends(limit):
    assert area_under_ced([0, 0, 0], limit) == pytest.approx(1, abs=1e-12)
    assert area_under_ced([limit + 1e-6, 99], limit) == 0
    assert area_under_ced([0, 99], limit) == pytest.approx(0.5, abs=1e-12)


def test_auc_of_evenly_spread_errors_is_a_half():
    assert area_under_ced(np.linspace(0, 8, 100_001), 8) == pytest.approx(0.5, abs=1e-4)


@given(ERRORS, st.sampled_from([8.0, 10.0]))
def test_auc_is_the_integral_of_the_step_function(errors, limit):
    # The exact area under one image's step is 1 - e / limit; sampling every 0.01 % misplaces a step by a sample at most.
    exact = np.clip(1 - np.array(errors) / limit, 0, 1).mean()
    assert area_under_ced(errors, limit) == pytest.approx(exact, abs=0.01 / limit)


@given(ERRORS, st.floats(0.5, 20))
def test_failure_rate_completes_the_ced(errors, limit):
    assert failure_rate(errors, limit) == pytest.approx(1 - cumulative_error_distribution(errors, limit))


@given(ERRORS)
def test_ced_rises_from_at_least_zero_to_one(errors):
    ced = cumulative_error_distribution(errors, np.linspace(0, 30, 61))
    assert (np.diff(ced) >= 0).all()
    assert ced[0] >= 0
    assert ced[-1] == 1


# --- all of it -------------------------------------------------------------------------------------------------------


def test_score_by_hand():
    truth = np.tile(face68(), (4, 1, 1))
    guess = truth + np.array([0.0, 0.9, 0.9, 2.0])[:, None, None] * [0.6, 0.8]  # errors 0, 9, 9, 20 %
    scores = score(guess, truth, floor=truth + np.array([0, 3]))
    assert (scores.n, scores.normaliser) == (4, "outer eye corners")
    assert scores.nme == pytest.approx(9.5)
    assert scores.nme_low < 9.5 < scores.nme_high
    assert (scores.fr_8, scores.fr_10) == (0.75, 0.25)
    assert scores.auc_8 == pytest.approx(0.25, abs=1e-9)
    assert scores.auc_10 == pytest.approx((1 + 0.1 + 0.1 + 0) / 4, abs=1e-3)
    assert scores.floor_nme == pytest.approx(30)
    assert 0 <= scores.w1 <= scores.nme
    assert 0 < scores.floor_w1 <= scores.floor_nme


def test_every_figure_has_the_interval_of_its_own_mean():
    truth = np.tile(face68(), (6, 1, 1))
    guess = truth + np.arange(6)[:, None, None] * [0.30021, 0.40028]  # errors 0, 5.0035, … % off every sample of the CED
    scores = score(guess, truth, floor=truth)
    errors = 5.0035 * np.arange(6)
    for name, values in {"nme": errors, "fr_8": errors > 8, "auc_10": [area_under_ced([e], 10) for e in errors]}.items():
        assert scores.estimate(name).value == pytest.approx(np.mean(values))
        assert scores.intervals[name] == pytest.approx(bootstrap_interval(np.asarray(values, dtype=float)))
    written = scores.to_dict()
    assert (written["fr_8_low"], written["fr_8_high"]) == scores.intervals["fr_8"]
    assert {
        f"{name}{end}" for name in ("nme", "w1", "auc_8", "fr_8", "auc_10", "fr_10") for end in ("", "_low", "_high")
    } <= set(written)


def test_score_names_the_distance_it_was_given():
    truth = face68()
    assert score(truth, truth, floor=truth, normaliser="pupils").normaliser == "pupils"
    assert score(truth + 1, truth, floor=truth, normaliser=100).nme == pytest.approx(np.sqrt(2))


def test_scores_go_to_json():
    truth = face68()
    values = json.loads(json.dumps(score(truth, truth, floor=truth + 1).to_dict()))
    assert {"nme", "w1", "floor_nme", "auc_8", "fr_8", "n"} <= set(values)
    assert (values["nme"], values["n"], values["fr_8"]) == (0, 1, 0)


# --- what is refused -------------------------------------------------------------------------------------------------

TRUTH = np.arange(12, dtype=float).reshape(2, 3, 2)


@pytest.mark.parametrize("measure", [normalized_mean_error, landmark_errors, wasserstein1_error])
@pytest.mark.parametrize(
    ("guess", "truth", "distance", "message"),
    [
        (TRUTH[0], TRUTH, 1, r"prediction must be \(images, landmarks, 2\).*\(3, 2\)"),
        (TRUTH, TRUTH[0], 1, r"truth must be \(images, landmarks, 2\)"),
        (TRUTH[:1], TRUTH, 1, "prediction"),
        (np.where(TRUTH == 7, NAN, TRUTH), TRUTH, 1, "prediction is NaN or infinite in image 1 \\(counted from 0\\):"),
        (np.where(TRUTH == 7, np.inf, TRUTH), TRUTH, 1, "prediction is NaN or infinite in image 1 \\(counted from 0\\):"),
        (TRUTH, np.where(TRUTH == 7, np.inf, TRUTH), 1, "truth holds infinite coordinates in image 1"),
        (TRUTH, np.where(TRUTH > 5, NAN, TRUTH), 1, "all landmarks are missing in image 1 \\(counted from 0\\):"),
        (TRUTH, TRUTH, 0, "distance is zero, negative or not finite in images 0, 1 \\(counted from 0\\):"),
        (TRUTH, TRUTH, [1, -2], "distance is zero, negative or not finite in image 1 \\(counted from 0\\):"),
        (TRUTH, TRUTH, [1, 2, 3], "one for each of the 2 images"),
        (np.zeros((0, 3, 2)), np.zeros((0, 3, 2)), 1, "at least one of each"),
    ],
)
def test_bad_points_are_refused(measure, guess, truth, distance, message):
    with pytest.raises(DataError, match=message):
        measure(guess, truth, distance) if measure is wasserstein1_error else measure(guess, truth, distance=distance)


def test_nme_needs_the_same_landmarks():
    with pytest.raises(DataError, match=r"prediction is \(2, 2, 2\), truth \(2, 3, 2\)"):
        normalized_mean_error(TRUTH[:, :2], TRUTH, distance=1)


@pytest.mark.parametrize("errors", [[], [1.0, NAN], [[1.0]], [np.inf]])
@pytest.mark.parametrize("measure", [lambda e: area_under_ced(e, 8), lambda e: failure_rate(e, 8), bootstrap_interval])
def test_bad_errors_are_refused(measure, errors):
    with pytest.raises(DataError, match="one finite number for each image"):
        measure(errors)


def test_bad_settings_are_refused():
    for limit in (0, -1, NAN, np.inf):
        with pytest.raises(DataError, match="limit of the CED"):
            area_under_ced([1.0], limit)
    with pytest.raises(DataError, match="confidence"):
        bootstrap_interval([1.0], confidence=95)
