"""The score of detections: it orders, it rejects at the stated rate, it learns from training images alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from brule.data.synthetic import synthetic_scenes
from brule.errors import CheckpointError, DataError
from brule.locating import DetectionFeatures, Detections, DetectionScorer, floor_error, learn_scorer, painted_over


def made_up(n: int, *, right: bool, seed: int) -> DetectionFeatures:
    """Made-up detections: wrong ones shift, spread and bend more."""
    rng = np.random.default_rng(seed)
    worse = 0.0 if right else 1.5
    columns = [np.exp(rng.normal(middle + worse, 0.5, n)) for middle in (-4.0, 0.0, -3.5)]
    return DetectionFeatures(1 / (1 + np.exp(-rng.normal(1.5 - 2 * worse, 1, n))), *columns)


def both(n: int, seed: int) -> tuple[DetectionFeatures, np.ndarray]:
    one, other = made_up(n, right=True, seed=seed), made_up(n, right=False, seed=seed + 1)
    return DetectionFeatures.joined([one, other]), np.arange(2 * n) < n


def test_rejects_what_is_wrong_and_keeps_what_is_right() -> None:
    features, right = both(300, seed=0)
    scorer = DetectionScorer.fit(features, right)
    assert scorer.flagged(features)[right].mean() <= 0.045
    unseen, label = both(300, seed=10)
    assert scorer.flagged(unseen)[~label].mean() > 0.9 and scorer.flagged(unseen)[label].mean() < 0.08


def test_a_detection_that_is_likely_to_be_right_is_never_flagged() -> None:
    """Where nearly all right training detections are beyond doubt, a detection on a harder image may still be likely."""
    features, right = both(300, seed=0)
    scorer = DetectionScorer.fit(features, right)
    harder, _ = both(300, seed=10)
    likely = scorer.probability(harder) > 0.5
    assert likely.any() and not scorer.flagged(harder)[likely].any()
    assert np.quantile(scorer.probability(features)[right], 0.04) > 0.5  # the quantile alone would flag some of them


def test_better_on_every_count_never_scores_less() -> None:
    """Also where the data say the opposite: a steady detection must not be punished for being steady."""
    features, right = both(100, seed=0)
    scorer = DetectionScorer.fit(features, ~right)
    worse = DetectionFeatures(np.array([0.2]), np.array([0.2]), np.array([4.0]), np.array([0.1]))
    better = DetectionFeatures(np.array([0.9]), np.array([0.01]), np.array([1.0]), np.array([0.01]))
    assert scorer.probability(better)[0] >= scorer.probability(worse)[0]


def test_what_is_not_finite_is_flagged() -> None:
    features, right = both(100, seed=0)
    lost = DetectionFeatures(np.array([np.nan]), np.array([np.nan]), np.array([np.inf]), np.array([np.nan]))
    assert DetectionScorer.fit(features, right).flagged(lost).all()


def test_saved_and_read_again() -> None:
    features, right = both(50, seed=0)
    scorer = DetectionScorer.fit(features, right)
    again = DetectionScorer.from_facts(json.loads(json.dumps(scorer.facts())))
    assert np.array_equal(again.probability(features), scorer.probability(features)) and again.threshold == scorer.threshold


DAMAGED: dict[str, dict[str, Any]] = {
    "weights: expected 4 finite numbers, got \\[1.0\\]": {"weights": [1.0]},
    "weights: expected 4 finite numbers, got \\[\\[1": {"weights": [[1.0, 2.0], [3.0]]},
    "mean: expected 4 finite numbers": {"mean": [0.0, 0.0, float("nan"), 0.0]},
    "scales above 0": {"scale": [1.0, 1.0, 0.0, 1.0]},
    "offset: expected a finite number, got inf": {"offset": float("inf")},
    "offset: expected a finite number, got '0.5'": {"offset": "0.5"},
    "threshold from 0 to 1, got .* 2": {"threshold": 2},
    "threshold: expected a finite number, got None": {"threshold": None},
    "threshold: expected a finite number, got 1000": {"threshold": 10**400},
}


@pytest.mark.parametrize(("message", "change"), DAMAGED.items())
def test_damaged_facts_are_refused(message: str, change: dict[str, Any]) -> None:
    facts = {"mean": [0.0] * 4, "scale": [1.0] * 4, "weights": [1.0, -1.0, -1.0, -1.0], "offset": 0.5, "threshold": 0.3}
    assert DetectionScorer.from_facts(facts).facts() == facts
    with pytest.raises(CheckpointError, match=f"detection scorer: damaged.*{message}.*train again"):
        DetectionScorer.from_facts({**facts, **change})


@pytest.mark.parametrize("facts", [{}, None, [1.0], "scorer"])
def test_facts_of_something_else_are_refused(facts: Any) -> None:
    with pytest.raises(CheckpointError, match=r"detection scorer: damaged or incomplete: .*expected .*train again"):
        DetectionScorer.from_facts(facts)


def test_one_side_alone_teaches_nothing() -> None:
    with pytest.raises(DataError, match="right and wrong"):
        DetectionScorer.fit(made_up(5, right=True, seed=0), np.ones(5, bool))


def test_what_is_not_finite_is_the_worst_value() -> None:
    nothing = DetectionFeatures(*np.full((4, 1), np.nan))
    for value in (np.inf, -np.inf):
        assert np.array_equal(DetectionFeatures(*np.full((4, 1), value)).table(), nothing.table())
    assert nothing.table()[0, 0] < -10 and (nothing.table()[0, 1:] > 10).all()


def test_the_floor_by_hand() -> None:
    square = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert floor_error([square, 5 * square + 3]) == pytest.approx(0)
    # The last corner differs by 0.4 between the two, so each is 0.2 from their mean, in one landmark of four.
    bent = square.copy()
    bent[3, 0] = 0.6
    assert floor_error([square, 7 * bent]) == pytest.approx(0.05)


def test_painting_hides_the_object_and_nothing_far_from_it() -> None:
    scene = synthetic_scenes(1, size=128, side=(0.3, 0.3), seed=3)
    image, place = scene.images[0], np.array([[*(scene.boxes[0][0, :2] + scene.boxes[0][0, 2:]) / 2, 38, 38, 0.0]])
    for seed in range(4):
        painted = np.asarray(painted_over(image, place, seed=seed))
        changed = np.abs(painted.astype(int) - image).sum(-1) > 0
        rows, columns = np.indices(changed.shape)
        distance = np.hypot(columns - place[0, 0], rows - place[0, 1])
        assert changed[distance < 15].mean() > 0.9 and not changed[distance > 32].any()


@pytest.mark.parametrize("places", [np.empty((0, 5)), np.full((1, 5), np.nan)])
def test_painting_nothing_changes_nothing(places: np.ndarray) -> None:
    image = synthetic_scenes(1, size=64, seed=3).images[0]
    assert np.array_equal(np.asarray(painted_over(image, places)), image)


@pytest.mark.parametrize("unlabelled", [20, 0])
def test_learns_from_training_images_alone(unlabelled: int) -> None:
    """A stand-in for locator and detector that is sure where a bright disc is, and unsteady where none is."""
    rng = np.random.default_rng(0)
    corners = np.array([[-8.0, -8], [8, -8], [8, 8], [-8, 8]])

    def shape(x: float, y: float, brightness: float) -> np.ndarray:
        return corners * [1 + (brightness - 230) / 50, 1] + [x, y]

    def picture(x: float, y: float, brightness: float) -> np.ndarray:
        rows, columns = np.indices((64, 64))
        disc = np.hypot(columns - x, rows - y) < 12
        clutter = rng.integers(0, 90, (64, 64, 1))
        return np.repeat(np.where(disc[..., None], round(brightness), clutter), 3, axis=2).astype(np.uint8)

    def detect(images: Sequence[object]) -> Detections:
        rows, shapes = [], []
        for image in images:
            grey = np.asarray(image)[..., 0]
            bright = np.argwhere(grey > 200)
            there = len(bright) > 300
            middle = bright.mean(0)[::-1] if there else np.array([30.0, 30.0])
            noise = (1.0 if there else 20.0) * rng.uniform(0.9, 1.1, 3)
            rows.append([0.9 if there else 0.3, *(noise * [0.01, 0.7, 0.02])])
            shapes.append(shape(*middle, float(np.median(grey[grey > 200])) if there else 230))
        table = np.array(rows).reshape(-1, 4)
        return Detections(DetectionFeatures(*table.T), np.array(shapes).reshape(-1, 4, 2), np.arange(len(rows)))

    places = np.concatenate([rng.uniform(18, 46, (36, 2)), rng.uniform(210, 250, (36, 1))], axis=1)
    images = [picture(*place) for place in places]
    scorer = learn_scorer(detect, images[:6], [shape(*place) for place in places[:6]], unlabelled=images[6 : 6 + unlabelled])
    assert scorer.flagged(detect(images[26:]).features).sum() <= 2  # of 10, where the rate is 4 %
    empty = [rng.integers(0, 90, (64, 64, 3)).astype(np.uint8) for _ in range(10)]
    assert scorer.flagged(detect(empty).features).all()


def test_where_the_locator_finds_nothing_there_is_no_scorer() -> None:
    def detect(images: Sequence[object]) -> Detections:
        return Detections(DetectionFeatures(*np.empty((4, 0))), np.empty((0, 4, 2)), np.empty(0, np.int64))

    images = [np.zeros((64, 64, 3), np.uint8)] * 3
    with pytest.raises(DataError, match="finds nothing"):
        learn_scorer(detect, images, [np.eye(4, 2)] * 3)


def test_annotations_that_do_not_fit_are_refused() -> None:
    def detect(images: Sequence[object]) -> Detections:
        raise AssertionError("not reached")

    images = [np.zeros((64, 64, 3), np.uint8)] * 2
    with pytest.raises(DataError, match="one annotation per image, got 1 for 2 images"):
        learn_scorer(detect, images, [np.eye(4, 2)])
    with pytest.raises(DataError, match=r"expected landmarks .* got \(4, 3\)"):
        learn_scorer(detect, images, [np.eye(4, 2), np.eye(4, 3)])


def test_annotated_images_without_landmarks_are_left_out() -> None:
    """Otherwise whatever is detected in them would count as wrong."""
    shown: list[int] = []

    def detect(images: Sequence[object]) -> Detections:
        shown.append(len(images))
        return Detections(DetectionFeatures(*np.empty((4, 0))), np.empty((0, 4, 2)), np.empty(0, np.int64))

    images = [np.zeros((64, 64, 3), np.uint8)] * 3
    missing = np.full((4, 2), np.nan)
    with pytest.raises(DataError, match="finds nothing"):
        learn_scorer(detect, images, [np.eye(4, 2), missing, np.stack([missing, np.eye(4, 2)])])
    assert shown[0] == 2


def test_further_objects_of_an_unlabelled_image_do_not_count_as_wrong() -> None:
    """Two discs per image; if the more certain one is painted over, the detection at the other is as good as ever."""
    rng = np.random.default_rng(0)
    corners = np.array([[-8.0, -8], [8, -8], [8, 8], [-8, 8]])

    def stretched(brightness: int) -> np.ndarray:
        return corners * [1 + (brightness - 230) / 50, 1]

    def picture(left: int, right: int) -> np.ndarray:
        rows, columns = np.indices((64, 128))
        pixels = rng.integers(0, 90, (64, 128))
        for x, brightness in ((32, left), (96, right)):
            pixels[np.hypot(columns - x, rows - 32) < 12] = brightness
        return np.repeat(pixels[..., None], 3, axis=2).astype(np.uint8)

    def detect(images: Sequence[object]) -> Detections:
        rows, shapes, owner = [], [], []
        for k, image in enumerate(images):
            for x in (32, 96):
                grey = np.asarray(image)[:, x - 32 : x + 32, 0]
                there = (grey > 200).sum() > 300
                noise = (1.0 if there else 20.0) * rng.uniform(0.9, 1.1, 3)
                rows.append([0.9 if there else 0.3, *(noise * [0.01, 0.7, 0.02])])
                shapes.append(stretched(int(np.median(grey[grey > 200])) if there else 230) + np.array([x, 32]))
                owner.append(k)
        table = np.array(rows).reshape(-1, 4)
        return Detections(DetectionFeatures(*table.T), np.array(shapes).reshape(-1, 4, 2), np.array(owner, dtype=np.int64))

    pairs = rng.integers(210, 250, (36, 2)).tolist()
    images = [picture(*pair) for pair in pairs]
    truth = [
        np.stack([stretched(left) + np.array([32, 32]), stretched(right) + np.array([96, 32])]) for left, right in pairs[:6]
    ]
    scorer = learn_scorer(detect, images[:6], truth, unlabelled=images[6:26])
    assert scorer.probability(detect(images[26:]).features).min() > 0.8
    empty = [rng.integers(0, 90, (64, 128, 3)).astype(np.uint8) for _ in range(10)]
    assert scorer.flagged(detect(empty).features).all()
