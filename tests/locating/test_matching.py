"""Object keypoint similarity by hand; pairs; precision and recall."""

from __future__ import annotations

import math

import numpy as np
import pytest

from brule.errors import DataError
from brule.locating import DetectionCounts, count_detections, match_objects, object_similarity

SHAPE = np.array([[0.0, 0.0], [100.0, 0.0], [50.0, 40.0]])  # longer side 100


def test_similarity_by_hand() -> None:
    # One of three landmarks is off by 10 = κ · 100: exp(-1/2).
    off = SHAPE + np.array([[0, 0], [0, 10], [0, 0]])
    assert object_similarity(off[None], SHAPE[None])[0, 0] == pytest.approx((2 + math.exp(-0.5)) / 3)
    assert object_similarity(SHAPE[None], SHAPE[None])[0, 0] == 1


def test_similarity_does_not_depend_on_the_unit() -> None:
    off = SHAPE + 7
    assert object_similarity(off[None], SHAPE[None]) == pytest.approx(object_similarity(3 * off[None], 3 * SHAPE[None]))


def test_missing_landmarks_are_passed_over_and_too_few_match_nothing() -> None:
    missing, single = SHAPE.copy(), SHAPE.copy()
    missing[2], single[1:] = np.nan, np.nan
    off = SHAPE + np.array([[0, 0], [0, 0], [90, 90]])
    assert object_similarity(off[None], np.stack([missing, single])).tolist() == [[1, 0]]


def test_different_numbers_of_landmarks_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(1, 3, 2\) and \(1, 2, 2\)"):
        object_similarity(SHAPE[None], SHAPE[None, :2])


def test_the_surest_chooses_first() -> None:
    similarity = np.array([[0.6, 0.9], [0.7, 0.95], [0.4, 0.3]])
    assert match_objects(similarity).tolist() == [[0, 1], [1, 0]]
    assert match_objects(similarity, scores=np.array([0.1, 0.9, 0.5])).tolist() == [[1, 1], [0, 0]]
    assert match_objects(similarity, least=0.8).tolist() == [[0, 1]]


@pytest.mark.parametrize(("found", "annotated"), [(0, 0), (2, 0), (0, 3)])
def test_nothing_to_match(found: int, annotated: int) -> None:
    assert match_objects(np.zeros((found, annotated))).shape == (0, 2)
    counts = count_detections(np.zeros((found, 3, 2)), np.zeros((annotated, 3, 2)))
    assert (counts.matched, counts.found, counts.annotated) == (0, found, annotated)


def test_two_detections_on_one_object_count_once() -> None:
    truth = np.stack([SHAPE, SHAPE + 300])
    counts = count_detections(np.stack([SHAPE, SHAPE + 1]), truth) + count_detections(truth, truth)
    assert counts == DetectionCounts(matched=3, found=4, annotated=4)
    assert (counts.precision, counts.recall) == (0.75, 0.75)


def test_no_objects_no_figures() -> None:
    assert math.isnan(DetectionCounts().precision) and math.isnan(DetectionCounts().recall)
