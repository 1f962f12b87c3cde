"""Rounds: what a run was trained on, its error on the other images, and how it is started and stopped."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brule.annotating import Mark, Marks, Project, Template
from brule.annotating import jobs as jobs_module
from brule.annotating import predictions as predictions_module
from brule.annotating.jobs import Job
from brule.annotating.predictions import FORMAT, Predictions, predict_project, predictions_file
from brule.annotating.rounds import HeldOutErrors, held_out, note_round, trained_on, training_words
from brule.errors import ConfigError

NAMES = ("a", "b", "c")
PLACES = np.array([(5.0, 5.0), (25.0, 6.0), (15.0, 15.0)])


def project_of(folder: Path, names: list[str]) -> Project:
    for k, name in enumerate(names):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), (k, 0, 0)).save(path)
    return Project(folder / "project", [folder / "images"], template=Template(names=NAMES))


def accept(project: Project, name: str, shift: float = 0.0) -> None:
    image = image_of(project, name)
    marks = Marks({one: Mark(x + shift, y) for one, (x, y) in zip(NAMES, PLACES.tolist(), strict=True)}, "accepted")
    project.change(image, project.record(image).version, marks)


def image_of(project: Project, name: str) -> str:
    return next(image for image, entry in project.entries.items() if entry.name == name)


def predicted(project: Project, run: str, shift: tuple[float, float] = (3.0, 4.0)) -> Predictions:
    lines = [json.dumps({"format": FORMAT, "landmarks": 3, "template": project.settings.version, "calibrated": False})]
    own: dict[str, Any] = {"uncertainty": 1, "expected": None, "points": (PLACES + shift).tolist(), "spread": [1, 1, 1]}
    lines += [json.dumps({"name": entry.name, **own}) for entry in project.entries.values()]
    path = predictions_file(project, run)
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return Predictions(path, project)


def begun(project: Project, run: str, shapes: list[str]) -> None:
    """The record that a run writes once it has read its data."""
    folder = project.folder / "runs" / run
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.json").write_text(json.dumps({"images": [], "shapes": shapes, "n_images": 4, "device": "cpu"}))


def test_an_image_accepted_before_the_run_read_it_is_not_held_out(tmp_path: Path) -> None:
    project = project_of(tmp_path, ["a.png", "b.png", "c.png", "d.png"])
    accept(project, "a.png")
    accept(project, "b.png")
    note_round(project, project.folder / "runs" / "round-1")
    accept(project, "c.png")  # between the request and the run's reading
    assert trained_on(project, "round-1") == {"a.png", "b.png"}
    begun(project, "round-1", ["a", "c"])  # b.png was broken, or taken back, when it was read
    accept(project, "d.png")
    assert trained_on(project, "round-1") == {"a.png", "c.png"}
    errors = held_out(project, predicted(project, "round-1"))
    assert errors is not None and errors.n == 2  # b and d


def test_images_of_one_name_are_told_apart_by_the_note(tmp_path: Path) -> None:
    project = project_of(tmp_path, ["x/1.png", "y/1.png", "y/2.png"])
    accept(project, "x/1.png")
    note_round(project, project.folder / "runs" / "round-1")
    begun(project, "round-1", ["1"])
    assert trained_on(project, "round-1") == {"x/1.png"}
    begun(project, "round-1", ["1", "1"])  # one more than noted: it may be any of that name
    assert trained_on(project, "round-1") == {"x/1.png", "y/1.png"}


def started_from(project: Project, run: str, shapes: list[str], earlier: Path, **more: str) -> None:
    begun(project, run, shapes)
    file = project.folder / "runs" / run / "data.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "start_from": str(earlier), **more}))


def test_images_of_the_detectors_that_a_round_started_from_are_not_held_out(tmp_path: Path) -> None:
    project = project_of(tmp_path, ["a.png", "b.png", "c.png", "d.png", "e.png"])
    for name in ("a.png", "b.png", "c.png", "d.png", "e.png"):
        accept(project, name)
    runs, elsewhere = project.folder / "runs", tmp_path / "elsewhere"
    begun(project, "round-1", ["a"])
    started_from(project, "round-2", ["b"], runs / "round-1")
    started_from(project, "round-3", ["c"], runs / "round-2")
    assert [trained_on(project, f"round-{k}") for k in (1, 2, 3)] == [
        {"a.png"},
        {"a.png", "b.png"},
        {"a.png", "b.png", "c.png"},
    ]
    errors = held_out(project, predicted(project, "round-3"))
    assert errors is not None and errors.n == 2  # d and e
    elsewhere.mkdir()  # a detector that isn't the project's
    (elsewhere / "data.json").write_text(json.dumps({"shapes": ["d"]}))
    started_from(project, "round-4", ["c"], Path("elsewhere"), working_directory=str(tmp_path))
    assert trained_on(project, "round-4") == {"c.png", "d.png"}
    started_from(project, "round-1", ["a"], runs / "round-3")  # damaged: a circle
    assert trained_on(project, "round-1") == {"a.png", "b.png", "c.png"}


def test_a_round_that_begins_counts_the_images_of_the_one_before(tmp_path: Path) -> None:
    """Also where the whole project was moved meanwhile."""
    project = project_of(tmp_path, ["a.png", "b.png"])
    accept(project, "a.png")
    first, second = (project.folder / "runs" / f"round-{k}" for k in (1, 2))
    begun(project, "round-1", ["a"])
    project.undo(image_of(project, "a.png"), 1)
    accept(project, "b.png")
    note_round(project, second, start_from=first)
    assert trained_on(project, "round-2") == {"a.png", "b.png"}
    project.close()
    project.folder.rename(tmp_path / "moved")
    assert trained_on(Project(tmp_path / "moved"), "round-2") == {"a.png", "b.png"}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"shapes": 3}', "{"])
def test_a_damaged_record_leaves_the_note(tmp_path: Path, content: str) -> None:
    project = project_of(tmp_path, ["a.png"])
    accept(project, "a.png")
    note_round(project, project.folder / "runs" / "round-1")
    begun(project, "round-1", [])
    (project.folder / "runs" / "round-1" / "data.json").write_text(content)
    assert trained_on(project, "round-1") == {"a.png"}


def test_only_the_image_that_changed_is_compared_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_of(tmp_path, ["a.png", "b.png", "c.png"])
    for name in ("a.png", "b.png", "c.png"):
        accept(project, name)
    begun(project, "round-1", ["a"])
    predictions = predicted(project, "round-1")
    read: list[str] = []
    original = predictions.of
    monkeypatch.setattr(predictions, "of", lambda name: (read.append(name), original(name))[1])
    errors = HeldOutErrors(project, predictions)
    first = errors.now()
    assert first is not None and (first.n, first.error_px) == (2, 5.0) and read == ["b.png", "c.png"]
    assert first.error_percent == pytest.approx(100 * 5 / np.hypot(20, 10))
    assert first.mean_shape_px == pytest.approx(0, abs=1e-6)  # all shapes are the same
    accept(project, "c.png", shift=3.0)
    second = errors.now()
    assert second is not None and second.error_px == pytest.approx((5 + 4) / 2) and read == ["b.png", "c.png", "c.png"]
    assert second == held_out(project, predictions)
    before = len(read)
    assert errors.now() is second and len(read) == before


def test_the_floor_follows_the_images_that_were_trained_on(tmp_path: Path) -> None:
    project = project_of(tmp_path, ["a.png", "b.png"])
    accept(project, "a.png")
    accept(project, "b.png")
    begun(project, "round-1", ["a"])
    errors = HeldOutErrors(project, predicted(project, "round-1"))
    first = errors.now()
    accept(project, "a.png", shift=2.0)
    second = errors.now()
    assert first is not None and second is not None
    assert first.mean_shape_px == pytest.approx(0, abs=1e-6) and second.mean_shape_px == pytest.approx(2.0, abs=1e-6)


def test_an_image_that_is_not_finished_any_more_leaves_the_error(tmp_path: Path) -> None:
    project = project_of(tmp_path, ["a.png", "b.png"])
    accept(project, "a.png")
    accept(project, "b.png", shift=3.0)
    errors = HeldOutErrors(project, predicted(project, "round-1"))
    first = errors.now()
    image = image_of(project, "b.png")
    record = project.record(image)
    project.change(image, record.version, replace(record.marks, status="draft"))
    second = errors.now()
    assert first is not None and second is not None and (first.n, second.n, second.error_px) == (2, 1, 5.0)


def test_the_batch_size_is_left_to_training(tmp_path: Path) -> None:
    project = project_of(tmp_path, ["a.png"])
    accept(project, "a.png")
    assert "--set" not in training_words(project, tmp_path / "run")
    words = training_words(project, tmp_path / "run", settings=["batch_size=3"])
    assert words[words.index("--set") :] == ["--set", "batch_size=3"]


def test_a_time_limit_among_the_settings_takes_precedence(tmp_path: Path) -> None:
    """``--time-limit`` would override it; 0 is no limit."""
    project = project_of(tmp_path, ["a.png"])
    accept(project, "a.png")
    words = training_words(project, tmp_path / "run", minutes=20, settings=["time_limit=0", "iterations=500"])
    assert "--time-limit" not in words and words[words.index("--set") + 1 :] == ["time_limit=0", "iterations=500"]
    words = training_words(project, tmp_path / "run", minutes=20, settings=["iterations=500"])
    assert words[words.index("--time-limit") + 1] == "20"
    assert "--time-limit" not in training_words(project, tmp_path / "run", preset="paper")  # as the preset says


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no such lock")
def test_a_command_that_another_process_runs_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it has begun just after it was looked for."""
    import fcntl

    job = Job(tmp_path, "train")
    (tmp_path / "train.json").write_text('{"run": "round-1"}')
    (tmp_path / "train.log").write_text("at work")
    monkeypatch.setattr(job, "_runs", lambda: False)
    started: list[object] = []
    monkeypatch.setattr(jobs_module, "_started", lambda *given: started.append(given))
    with (tmp_path / "train.lock").open("ab") as held:
        fcntl.flock(held.fileno(), fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="already running"):
            job.start(["train"], run="round-2")
    assert not started and job.facts == {"run": "round-1"} and (tmp_path / "train.log").read_text() == "at work"


