"""From whole images to answers: rows and order, boxes that win, the choice among candidates, several objects."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from brule.data import CROP_SCALE, Box, Picture, Sample
from brule.detector.finding import find_all
from brule.detector.items import Item
from brule.detector.landmarks import joined
from brule.detector.predicting import Finder, PredictOptions
from brule.detector.refinement import CropFrame
from brule.errors import ConfigError, DataError
from brule.locating import DetectionScorer, Framing, Located, from_boxes
from brule.model import CropLandmarks
from tests.detector.marks import SHAPE, marks_at, read_marks, scene

ONE, TWO = (50.0, 40.0, 30.0, 0.0), (115.0, 75.0, 36.0, 0.0)
# Right where the spread is small: read_marks answers 0.01 of the crop where it sees the object, and 0.3 elsewhere.
SCORER = DetectionScorer(np.zeros(4), np.ones(4), np.array([0.0, 0.0, 0.0, -3.0]), -6.0, 0.5)


class Reader:
    """Reads marks, and counts the crops that it was given."""

    def __init__(self) -> None:
        self.model = SimpleNamespace(barycenter=torch.from_numpy(SHAPE))
        self.shapes = SimpleNamespace(prior=None)
        self.read_crops = 0

    def read(self, crops: np.ndarray, *, views: int = 1) -> CropLandmarks:
        self.read_crops += len(crops)
        return read_marks(crops)


class Candidates:
    """A locator whose answers are known beforehand: for each size of image, boxes from the surest on."""

    settings = SimpleNamespace(reach=0.7)
    framing = SimpleNamespace(smallest=0.5)
    longest = 100

    def __init__(self, answers: dict[tuple[int, int], list[tuple[Box, float]]]) -> None:
        self.answers = answers
        self.angles: list[float] = []

    def locate(self, images: list[Any], *, most: int, least: float, device: str) -> Located:
        rows = [
            (*box, score, k)
            for k, image in enumerate(images)
            for box, score in self.answers.get(image.size, [])[:most]
            if score >= least
        ]
        table = np.array(rows).reshape(-1, 6)
        angles = np.array(self.angles) if self.angles else np.zeros(len(table))
        return Located(table[:, :4], angles, table[:, 4], table[:, 5].astype(int))


def box_about(x: float, y: float, side: float) -> Box:
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def item(picture: Picture, index: int = 0, box: Box | None = None) -> Item:
    return Item(index, Sample(Path(f"{index}.png"), box=box), picture)


def finder(
    *candidates: tuple[Box, float], size: tuple[int, int] = (160, 120), scorer: DetectionScorer | None = SCORER
) -> Finder:
    locator: Any = Candidates({size: list(candidates)})
    reader: Any = Reader()
    return Finder(reader, 48, CROP_SCALE, CropFrame(CROP_SCALE), locator, scorer)


def test_a_box_that_is_off_by_a_third_is_mended() -> None:
    found = finder((box_about(58, 46, 38), 0.9)).find([item(scene(ONE))], PredictOptions())[1]
    np.testing.assert_allclose(found.points[0], marks_at(*ONE), atol=0.7)
    np.testing.assert_allclose(found.box[0], box_about(50, 40, 30), atol=1.5)
    assert not found.flagged[0] and found.score[0] > 0.9 and found.angle[0] == 0


def test_one_row_an_image_in_the_order_of_the_images() -> None:
    """Of three images the first has no candidate at all, the others one each; a batch needn't begin with image 0."""
    seeker = finder((box_about(50, 40, 30), 0.9))
    pictures = [scene(ONE, size=(90, 90)), scene(ONE), scene(ONE)]
    rows, found = seeker.find([item(one, 7 + k) for k, one in enumerate(pictures)], PredictOptions())
    assert found.image.tolist() == [7, 8, 9] == [one.index for one in rows]
    assert found.flagged.tolist() == [True, False, False]
    assert torch.isnan(found.points[0]).all() and torch.isnan(found.score[0]) and torch.isfinite(found.points[1:]).all()


def test_a_given_box_wins_over_the_locator() -> None:
    seeker = finder((box_about(50, 40, 30), 0.9))
    _, found = seeker.find([item(scene(ONE, TWO), box=box_about(115, 75, 36))], PredictOptions())
    np.testing.assert_allclose(found.points[0], marks_at(*TWO), atol=0.7)
    assert not found.flagged[0]


