"""``brule watch``."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from brule.cli.watch import duration, sparkline
from brule.errors import DataError
from brule.tracking.run_state import RunState
from brule.tracking.term_labels import TERM_LABELS, term_label


def write_run(run: Path, lines: int, *, finished: bool = False, **settings: object) -> None:
    """A run of which so many lines are logged, ten iterations and two seconds apart."""
    (run / "config.json").write_text(json.dumps({"iterations": 200, "time_limit": None} | settings))
    rows = [{"iteration": 10 * i, "loss": 100 / i, "seconds": 2.0 * i} for i in range(1, lines + 1)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "detector.json").write_text(json.dumps({"finished": finished}))


def test_figures_by_hand(tmp_path: Path) -> None:
    write_run(tmp_path, 5)
    state = RunState.read(tmp_path)
    assert (state.iteration, state.seconds, state.share) == (50, 10.0, 0.25)
    assert state.speed == pytest.approx(5) and state.seconds_left == pytest.approx(30)
    assert state.terms == {"loss": [100, 50, pytest.approx(100 / 3), 25, 20]}
    write_run(tmp_path, 5, time_limit=0.2)  # of 12 seconds, ten are gone
    timed = RunState.read(tmp_path)
    assert timed.share == pytest.approx(10 / 12) and timed.seconds_left == pytest.approx(2)


def test_speed_is_that_of_the_last_lines(tmp_path: Path) -> None:
    write_run(tmp_path, 40)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for row in rows[20:]:
        row["seconds"] = 40 + row["iteration"] - 200  # five times slower from there on
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert RunState.read(tmp_path).speed == pytest.approx(1)


def test_a_run_that_begins(tmp_path: Path) -> None:
    write_run(tmp_path, 1)
    assert RunState.read(tmp_path).speed == pytest.approx(5)
    write_run(tmp_path, 0)
    state = RunState.read(tmp_path)
    assert (state.iteration, state.share, state.speed, state.seconds_left, state.terms) == (0, 0.0, None, None, {})
    (tmp_path / "metrics.jsonl").unlink()
    assert RunState.read(tmp_path).records == []


def test_damaged_lines_are_passed_over(tmp_path: Path) -> None:
    write_run(tmp_path, 3)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(
            'nonsense\n[1]\n{"loss": 3}\n{"iteration": 40, "loss": NaN, "note": "x", "seconds": 8}\n{"iteration": 50, "lo'
        )
    state = RunState.read(tmp_path)
    assert (state.iteration, state.terms["loss"]) == (40, [100, 50, pytest.approx(100 / 3)])
    (tmp_path / "config.json").write_text("{")
    assert RunState.read(tmp_path).share is None


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^{tmp_path}: expected the folder of a run"):
        RunState.read(tmp_path)


def test_sparkline() -> None:
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([2, 2, 2], 8) == "▁▁▁" and sparkline([], 8) == ""
    assert sparkline([0, 0, 7, 7], 2) == "▁█"  # means of halves
    assert sparkline([1, 10, 100], 3)[1] in "▄▅"  # by ratio where the range is wide
    assert sparkline([0, 10, 100], 3)[1] == "▁"  # which zero doesn't allow


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (61, "1 min 01 s"), (59.6, "1 min 00 s"), (7260, "2 h 01 min")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_once(brule, tmp_path: Path) -> None:
    write_run(tmp_path, 5)
    (tmp_path / "previews").mkdir()
    for number in (20, 40):
        (tmp_path / "previews" / f"{number:06d}.png").touch()
    found = brule("watch", tmp_path, "--once")
    assert found.code == 0, found.err
    for text in ("running", "25 % done", "iteration 50 of 200", "5 iterations/s", "about 30 s left", "loss", "000040.png"):
        assert text in found.out
    assert "000020.png" not in found.out
    before = time.time() - 600
    os.utime(tmp_path / "metrics.jsonl", (before, before))
    assert "silent for 10 min" in brule("watch", tmp_path, "--once").out


def test_a_real_finished_run_is_shown_and_left(brule, trained: Path) -> None:
    found = brule("watch", trained)
    assert found.code == 0 and "finished" in found.out and "100 % done" in found.out and "loss" in found.out


@pytest.mark.parametrize("width", [80, 120])
def test_terms_are_explained_and_fit_the_terminal(brule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    write_run(tmp_path, 5)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        for iteration in range(60, 400):
            names = {name: 1.2345 + iteration for name in TERM_LABELS}
            file.write(json.dumps({"iteration": iteration, "seconds": iteration, **names}) + "\n")
    monkeypatch.setenv("COLUMNS", str(width))
    lines = brule("watch", tmp_path, "--once").out.splitlines()
    for name in TERM_LABELS:
        (line,) = [line for line in lines if line.startswith(term_label(name))]
        assert len(line.rstrip()) <= width and "…" not in line and line.rstrip()[-1] in "▁▂▃▄▅▆▇█"


def test_follows_until_the_end(brule, tmp_path: Path) -> None:
    write_run(tmp_path, 5)
    end = threading.Timer(0.3, lambda: write_run(tmp_path, 20, finished=True))
    end.start()
    found = brule("watch", tmp_path, "--every", 0.05)
    end.join()
    assert found.code == 0 and "finished" in found.out and "iteration 200 of 200" in found.out


def test_ctrl_c_ends_cleanly(brule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(_: float) -> None:
        raise KeyboardInterrupt

    write_run(tmp_path, 5)
    monkeypatch.setattr(time, "sleep", pressed)
    found = brule("watch", tmp_path)
    assert found.code == 130 and found.err == "" and "iteration 50" in found.out


def test_messages(brule, tmp_path: Path) -> None:
    assert brule("watch", tmp_path).code == 2
    write_run(tmp_path, 1)
    assert "--every > 0" in brule("watch", tmp_path, "--every", 0).err
