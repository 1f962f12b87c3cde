"""What a run writes down: means of the terms, and no line twice after taking a run up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from brule.tracking.log import RunLog


def lines(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_lines_hold_means_since_the_line_before(tmp_path: Path) -> None:
    with RunLog(tmp_path, every=2, quiet=True) as log:
        for iteration in range(1, 6):
            log.add(iteration, iteration / 10, {"a": float(iteration)}, seconds=10.0 * iteration)
    assert lines(tmp_path) == [
        {"iteration": 2, "a": 1.5, "seconds": 20.0},
        {"iteration": 4, "a": 3.5, "seconds": 40.0},
    ]


def test_the_last_iteration_has_a_line_whatever_its_number(tmp_path: Path) -> None:
    with RunLog(tmp_path, every=2, quiet=True) as log:
        for iteration in range(1, 4):
            log.add(iteration, iteration / 3, {"a": 1.0})
    assert [line["iteration"] for line in lines(tmp_path)] == [2, 3]


def test_a_term_that_comes_later_is_averaged_over_its_own_iterations(tmp_path: Path) -> None:
    with RunLog(tmp_path, every=2, quiet=True) as log:
        log.add(1, 0.1, {"a": 1.0})
        log.add(2, 0.2, {"a": 3.0, "b": 5.0})
    assert lines(tmp_path) == [{"iteration": 2, "a": 2.0, "b": 5.0}]


def test_taking_up_drops_what_comes_again_and_what_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"iteration": 1}\n{"iteration": 2}\n{"iteration": 3}\n{"iterat', encoding="utf-8")
    with RunLog(tmp_path, every=1, start=2, quiet=True) as log:
        log.add(3, 0.3, {"a": 1.0})
    assert lines(tmp_path) == [{"iteration": 1}, {"iteration": 2}, {"iteration": 3, "a": 1.0}]


def test_a_new_run_forgets_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"iteration": 1}\n', encoding="utf-8")
    with RunLog(tmp_path, every=1, quiet=True):
        pass
    assert lines(tmp_path) == []


def test_without_a_directory_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with RunLog(None, every=1, quiet=True) as log:
        log.add(1, 1.0, {"a": 1.0})
    assert list(tmp_path.iterdir()) == []


def test_quiet_shows_no_progress(capfd: pytest.CaptureFixture[str]) -> None:
    with RunLog(None, every=1, quiet=True) as log:
        log.add(1, 1.0, {"a": 1.0})
    assert capfd.readouterr() == ("", "")


def test_where_there_is_no_terminal_lines_come_now_and_then(capfd: pytest.CaptureFixture[str]) -> None:
    with RunLog(None, every=1) as log:
        log.add(1, 0.5, {"loss": 1.25, "gradient": 3.0})
        log.add(2, 1.0, {"loss": 1.25, "gradient": 3.0})
    shown = capfd.readouterr().err
    assert "iteration 2" in shown
    assert "loss 1.25" in shown
    assert "iteration 1 " not in shown
