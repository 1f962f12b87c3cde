"""The thread that watches training and prediction outlives every problem, and reads nothing twice."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brule.annotating import Project
from brule.errors import ConfigError, OutputError
from brule.tracking.run_files import CHECKPOINT
from brule.tracking.run_state import LogLines
from brule.web import training as module
from brule.web.events import Hub
from brule.web.training import Training, _Lines

from .test_training import until


class Listening(Hub):
    """Keeps what is published."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def publish(self, event: str, content: dict[str, Any]) -> None:
        self.heard.append(event)


def test_a_problem_does_not_end_the_watch(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    hub, failures = Listening(), [OutputError("the disk is full"), OSError("no"), OSError("no"), RuntimeError("loop is closed")]
    original = Training.predicting

    def predicting(self: Training) -> dict[str, Any]:
        if failures:
            raise failures.pop(0)
        return original(self)

    monkeypatch.setattr(Training, "predicting", predicting)
    with caplog.at_level(logging.ERROR, "brule.web"):
        training = Training(project, hub)
        until(lambda: "train" in hub.heard, 20)
        training.close()
    assert not failures
    assert sum("watching training" in record.message for record in caplog.records) == 3  # the same twice is told once


def test_predicting_again_may_fail(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(project, Listening())
    training.close()
    run = project.folder / "runs" / "round-1"
    run.mkdir(parents=True)
    (run / "detector.json").write_text("{}")
    monkeypatch.setattr(module, "DESCRIPTION", "detector.json")

    def full(name: str) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(training, "predict", full)
    training._keep_predicted("round-1", "finished")


def test_lines_are_counted_once(tmp_path: Path) -> None:
    lines, target = _Lines(), tmp_path / "round-1.jsonl"
    assert lines.done(target) == 0
    part = tmp_path / ".round-1.abc.part.jsonl"
    part.write_bytes(b"head\nfirst\nsec")
    assert lines.done(target) == 1
    with part.open("r+b") as file:  # what was read is not read again
        file.write(b"\n\n\n\n")
    with part.open("ab") as file:
        file.write(b"ond\nthird\n")
    assert lines.done(target) == 3
    part.unlink()
    (tmp_path / ".round-1.def.part.jsonl").write_bytes(b"head\n")
    assert lines.done(target) == 0


def test_errors_of_other_predictions_are_not_kept(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(project, Listening())
    training.close()
    monkeypatch.setattr(module.HeldOutErrors, "now", lambda self: self.predictions)

    class Run:
        run = "round-1"

    first, second = Run(), Run()
    assert training._held_out(first) is first  # type: ignore[arg-type, comparison-overlap]
    assert training._held_out(second) is second  # type: ignore[arg-type, comparison-overlap]


def logged(iteration: int) -> bytes:
    return f'{{"iteration": {iteration}, "loss": 0.5, "seconds": {iteration}}}\n'.encode()


def steps(lines: LogLines, log: Path) -> list[int]:
    return [record["iteration"] for record in lines.of(log)]


def test_of_a_log_that_grows_only_what_was_added_is_read(tmp_path: Path) -> None:
    lines, log = LogLines(), tmp_path / "metrics.jsonl"
    assert lines.of(log) == []
    log.write_bytes(logged(1) + logged(2)[:9])
    assert steps(lines, log) == [1]
    before = lines.of(log)
    assert before is lines.of(log)  # nothing new
    with log.open("ab") as file:
        file.write(logged(2)[9:] + b"broken\n" + logged(3))
    assert steps(lines, log) == [1, 2, 3] and len(before) == 1
    place = lines._place
    lines._records = []  # what was read is not read again
    with log.open("ab") as file:
        file.write(logged(4))
    assert steps(lines, log) == [4] and lines._place == place + len(logged(4))


@pytest.mark.parametrize("how", ["shorter", "replaced", "written anew", "gone and back", "another run"])
def test_a_log_that_was_cut_or_replaced_is_read_from_its_beginning(tmp_path: Path, how: str) -> None:
    lines, log = LogLines(), tmp_path / "metrics.jsonl"
    log.write_bytes(b"".join(map(logged, range(1, 6))))
    assert len(lines.of(log)) == 5
    other = logged(1) + logged(7)
    if how == "shorter":  # as when a run is resumed from a checkpoint
        log.write_bytes(other)
    elif how == "replaced":
        (tmp_path / "new").write_bytes(other)
        (tmp_path / "new").replace(log)
    elif how == "written anew":  # and longer than before by now
        other += b"".join(map(logged, range(8, 20)))
        log.write_bytes(other)
    elif how == "gone and back":
        log.unlink()
        assert lines.of(log) == []
        log.write_bytes(other)
    else:
        log = tmp_path / "other.jsonl"
        log.write_bytes(other)
    assert steps(lines, log)[:2] == [1, 7] and len(lines.of(log)) == other.count(b"\n")


def test_the_state_of_a_training_names_its_stage_and_whether_it_can_be_resumed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(project, Listening())
    training.close()
    run = project.folder / "runs" / "round-1"
    run.mkdir(parents=True)
    (run / "metrics.jsonl").write_bytes(logged(1) + logged(2))
    (run / "stage.json").write_text('{"stage": "learning to find the objects"}')
    job = SimpleNamespace(facts={"run": "round-1"}, running=True, problem=lambda: None)
    monkeypatch.setattr(training, "_train", job)
    state = training.state()
    assert (state["state"], state["stage"], state["can_resume"]) == ("running", "learning to find the objects", False)
    assert state["curve"] == {"loss": [[1, 0.5], [2, 0.5]]} and training.state()["curve"] is state["curve"]
    job.running = False  # killed: the file is still there
    state = training.state()
    assert (state["state"], state["stage"], state["can_resume"]) == ("stopped", None, False)
    with pytest.raises(ConfigError, match="no checkpoint yet"):
        training.resume()
    (run / CHECKPOINT).touch()
    assert training.state()["can_resume"]


def test_names_of_files_are_those_of_training() -> None:
    from brule.training import run

    assert run.CHECKPOINT == CHECKPOINT
