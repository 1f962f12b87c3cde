"""Locators learnt on drawn scenes: they find, say where, survive odd images and saving."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brule.data.synthetic import SyntheticScenes, synthetic_scenes
from brule.errors import ConfigError, DataError
from brule.locating import Located, Locator, LocatorSettings, agrees, from_boxes, learn_locator

FAST = LocatorSettings(copies=2, rounds=1)


@pytest.fixture(scope="module")
def scenes() -> SyntheticScenes:
    return synthetic_scenes(40, size=128, side=(0.3, 0.7), rotation=10, seed=5)


@pytest.fixture(scope="module")
def locator(scenes: SyntheticScenes) -> Locator:
    return learn_locator(
        list(scenes.images[:10]), [points[0] for points in scenes.points[:10]], list(scenes.images[10:25]), settings=FAST
    )


def right(found: Located, scenes: SyntheticScenes, first: int) -> list[bool]:
    """For each scene from ``first`` on, whether its best detection is right."""
    hits = []
    for k, boxes in enumerate(scenes.boxes[first:]):
        best = found.of(k)
        hits.append(len(best) > 0 and bool(agrees(from_boxes(best.boxes[:1]), from_boxes(boxes)[0])[0]))
    return hits


def test_finds_most_faces_in_unseen_scenes(locator: Locator, scenes: SyntheticScenes) -> None:
    found = locator.locate(list(scenes.images[25:]), most=1)
    assert sum(right(found, scenes, 25)) >= 12  # of 15; by chance it would be one


def test_detections_come_by_image_and_by_falling_score(locator: Locator, scenes: SyntheticScenes) -> None:
    found = locator.locate(list(scenes.images[25:31]), most=3)
    assert found.image.tolist() == sorted(found.image.tolist())
    for k in range(6):
        scores = found.of(k).score
        assert len(scores) <= 3 and (np.diff(scores) <= 0).all() and (scores >= 0).all() and (scores <= 1).all()
    assert found.best().image.tolist() == [0, 1, 2, 3, 4, 5]


def test_an_image_in_a_batch_gets_the_detections_it_gets_alone(locator: Locator, scenes: SyntheticScenes) -> None:
    images = [scenes.images[30], scenes.images[31][:90], scenes.images[32]]
    together = locator.locate(images, most=2)
    for k, image in enumerate(images):
        alone = locator.locate([image], most=2)
        assert np.allclose(together.of(k).boxes, alone.boxes, atol=0.5)


def test_boxes_are_in_pixels_of_the_image(locator: Locator, scenes: SyntheticScenes) -> None:
    small = locator.locate([scenes.images[26]], most=1).boxes[0]
    large = locator.locate([Image.fromarray(scenes.images[26]).resize((384, 384), Image.Resampling.BICUBIC)], most=1).boxes[0]
    assert np.allclose(3 * (small + 0.5) - 0.5, large, atol=6)


def test_fewer_detections_with_a_threshold(locator: Locator, scenes: SyntheticScenes) -> None:
    images = list(scenes.images[25:31])
    everything, sure = locator.locate(images, most=5), locator.locate(images, most=5, least=0.5)
    assert (sure.score >= 0.5).all() and len(sure) == (everything.score >= 0.5).sum() < len(everything)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (3, 3, 3), (20, 1500), (2500, 2000)])
def test_odd_images_are_survived(locator: Locator, shape: tuple[int, ...]) -> None:
    found = locator.locate([np.zeros(shape, np.uint8)], most=2)
    assert np.isfinite(found.boxes).all() and len(found) <= 2


def test_an_image_that_cannot_be_read_is_named(locator: Locator) -> None:
    with pytest.raises(DataError, match="image 1"):
        locator.locate([np.zeros((9, 9)), np.zeros((9, 9, 7))])
    with pytest.raises(DataError, match=r"nowhere\.png"):
        locator.locate(["nowhere.png"])


def test_saved_and_read_again(locator: Locator, scenes: SyntheticScenes) -> None:
    tensors, facts = locator.state()
    again = Locator.from_state(tensors, json.loads(json.dumps(facts)))
    one, other = (each.locate(list(scenes.images[25:28])) for each in (locator, again))
    assert np.array_equal(one.boxes, other.boxes) and np.array_equal(one.score, other.score)


def test_the_same_seed_learns_the_same(scenes: SyntheticScenes) -> None:
    images, points = list(scenes.images[:3]), [points[0] for points in scenes.points[:3]]
    one, other = (learn_locator(images, points, settings=FAST).filters[0].weights for _ in range(2))
    assert (one == other).all()


def test_many_annotated_images_cost_no_more_than_some(scenes: SyntheticScenes) -> None:
    images, points = list(scenes.images[:8]), [points[0] for points in scenes.points[:8]]
    messages: list[str] = []
    learn_locator(images, points, settings=replace(FAST, annotated=3), progress=messages.append)
    assert "from 3 annotated images" in messages[0]


def test_too_few_annotated_images(scenes: SyntheticScenes) -> None:
    with pytest.raises(DataError, match="3 or more"):
        learn_locator(list(scenes.images[:2]), [points[0] for points in scenes.points[:2]])
    missing = [scenes.points[0][0], scenes.points[1][0], np.full((68, 2), np.nan)]
    with pytest.raises(DataError, match="got 2"):
        learn_locator(list(scenes.images[:3]), missing)


def test_an_annotation_of_another_kind(scenes: SyntheticScenes) -> None:
    with pytest.raises(DataError, match="landmarks"):
        learn_locator(list(scenes.images[:3]), [np.zeros((4, 3))] * 3)
    with pytest.raises(DataError, match="one annotation per image"):
        learn_locator(list(scenes.images[:3]), [np.zeros((4, 2))] * 2)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("cell", 5, "even"),
        ("cell", 6.5, "cell to be a whole number, got 6.5"),
        ("cells", "80", "cells to be a whole number, got '80'"),
        ("step", float("nan"), "step to be a finite number"),
        ("longest", float("inf"), "longest to be a whole number"),
        ("step", 1.0, "step > 1"),
        ("share", 1.5, "share ≤ 1"),
        ("angle_step", 0, "angle_step > 0"),
        ("annotated", 0, "annotated"),
        ("unlabelled", -1, "unlabelled ≥ 0"),
    ],
)
def test_settings_out_of_range(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LocatorSettings(**{name: value})


def test_of_many_images_those_with_an_object_are_drawn_first(scenes: SyntheticScenes) -> None:
    images, missing = list(scenes.images[:12]), np.full((68, 2), np.nan)
    points = [points[0] for points in scenes.points[:3]] + [missing] * 9
    assert len(learn_locator(images, points, settings=replace(FAST, annotated=3, rounds=0)).locate(images[:1], most=1)) == 1


def test_shapes_with_different_numbers_of_landmarks_have_no_mirror_image(scenes: SyntheticScenes) -> None:
    """Without angles only their boxes are needed."""
    images, points = list(scenes.images[:3]), [points[0] for points in scenes.points[:3]]
    points[1] = points[1][:60]
    settings = replace(FAST, rounds=0)
    assert len(learn_locator(images, points, settings=settings, any_rotation=False).locate(images, most=1)) == 3
    with pytest.raises(DataError, match="one number of landmarks"):
        learn_locator(images, points, settings=settings)


def test_only_upright_filters_for_upright_objects_and_all_around_on_request(scenes: SyntheticScenes) -> None:
    images, points = list(scenes.images[:3]), [points[0] for points in scenes.points[:3]]
    settings = LocatorSettings(copies=1, rounds=0, angle_step=90)
    assert [one.angle for one in learn_locator(images, points, settings=settings).filters] == [0]
    every = learn_locator(images, points, settings=settings, any_rotation=True)
    assert sorted(one.angle for one in every.filters) == [-180, -90, 0, 90]


def test_without_symmetric_landmarks_examples_are_not_mirrored() -> None:
    """An object of which only the mirror image is drawn must not be found as surely as the object."""

    def picture(flip: bool, k: int) -> np.ndarray:
        image = np.random.default_rng(k).integers(90, 110, (96, 96), np.uint8)
        image[30 + k : 66 + k, 30:40] = image[56 + k : 66 + k, 30:66] = 250  # the letter L
        return image[:, ::-1] if flip else image

    corner = np.array([[29.0, 29.0], [29.0, 66.0], [66.0, 66.0], [40.0, 29.0], [40.0, 55.0]])
    images, points = [picture(False, k) for k in range(4)], [corner + np.array([0, k]) for k in range(4)]
    tried = [picture(False, 5), picture(True, 5)]
    one, other = (learn_locator(images, points, mirror=mirror).locate(tried, most=1).score for mirror in (None, True))
    assert one[0] > one[1] + 0.2
    assert other[0] == pytest.approx(other[1], abs=0.1)


def test_several_objects_in_one_image_are_found() -> None:
    scenes = synthetic_scenes(26, size=160, objects=2, side=(0.3, 0.4), rotation=5, seed=8)
    images, points = list(scenes.images), scenes.points
    found = learn_locator(images[:8], points[:8], images[8:18], settings=FAST).locate(images[18:], most=2)
    truth = [from_boxes(boxes) for boxes in scenes.boxes[18:]]
    hits = [agrees(from_boxes(found.of(k).boxes), place).any() for k, places in enumerate(truth) for place in places]
    assert sum(hits) >= 12  # of 16; learnt from one object an image, the second would be background


def test_an_object_that_fills_its_images() -> None:
    scenes = synthetic_scenes(10, size=96, side=(0.9, 1.0), rotation=5, seed=4)
    locator = learn_locator(list(scenes.images[:6]), [points[0] for points in scenes.points[:6]], settings=FAST)
    assert locator.framing.smallest >= 0.6
    assert sum(right(locator.locate(list(scenes.images[6:]), most=1), scenes, 6)) >= 3


def test_unlabelled_images_without_anything_do_no_harm(scenes: SyntheticScenes) -> None:
    images, points = list(scenes.images[:3]), [points[0] for points in scenes.points[:3]]
    blank = [np.zeros((1, 700), np.uint8), np.zeros((90, 90), np.uint8)]
    assert len(learn_locator(images, points, blank, settings=FAST).locate(images, most=1)) == 3
