"""The thread that watches training and prediction outlives every problem, and reads nothing twice."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from brule.annotating import Project
from brule.errors import OutputError
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
