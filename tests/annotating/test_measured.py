"""Measures of images that are only predicted: they say so, and a finished annotation always goes before a prediction."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template
from brule.annotating.measured import measurable, measured, measures_csv
from brule.annotating.measuring import Measurements
from brule.annotating.predictions import FORMAT, Predictions
from brule.annotating.rounds import newest_predictions
from brule.cli.annotate import annotate
from brule.errors import ConfigError

WIDTH = Measurements.model_validate({"distances": [{"name": "width", "landmarks": [0, 1]}]})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Four images: the first is finished (width 10) and predicted (99), two are predicted (20, flagged 30), one is neither."""
    images = tmp_path / "images"
    images.mkdir()
    for k in range(4):
        Image.fromarray(np.full((50, 120), 40 * k, np.uint8)).save(images / f"{k}.png")
    project = Project(tmp_path / "project", [images], template=Template(names=("a", "b")))
    first = next(iter(project.entries))
    project.change(first, 0, Marks({"a": Mark(0.0, 0.0), "b": Mark(10.0, 0.0)}, status="accepted"))
    project.set_settings(measurements=WIDTH.model_dump(mode="json"))
    return project


def predict(project: Project, widths: dict[str, float], *, flagged: str = "2.png", run: str = "found") -> None:
    lines = [{"format": FORMAT, "landmarks": 2, "calibrated": True}]
    names = {Path(entry.name).name: entry.name for entry in project.entries.values()}
    for name, width in widths.items():
        own = {"points": [[5, 5], [5, 5 + width]], "spread": [1, 2], "uncertainty": 0.5, "flagged": name == flagged}
        lines.append({"name": names[name], "expected": None if name == flagged else 1.5, **own})
    folder = project.folder / "predictions"
    folder.mkdir(exist_ok=True)
    (folder / f"{run}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{**row, "image": Path(row["image"]).name} for row in csv.DictReader(file)]


def test_predictions_are_measured_where_no_annotation_is_finished(project: Project) -> None:
    predict(project, {"0.png": 99, "1.png": 20, "2.png": 30})
    predictions = newest_predictions(project)
    assert predictions is not None
    found = list(measured(project, WIDTH, measurable(project, predictions), predictions=predictions))
    own = [(Path(one.name).name, one.source, one.expected, one.values[0]) for one in found]
    assert own == [("0.png", "annotated", None, 10.0), ("1.png", "predicted", 1.5, 20.0), ("2.png", "flagged", None, 30.0)]
    finished = list(measured(project, WIDTH, measurable(project)))
    assert [one.values[0] for one in finished] == [10.0]
    assert "source" not in measures_csv(project, WIDTH).splitlines()[0]


def test_a_prediction_that_was_taken_over_counts_as_annotated(project: Project) -> None:
    predict(project, {"1.png": 20})
    predictions = newest_predictions(project)
    assert predictions is not None
    images = measurable(project, predictions)
    project.change(images[1], 0, Marks({"a": Mark(0.0, 0.0), "b": Mark(0.0, 21.0)}, status="accepted"))
    found = list(measured(project, WIDTH, images, predictions=predictions))  # the list is older than the annotation
    assert [(one.source, one.values[0]) for one in found] == [("annotated", 10.0), ("annotated", 21.0)]


def test_the_scale_of_an_image_or_of_the_project_counts_for_predictions(project: Project) -> None:
    predict(project, {"1.png": 20, "3.png": 40})
    project.set_settings(scale=0.5)
    third = next(image for image, entry in project.entries.items() if Path(entry.name).name == "3.png")
    project.change(third, 0, Marks({}, scale=0.25))
    predictions = newest_predictions(project)
    found = list(measured(project, WIDTH, measurable(project, predictions), predictions=predictions))
    assert [one.values[:2] for one in found] == [[10.0, 5.0], [20.0, 10.0], [40.0, 10.0]]


def test_the_command_writes_both(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "measures.csv"
    with pytest.raises(ConfigError, match="no predictions yet"):
        annotate(output=project.folder, export="measures", predicted=True, target=place)
    with pytest.raises(ConfigError, match="--export measures"):
        annotate(output=project.folder, export="tps", predicted=True)
    predict(project, {"1.png": 20, "2.png": 30})
    assert annotate(output=project.folder, export="measures", predicted=True, target=place) == 0
    assert capsys.readouterr().out.startswith("3 images")
    rows = [(row["image"], row["source"], row["expected_error_px"], float(row["width_px"])) for row in table(place)]
    assert rows == [("0.png", "annotated", "", 10.0), ("1.png", "predicted", "1.5000", 20.0), ("2.png", "flagged", "", 30.0)]
    annotate(output=project.folder, export="measures", target=place)
    assert [row["image"] for row in table(place)] == ["0.png"]


def test_the_newest_round_with_readable_predictions_counts(project: Project) -> None:
    predict(project, {"1.png": 1}, run="another")
    for name in ("round-1", "round-2", "round-3"):
        (project.folder / "runs" / name).mkdir(parents=True)
    predict(project, {"1.png": 2}, run="round-1")
    predict(project, {"1.png": 3}, run="round-2")
    assert newest_predictions(project).run == "round-2"  # type: ignore[union-attr]
    (project.folder / "predictions" / "round-2.jsonl").write_text("damaged\n", encoding="utf-8")
    newest = newest_predictions(project)
    assert isinstance(newest, Predictions) and newest.run == "round-1"


def test_rejected_and_damaged_images_are_not_measured(project: Project) -> None:
    predict(project, {"1.png": 20, "2.png": 30, "3.png": 40})
    by_name = {Path(entry.name).name: image for image, entry in project.entries.items()}
    project.change(by_name["1.png"], 0, Marks({}, status="rejected"))
    project.change(by_name["2.png"], 0, Marks({"a": Mark(1.0, 1.0)}))
    next((project.folder / "annotations").rglob("2.png.json")).write_text("{damaged", encoding="utf-8")
    again = Project(project.folder)
    predictions = newest_predictions(again)
    found = list(measured(again, WIDTH, [*measurable(again, predictions), "gone"], predictions=predictions))
    assert [Path(one.name).name for one in found] == ["0.png", "3.png"]


def test_the_latest_predictions_of_other_detectors_count(project: Project) -> None:
    for name, when in (("a-old", 1), ("c-older", 0), ("b-new", 2)):
        predict(project, {"1.png": 20}, run=name)
        os.utime(project.folder / "predictions" / f"{name}.jsonl", (1e9 + when, 1e9 + when))
    predict(project, {"1.png": 20}, run=".b-new.abc.part")  # is being written
    assert newest_predictions(project).run == "b-new"  # type: ignore[union-attr]