def test_inside_a_given_box_passes_are_made_on_request_alone() -> None:
    seeker = finder()
    off = item(scene(ONE), box=box_about(53, 40, 30))
    plain = seeker.find([off], PredictOptions())[1]
    np.testing.assert_allclose(plain.box[0], off.sample.box)
    refined = seeker.find([off], PredictOptions(refine=1))[1]
    np.testing.assert_allclose(refined.box[0], box_about(50, 40, 30), atol=1.0)


def test_another_candidate_is_taken_where_the_surest_looks_wrong() -> None:
    empty = (box_about(120, 90, 30), 0.95)
    _, found = finder(empty, (box_about(52, 42, 32), 0.3)).find([item(scene(ONE))], PredictOptions())
    np.testing.assert_allclose(found.points[0], marks_at(*ONE), atol=0.7)
    assert not found.flagged[0]
    _, lost = finder(empty).find([item(scene(ONE))], PredictOptions())
    assert lost.flagged[0] and torch.isfinite(lost.points[0]).all()


def test_between_two_objects_the_locator_decides() -> None:
    """Both answers are good; the second is even steadier, but the locator is surer of the first."""
    seeker = finder((box_about(52, 42, 33), 0.9), (box_about(115, 75, 36), 0.8))
    assert torch.allclose(
        seeker.find([item(scene(ONE, TWO))], PredictOptions())[1].points[0], torch.tensor(marks_at(*ONE)).float(), atol=0.7
    )


def usual_at(x: float, y: float) -> Framing:
    return Framing(0.2, 0.25, 0.3, x=x, y=y, aspect=1.0, images=10, variance=(0.002, 0.002, 0.01))


def test_between_two_objects_the_usual_place_decides() -> None:
    both = finder((box_about(50, 40, 30), 0.99), (box_about(115, 75, 36), 0.9))
    for framing, wanted in ((usual_at(50 / 160, 40 / 120), ONE), (usual_at(115 / 160, 75 / 120), TWO)):
        found = replace(both, framing=framing).find([item(scene(ONE, TWO))], PredictOptions())[1]
        np.testing.assert_allclose(found.points[0], marks_at(*wanted), atol=0.7)


def test_a_usual_place_without_an_object_is_not_the_answer() -> None:
    seeker = finder((box_about(50, 40, 30), 0.9), (box_about(115, 75, 36), 0.85))
    framed = replace(seeker, framing=usual_at(115 / 160, 75 / 120))
    found = framed.find([item(scene(ONE))], PredictOptions())[1]
    np.testing.assert_allclose(found.points[0], marks_at(*ONE), atol=0.7)
    assert not found.flagged[0]


def test_where_all_are_asked_for_the_place_has_no_part() -> None:
    both = finder((box_about(50, 40, 30), 0.99), (box_about(115, 75, 36), 0.9))
    framed = replace(both, framing=usual_at(115 / 160, 75 / 120))
    plain, other = (one.find([item(scene(ONE, TWO))], PredictOptions(objects="all"))[1] for one in (both, framed))
    assert torch.equal(plain.points, other.points) and torch.equal(plain.score, other.score)


def test_further_candidates_cost_nothing_where_the_first_is_good() -> None:
    seeker = finder((box_about(50, 40, 30), 0.9), (box_about(120, 90, 30), 0.2), (box_about(20, 90, 30), 0.1))
    seeker.find([item(scene(ONE))], PredictOptions(refine=1))
    assert seeker.reader.read_crops == 2  # type: ignore[attr-defined]


def test_without_a_scorer_the_locator_decides() -> None:
    seeker = finder((box_about(120, 90, 30), 0.95), (box_about(50, 40, 30), 0.3), scorer=None)
    _, found = seeker.find([item(scene(ONE))], PredictOptions())
    assert found.score[0] == pytest.approx(0.95) and not found.flagged[0]


def test_no_refinement_pass_is_no_reason_to_flag() -> None:
    scorer = replace(SCORER, weights=np.array([0.0, -1.0, 0.0, -3.0]))
    seeker = finder((box_about(50, 40, 30), 0.9), scorer=scorer)
    assert not seeker.find([item(scene(ONE))], PredictOptions(refine=0))[1].flagged[0]


