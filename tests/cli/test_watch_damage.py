"""``brule watch`` on numbers that no training writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brule.cli import main
from brule.cli.watch import duration, sparkline

HUGE = 1.7e308


@pytest.mark.parametrize("every", ["nan", "inf", "1e300", "0", "-1"])
def test_waits_that_make_no_sense_are_refused(every: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"iteration": 1, "seconds": 1, "loss": 1}\n')
    assert main(["watch", str(tmp_path), "--every", every]) == 2
    assert "expected --every > 0 (at most 86400)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "curve"),
    [([HUGE, -HUGE], "█▁"), ([-HUGE, 0.0, HUGE], "▁▅█"), ([HUGE] * 4, "▁▁▁▁"), ([0.0, 5e-324], "▁█")],
)
def test_a_curve_of_numbers_at_the_limits(values: list[float], curve: str) -> None:
    assert sparkline(values, 40) == curve
    assert len(sparkline(values * 3, 2)) == 2


def test_an_endless_time_has_no_number() -> None:
    assert duration(float("inf")) == duration(float("nan")) == "an unknown time"


def test_a_damaged_log_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "1" + 400 * "0"
    lines = [
        {"iteration": 1, "seconds": 1.0, "loss": HUGE},
        {"iteration": 2, "seconds": HUGE, "loss": -HUGE},
        {"iteration": 1e300, "seconds": -HUGE, "loss": 5e-324},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    damaged = f'{{"iteration": {long}, "loss": 1}}\n{{"iteration": 3, "seconds": {long}, "loss": {long}}}\n'
    (tmp_path / "metrics.jsonl").write_text(text + damaged)
    (tmp_path / "config.json").write_text(f'{{"iterations": {long}, "time_limit": 1e-300}}')
    assert main(["watch", str(tmp_path), "--once"]) == 0
    assert "loss" in capsys.readouterr().out
    (tmp_path / "metrics.jsonl").write_text(text)
    (tmp_path / "config.json").write_text('{"iterations": 5, "time_limit": 1e300}')
    assert main(["watch", str(tmp_path), "--once"]) == 0
