"""``brule calibrate``, and what it changes in ``brule predict`` and ``brule evaluate``."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_calibrate_then_predict_by_rank(brule, run: Path, faces: Path, tmp_path: Path) -> None:
    before = brule("predict", run, faces / "test", "-o", tmp_path / "before", "--no-overlays", "--rank")
    assert before.code == 0 and "isn't calibrated" in before.err
    found = brule("calibrate", run, "--data", faces / "images", "--tta", 2)
    assert found.code == 0, found.err
    assert "correlation" in found.out and "least sure quarter" in found.out and "images   12" in found.out
    content = json.loads((run / "calibration.json").read_text())
    assert [one["views"] for one in content["maps"]] == [1, 2] and content["images"] == 12
    out = tmp_path / "after"
    after = brule("predict", run, faces / "test", "-o", out, "--no-overlays", "--rank", "--tta", 2)
    assert after.code == 0 and "calibrated" not in after.err, after.err
    with (out / "rank.csv").open() as file:
        rows = list(csv.DictReader(file))
    uncertainties = [float(row["uncertainty"]) for row in rows]
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5", "6"] and uncertainties == sorted(
        uncertainties, reverse=True
    )
    listing = json.loads((out / "landmarks.json").read_text())
    assert listing["spread"].startswith("expected distance")
    spreads = {entry["path"]: entry["spread"] for entry in listing["images"]}
    for row in rows:
        own = spreads[row["path"]]
        assert float(row["expected_error_px"]) == pytest.approx(sum(own) / len(own), abs=2e-3)
        assert own[int(row["worst_landmark"])] == max(own)
    first = next(line for line in after.out.splitlines() if "%" in line and "px" in line and ".png" in line)
    assert rows[0]["path"] in first
    assert brule("predict", run, faces / "test", "-o", out, "--tta", 3).code == 2


def test_without_calibration_no_error_is_claimed(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    assert brule("predict", trained, faces / "test", "-o", tmp_path, "--no-overlays", "--rank").code == 0
    with (tmp_path / "rank.csv").open() as file:
        assert {row["expected_error_px"] for row in csv.DictReader(file)} == {""}
    assert "standard deviation" in json.loads((tmp_path / "landmarks.json").read_text())["spread"]
    assert not (tmp_path / "b" / "rank.csv").exists()


def test_evaluate_averages_several_views(brule, trained: Path, faces: Path, tmp_path: Path) -> None:
    found = brule("evaluate", trained, "--data", faces / "test", "--views", 2, "-o", tmp_path, "--json", tmp_path / "a.json")
    assert found.code == 0, found.err
    assert json.loads((tmp_path / "a.json").read_text())["views"] == 2
    assert "--tta 2" in (tmp_path / "index.html").read_text()


def test_images_that_were_annotated_for_training_are_counted(brule, faces: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("train", "--labelled", faces / "images", "-o", run, "--quiet", "--set", "iterations=2", *tiny)
    assert brule(*words).code == 0
    found = brule("calibrate", run, "--data", faces / "images", faces / "test", "--tta", 1)
    assert found.code == 0 and "careful: 12 of these 18 images were annotated for training" in found.err, found.err
    (run / "training_images.json").unlink()  # an earlier version wrote none
    found = brule("calibrate", run, "--data", faces / "images", "--tta", 1)
    assert "learnt from 12 annotated images: if they are among these" in found.err


def test_it_says_on_what_condition_expected_errors_hold(brule, run: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    found = brule("calibrate", run, "--data", faces / "images", "--tta", 1)
    assert "an expected error holds where the object was found" in found.out and "careful" not in found.err
    assert max(len(line) for line in found.out.splitlines() if str(run) not in line) <= 80


def test_messages(brule, run: Path, faces: Path) -> None:
    assert "at least 10 annotated images, got 6" in brule("calibrate", run, "--data", faces / "test").err
    assert "tta: expected 1 to 6 views, got 9" in brule("calibrate", run, "--data", faces / "images", "--views", 9).err
    assert not (run / "calibration.json").exists()
    (run / "calibration.json").write_text("{}")
    found = brule("predict", run, faces / "test", "-o", run / "out")
    assert found.code == 2 and "calibration.json: damaged" in found.err