def test_every_object_once() -> None:
    """Three candidates drift to two objects; the fourth shows nothing; each image keeps its own."""
    candidates = [
        (box_about(50, 40, 30), 0.9),
        (box_about(58, 45, 34), 0.8),
        (box_about(112, 72, 40), 0.7),
        (box_about(20, 90, 30), 0.2),
    ]
    seeker = finder(*candidates)
    items = [item(scene(ONE, TWO), 0), item(scene(size=(90, 90)), 1), item(scene(ONE, TWO), 2)]
    rows, found = seeker.find(items, PredictOptions(objects="all"))
    assert found.image.tolist() == [0, 0, 2, 2] and [one.index for one in rows] == [0, 0, 2, 2]
    for image in (0, 2):
        points = found.of(image).points.numpy()
        order = np.argsort(points[:, 0, 0])
        np.testing.assert_allclose(points[order], [marks_at(*ONE), marks_at(*TWO)], atol=0.8)


def test_an_unlikely_place_counts_where_its_answer_is_good() -> None:
    """With a scorer the answers decide; without one, the locator has to be sure."""
    candidates = [(box_about(50, 40, 30), 0.9), (box_about(115, 75, 36), 0.1)]
    for scorer, count in ((SCORER, 2), (None, 1)):
        _, found = finder(*candidates, scorer=scorer).find([item(scene(ONE, TWO))], PredictOptions(objects="all"))
        assert len(found) == count and not found.flagged.any()


def test_flagged_answers_are_kept_or_dropped_as_asked() -> None:
    """One candidate shows the object, one nothing; an image without an object has one row of ``best`` all the same."""
    candidates = [(box_about(50, 40, 30), 0.9), (box_about(120, 90, 30), 0.8)]
    counts = {}
    for objects in ("best", "all"):
        for flagged in ("auto", "keep", "drop"):
            options = PredictOptions(objects=objects, flagged=flagged)  # type: ignore[arg-type]
            _, found = finder(*candidates).find([item(scene(ONE), 0), item(scene(), 1)], options)
            counts[objects, flagged] = [int((found.image == k).sum()) for k in (0, 1)]
            lost = torch.isnan(found.points).all(dim=(1, 2))
            assert found.flagged[found.image == 1].all()
            assert lost.any() == (objects == "best" and flagged == "drop")
    assert counts["best", "auto"] == counts["best", "keep"] == counts["best", "drop"] == [1, 1]
    assert counts["all", "auto"] == counts["all", "drop"] == [1, 0]
    assert counts["all", "keep"] == [2, 2]
    with pytest.raises(ConfigError, match="flagged: expected 'auto', 'keep' or 'drop'"):
        PredictOptions(flagged="mark")  # type: ignore[arg-type]


def test_at_most_as_many_objects_as_were_asked_for() -> None:
    seeker = finder((box_about(50, 40, 30), 0.9), (box_about(115, 75, 36), 0.7))
    _, found = seeker.find([item(scene(ONE, TWO))], PredictOptions(objects="all", most=1))
    assert len(found) == 1
    with pytest.raises(ConfigError, match="most: expected 1 or more"):
        PredictOptions(most=0)


def test_without_a_locator_images_are_cut_as_the_annotated_ones_are_framed() -> None:
    """The object is expected at the annotated size and place, and found beside it by refinement."""
    framing = Framing(smallest=0.2, typical=0.25, largest=0.3, x=0.3, y=0.3, aspect=1.0, images=5)
    seeker = replace(finder(), locator=None, scorer=None, framing=framing)
    _, found = seeker.find([item(scene(ONE))], PredictOptions())
    np.testing.assert_allclose(found.points[0], marks_at(*ONE), atol=0.7)


def test_without_anything_the_whole_image_is_read() -> None:
    seeker = replace(finder(), locator=None, scorer=None, passes=0)
    _, found = seeker.find([item(scene((80.0, 60.0, 90.0, 0.0)))], PredictOptions())
    np.testing.assert_allclose(found.box[0], [-0.5, -20.5, 159.5, 139.5])
    np.testing.assert_allclose(found.points[0], marks_at(80.0, 60.0, 90.0, 0.0), atol=1.5)


