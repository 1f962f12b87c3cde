"""Errors in millimetres, where every image has a scale."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from brule.data import CropCache, Sample, SampleList
from brule.evaluation import CropPredictions, Evaluation, evaluate_points
from brule.evaluation.reports import Shown, read_evaluation, write_evaluation
from brule.evaluation.reports.files import metrics_json, per_image_csv
from brule.evaluation.reports.rows import figure_rows

TRUTH = np.array([[0.2, 0.2], [0.8, 0.2], [0.5, 0.8]])
# The first landmark is off by 3 and 4 pixels of a crop of 100, the others are exact.
OFF = TRUTH + np.array([[0.03, 0.04], [0, 0], [0, 0]])
SQUARE = np.array([0.0, 0.0, 100.0, 100.0], dtype=np.float32)


def evaluated(*spacings: tuple[float, float] | None, scale: float = 1.0) -> Evaluation:
    """Images of the same truth and answer; their crops are ``scale`` times 100 pixels."""
    samples = [Sample(Path(f"{i}.png"), points=TRUTH, spacing=spacing) for i, spacing in enumerate(spacings)]
    count = len(samples)
    cache = CropCache(
        np.zeros((count, 4, 4, 3), np.uint8),
        np.tile(scale * SQUARE, (count, 1)),
        np.tile(TRUTH, (count, 1, 1)),
        SampleList(samples),
    )
    return evaluate_points(CropPredictions(np.tile(OFF, (count, 1, 1))), cache, barycenter=TRUTH + 0.1)


def test_pixels_of_different_width_and_height() -> None:
    """3 px of 0.1 mm and 4 px of 0.2 mm: √(0.3² + 0.8²) = 0.8544 mm, over three landmarks 0.2848."""
    found = evaluated((0.1, 0.2), (0.1, 0.2))
    assert found.scores.nme_mm == pytest.approx(0.2848, abs=1e-4)
    assert found.scores.nme_px == pytest.approx(5 / 3)


def test_images_of_different_scale() -> None:
    """5 px of 0.1 mm and 5 px of 0.4 mm over three landmarks: 0.1667 and 0.6667, 0.4167 on average."""
    found = evaluated((0.1, 0.1), (0.4, 0.4))
    np.testing.assert_allclose(found.per_image.mm, [0.5 / 3, 2 / 3], rtol=1e-6)
    assert found.scores.nme_mm == pytest.approx(2.5 / 6)


def test_the_size_of_the_crop_counts() -> None:
    assert evaluated((0.1, 0.1), scale=3).scores.nme_mm == pytest.approx(3 * 0.5 / 3)


def test_some_without_a_scale() -> None:
    """No mean in millimetres then; the images that have one keep theirs."""
    found = evaluated((0.1, 0.1), None)
    assert found.scores.nme_mm is None and found.to_dict()["nme_mm"] is None
    assert "nme_mm" not in found.scores.figures
    rows = list(csv.DictReader(io.StringIO(per_image_csv(found))))
    assert [row["nme_mm"] for row in rows] == ["0.166667", ""]


def test_none_has_a_scale() -> None:
    found = evaluated(None, None)
    assert found.per_image.mm is None and "nme_mm" not in per_image_csv(found)


def test_files_and_rows_show_them_and_a_comparison_reads_them(tmp_path: Path) -> None:
    found = evaluated((0.1, 0.1), (0.4, 0.4))
    (row,) = [row for row in figure_rows(found) if "millimetres" in row.label]
    assert row.values[0][0] == "0.417 mm"
    # The floor is off by 10 px along both axes: 14.142 px of 0.25 mm on average.
    assert row.floor == "3.536 mm"
    assert json.loads(metrics_json(found.to_dict()))["nme_mm"] == pytest.approx(2.5 / 6)
    picture = Shown(np.zeros((64, 64, 3), np.uint8))
    write_evaluation(
        tmp_path, found, title="t", summary="s", crop=lambda i: picture, facts=[], details={"run": "r"}, commands=[]
    )  # fmt: skip
    assert "0.417 mm" in (tmp_path / "index.html").read_text()
    again = read_evaluation(tmp_path)
    np.testing.assert_allclose(again.errors.mm, [0.5 / 3, 2 / 3], atol=1e-6)
    assert "mm" not in again.regions
    assert replace(again, run="x").only([1]).errors.mm == pytest.approx([2 / 3])