def test_stopping_what_has_just_ended_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, sent = Job(tmp_path, "train"), []

    def gone(pid: int, number: int) -> None:
        sent.append((pid, number))
        raise ProcessLookupError

    (tmp_path / "train.json").write_text('{"pid": 7, "run": "round-1"}')
    monkeypatch.setattr(job, "_runs", lambda: True)
    monkeypatch.setattr(jobs_module.os, "kill", gone)
    job.stop()
    assert sent == [(7, signal.SIGTERM)] and job.facts["stopping"] is True


class Detector:
    """Finds the same in all images, in batches of the size that is asked for."""

    landmark_names_ = NAMES
    calibration_ = None
    barycenter_ = np.zeros((3, 2))

    def iter_predict(self, paths: list[str], *, batch_size: int, skip_bad: bool) -> Any:
        import torch

        for start in range(0, len(paths), batch_size):
            batch = [SimpleNamespace(path=path) for path in paths[start : start + batch_size]]
            points, spread = torch.zeros(len(batch), 3, 2), torch.ones(len(batch), 3)
            yield batch, SimpleNamespace(points=points, spread=spread, uncertainty=None)


def test_the_progress_of_a_small_project_is_shown_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from brule import detector
    from brule.web.training import _Lines

    project = project_of(tmp_path, [f"{k:02}.png" for k in range(24)])
    monkeypatch.setattr(detector.LandmarkDetector, "load", lambda run: Detector())
    lines, seen = _Lines(), []

    def progress(done: int, total: int) -> None:
        seen.append((done, total, lines.done(predictions_file(project, "run"))))

    target = predict_project(project, tmp_path / "run", progress=progress)
    assert [done for done, _, _ in seen] == [4, 8, 12, 16, 20, 24] and {total for _, total, _ in seen} == {24}
    assert all(done == written for done, _, written in seen)  # what the page counts meanwhile
    assert len(Predictions(target, project)) == 24
    assert predictions_module._MAX_BATCH == 32  # large projects aren't slowed down