def test_a_turned_object_is_answered_with_its_angle() -> None:
    turned = (60.0, 60.0, 40.0, 30.0)
    seeker = replace(finder((box_about(60, 60, 40), 0.9)), upright=SHAPE)
    _, found = seeker.find([item(scene(turned))], PredictOptions())
    assert found.angle[0] == pytest.approx(30.0, abs=2.0)
    np.testing.assert_allclose(found.points[0], marks_at(*turned), atol=0.7)
    np.testing.assert_allclose(from_boxes(found.box.numpy())[0, 2:4], [40, 40], atol=2)


def test_images_are_decoded_no_larger_than_crops_and_search_need() -> None:
    """By hand: a given box of 400 px needs crops of 520 px, of which 96 (2 × 48) are enough."""
    seeker = finder()
    assert seeker.decoding(Sample(Path("a"), box=(0, 0, 400, 300)), 4000, 3000) == pytest.approx(96 / 520)
    # Without a box: the locator looks at 100 px, the smallest object's crop is 1.3 · 0.7 · 0.5 of the image's longer side.
    assert seeker.decoding(Sample(Path("a")), 4000, 3000) == pytest.approx(1.25 * 48 / (1.3 * 0.35) / 4000)


def test_passes_end_once_an_answer_no_longer_moves() -> None:
    """The box is exact, so the first pass moves nothing; another image's goes on."""
    seeker = finder((box_about(50, 40, 30), 0.9))
    seeker.find([item(scene(ONE))], PredictOptions(refine=5))
    assert seeker.reader.read_crops == 2  # type: ignore[attr-defined]
    off = finder((box_about(56, 44, 30), 0.9))
    _, found = off.find([item(scene(ONE)), item(scene(ONE), 1)], PredictOptions(refine=5))
    assert 6 <= off.reader.read_crops < 12  # type: ignore[attr-defined]
    np.testing.assert_allclose(found.box[0], box_about(50, 40, 30), atol=0.5)


def test_threads_change_neither_answers_nor_their_order() -> None:
    pictures = [scene((40.0 + 3 * k, 50.0, 30.0, 0.0)) for k in range(11)]
    seeker = finder((box_about(55, 50, 60), 0.9))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            batches = list(find_all(seeker, (item(one, k) for k, one in enumerate(pictures)), PredictOptions(batch_size=6)))
            assert max(len(found) for _, found in batches) == (6 if threads == 1 else 2)
            results.append(joined([found for _, found in batches]))
    finally:
        torch.set_num_threads(before)
    assert results[0].image.tolist() == results[1].image.tolist() == list(range(11))
    assert torch.equal(results[0].points, results[1].points)


def test_an_unreadable_image_ends_threads_too() -> None:
    def images() -> Iterator[Item]:
        yield item(scene(ONE))
        raise DataError("the second image is broken")

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(DataError, match="second image"):
            list(find_all(finder((box_about(50, 40, 30), 0.9)), images(), PredictOptions()))
    finally:
        torch.set_num_threads(before)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("brule-find")]


def test_the_angle_in_a_given_box_is_that_of_the_place_that_overlaps_it() -> None:
    """A turned object's box is given; of the locator's places one overlaps it, another is surer."""
    turned = (60.0, 60.0, 40.0, 120.0)
    seeker = replace(finder((box_about(125, 30, 30), 0.9), (box_about(62, 58, 42), 0.5)), upright=SHAPE)
    seeker.locator.angles = [0.0, 110.0]  # type: ignore[union-attr]
    _, found = seeker.find([item(scene(turned), box=box_about(60, 60, 40))], PredictOptions())
    assert found.angle[0] == pytest.approx(110.0)
    stated = Item(0, Sample(Path("0.png"), box=box_about(60, 60, 40), angle=123.0), scene(turned))
    assert seeker.find([stated], PredictOptions())[1].angle[0] == pytest.approx(123.0)


def test_no_images_have_no_answers() -> None:
    """A detector that learnt from annotated images alone has no unlabelled ones to learn its scorer from."""
    found = finder((box_about(50, 40, 30), 0.9)).detections([], PredictOptions())
    assert len(found.features) == len(found.image) == 0 and found.points.shape == (0, len(SHAPE), 2)
