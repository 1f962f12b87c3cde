"""A guess beats the mean shape, and knows nothing of where in the file an image is."""

from __future__ import annotations

import numpy as np
import pytest

from brule.annotating.examples import Example
from brule.annotating.guessing import (
    GuessModel,
    _learnt,
    _maps,
    _View,
    held_out_errors,
    mean_guess,
    point_error,
)
from brule.annotating.statistics import ShapeStatistics
from brule.annotating.template import BUILT_IN
from brule.data.synthetic import synthetic_faces

PAIRS = BUILT_IN["face68"][1].pairs


def drawn(n: int, *, size: int = 128, start: int = 0) -> list[Example]:
    faces = synthetic_faces(n, size=size, seed=5, start=start)
    greys = faces.images.mean(-1).astype(np.uint8)
    return [Example(grey, (size, size), points.astype(np.float64)) for grey, points in zip(greys, faces.points, strict=True)]


@pytest.fixture(scope="module")
def model() -> GuessModel:
    found = GuessModel.fit(drawn(5), pairs=PAIRS)
    assert found is not None
    return found


def test_it_beats_the_mean_shape_on_faces_it_has_not_seen(model: GuessModel) -> None:
    errors, constant = [], []
    for one in drawn(12, start=100):
        assert one.points is not None
        errors.append(point_error(model.guess(one).points, one.points))
        constant.append(point_error(mean_guess(model.statistics, model.pose_prior, one.size), one.points))
    assert np.mean(errors) < 0.6 * np.mean(constant)


def test_the_same_image_twice_as_large_has_the_same_landmarks(model: GuessModel) -> None:
    (one,) = drawn(1, start=120)
    twice = Example(one.grey, (256, 256))  # what it sees is the same; only the size it stands for differs
    found, larger = model.guess(one).points, model.guess(twice).points
    np.testing.assert_allclose(larger + 0.5, 2 * (found + 0.5), atol=1.0)


def test_two_images_are_too_few() -> None:
    assert GuessModel.fit(drawn(2), pairs=PAIRS) is None


def test_missing_points_do_no_harm() -> None:
    examples = drawn(4)
    holed = [
        Example(one.grey, one.size, np.where(np.arange(68)[:, None] == k, np.nan, one.points)) for k, one in enumerate(examples)
    ]
    found = GuessModel.fit(holed)
    assert found is not None and np.isfinite(found.guess(examples[0]).points).all()


@pytest.mark.slow
def test_held_out_errors_say_which_guess_is_better() -> None:
    errors = held_out_errors(drawn(9), pairs=PAIRS)
    assert np.isfinite([errors["mean"], errors["model"]]).all()
    assert np.mean(errors["model"]) < np.mean(errors["mean"])


def test_a_step_corrects_what_all_starts_have_in_common_even_in_flat_images() -> None:
    examples = drawn(4)
    truths = np.stack([one.annotated() for one in examples])
    statistics = ShapeStatistics.of(truths)
    assert statistics is not None
    maps = [_maps(Example(np.full_like(one.grey, 90), one.size), 30.0) for one in examples]  # no gradient anywhere
    view = _View(maps, np.arange(68), 0, 0.5)
    starts = np.stack([points + statistics.poses[k].matrix[0] * 0.2 for k, points in enumerate(truths)])
    stage, moved = _learnt(view, starts, truths, statistics=statistics)
    assert np.abs(starts - truths).max() > 1
    np.testing.assert_allclose(moved, truths, atol=0.35)  # poses are fitted to the starts, so not all steps are the same
    np.testing.assert_allclose(stage.weights, 0, atol=1e-9)
