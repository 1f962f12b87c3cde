"""The lists that ``brule predict`` writes: names, scales, and names of strangers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from brule.cli.predicted_files import Described, LandmarkList, LandmarkTable, Prediction
from brule.data import read_annotations

POINTS = np.array([[12.0, 50.0], [88.0, 22.25]])


def prediction(spacing: tuple[float, float] | None = None) -> Prediction:
    return Prediction(points=POINTS, spread=np.array([1.0, 2.0]), score=0.875, flagged=False, spacing=spacing)


def written(folder: Path, known: Described, *predictions: tuple[str, Prediction]) -> tuple[list[list[str]], dict]:
    with (
        LandmarkTable(folder / "landmarks.csv", True, known) as table,
        LandmarkList(folder / "landmarks.json", True, known) as listing,
    ):
        for name, own in predictions:
            table.add(Path(name), own)
            listing.add(Path(name), own)
    with (folder / "landmarks.csv").open(newline="") as file:
        return list(csv.reader(file)), json.loads((folder / "landmarks.json").read_text())


def test_landmarks_without_names_are_numbered(tmp_path: Path) -> None:
    rows, listing = written(tmp_path, Described(2), ("a.png", prediction()))
    assert rows == [
        ["path", "x0", "y0", "x1", "y1", "spread", "score", "flagged"],
        ["a.png", "12.000", "50.000", "88.000", "22.250", "1.500", "0.875", "0"],
    ]
    assert "names" not in listing and "mm_per_pixel" not in listing["images"][0]


def test_names_and_scales(tmp_path: Path) -> None:
    known = Described(2, ("base", "tip"), measured=True)
    rows, listing = written(tmp_path, known, ("a.png", prediction((0.05, 0.1))), ("b.png", prediction()))
    assert rows[0][1:5] == ["base_x", "base_y", "tip_x", "tip_y"] and rows[0][-2:] == ["pixel_width_mm", "pixel_height_mm"]
    assert [row[-2:] for row in rows[1:]] == [["0.05", "0.1"], ["", ""]]
    assert listing["names"] == ["base", "tip"]
    assert listing["images"][0]["mm_per_pixel"] == [0.05, 0.1] and "mm_per_pixel" not in listing["images"][1]


def test_a_flagged_prediction_has_no_expected_error(tmp_path: Path) -> None:
    """An uncalibrated spread claims none, so it stays."""
    for calibrated in (True, False):
        wrong = Prediction(points=POINTS, spread=np.array([1.0, 2.0]), score=0.1, flagged=True)
        rows, listing = written(tmp_path, Described(2, calibrated=calibrated), ("a.png", prediction()), ("b.png", wrong))
        assert [row[5] for row in rows[1:]] == ["1.500", "" if calibrated else "1.500"]
        assert [one["spread"] for one in listing["images"]] == [[1.0, 2.0], None if calibrated else [1.0, 2.0]]
        assert "flagged predictions" in listing["spread"] or not calibrated


def test_names_of_strangers_come_back(tmp_path: Path) -> None:
    """A spreadsheet runs none of them; brule reads them as they were."""
    names = ["=cmd()_1.png", "+a.png", "-b.png", "@c.png", 'd",e.png']
    rows, _ = written(tmp_path, Described(2, ("=base", "tip")), *((name, prediction()) for name in names))
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    for name in ("landmarks.csv", "landmarks.json"):
        found = read_annotations(tmp_path / name)
        assert [item.image for item in found.items] == names and found.layout.names == ("=base", "tip")
        np.testing.assert_allclose(found.items[0].points, POINTS)
