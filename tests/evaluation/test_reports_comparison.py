"""Matching the images of several evaluations: by path or file name, objects of an image by their order."""

from __future__ import annotations

import numpy as np
import pytest

from brule.errors import DataError
from brule.evaluation import ImageErrors
from brule.evaluation.reports import ComparisonReport, StoredEvaluation


def stored(names: list[str], nme: list[float], *, run: str = "run", normaliser: str = "eyes") -> StoredEvaluation:
    errors = ImageErrors(np.array(nme), np.array(nme), np.array(nme))
    floor = ImageErrors(np.full(len(nme), 30.0), np.full(len(nme), 30.0), np.full(len(nme), 30.0))
    return StoredEvaluation(names, errors, floor, {}, normaliser, run)


def test_every_object_of_an_image_counts() -> None:
    names = ["a.png", "b.png", "a.png"]
    first = stored(names, [1.0, 2.0, 30.0], run="one")
    report = ComparisonReport.of([first, stored(names, [2.0, 3.0, 31.0], run="two")])
    assert report.names == names and report.left_out == 0
    assert report.candidates[0].scores.nme == pytest.approx(11.0)
    assert report.differences["nme"][0].difference == pytest.approx(1.0)


def test_objects_are_matched_by_their_order_though_images_lie_elsewhere() -> None:
    first = stored(["x/a.png", "x/a.png", "x/b.png"], [1.0, 5.0, 2.0], run="one")
    second = stored(["y/b.png", "y/a.png", "y/a.png", "y/c.png"], [2.0, 1.0, 5.0, 9.0], run="two")
    report = ComparisonReport.of([first, second])
    assert report.candidates[1].found.errors.nme.tolist() == [1.0, 5.0, 2.0]
    assert report.left_out == 1


def test_images_with_one_file_name_in_two_folders_are_counted_as_left_out() -> None:
    first = stored(["x/1/a.png", "x/2/a.png", "x/b.png", "x/c.png"], [1.0, 2.0, 3.0, 4.0], run="one")
    second = stored(["y/1/a.png", "y/2/a.png", "y/b.png", "y/c.png"], [1.0, 2.0, 3.0, 4.0], run="two")
    report = ComparisonReport.of([first, second])
    assert report.names == ["x/b.png", "x/c.png"] and report.left_out == 4


def test_another_number_of_objects_is_refused() -> None:
    with pytest.raises(DataError, match=r"a\.png has different numbers of objects \(one: 2, two: 1\)"):
        ComparisonReport.of([stored(["a.png", "a.png"], [1.0, 2.0], run="one"), stored(["a.png"], [1.0], run="two")])


def test_one_run_measured_in_two_ways_is_refused() -> None:
    images = ["a.png", "b.png"]
    with pytest.raises(DataError, match=r"different distances \(run: eyes, run: pupils\)"):
        ComparisonReport.of([stored(images, [1.0, 2.0]), stored(images, [1.0, 2.0], normaliser="pupils")])
