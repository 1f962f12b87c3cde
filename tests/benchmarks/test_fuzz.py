"""Damaged files of every kind are read or refused; and the fuzzer finds what it looks for."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz
from benchmarks.fuzz import Target, damaged
from brule.errors import DataError

pytestmark = [
    pytest.mark.usefixtures("no_tensorboard"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork"),
]


def listed(report: fuzz.Report) -> str:
    return "\n".join(f"{finding.target}, seed {finding.seed}: {finding.what}" for finding in report.findings)


def test_damaged_files_are_read_or_refused() -> None:
    report = fuzz.fuzz(inputs=250, seed=7)
    assert report.inputs == 250
    assert not report.findings, listed(report)
    assert report.outcomes["refused"] > 25 and report.outcomes["read"] > 25  # or the damage is too weak, or too strong


@pytest.mark.long
def test_many_damaged_files_are_read_or_refused() -> None:
    report = fuzz.fuzz(inputs=20_000, seed=8)
    assert not report.findings, listed(report)


def test_damage_is_damage_and_the_same_for_a_seed() -> None:
    content = bytes(range(200))
    trials = [damaged(content, random.Random(seed)) for seed in range(50)]
    assert trials == [damaged(content, random.Random(seed)) for seed in range(50)]
    assert sum(trial != content for trial in trials) > 45


def read_foreign(folder: Path) -> None:
    raise KeyError("a mistake in brule")


def read_outside(folder: Path) -> None:
    Path("/etc/hostname").read_bytes()


def read_much(folder: Path) -> None:
    np.ones(3 * 2**24)


def read_for_ever(folder: Path) -> None:
    time.sleep(1.0)


def refuse(folder: Path) -> None:
    raise DataError("expected")


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (read_foreign, "foreign KeyError"),
        (read_outside, "outside: "),
        (read_much, "memory: "),
        (read_for_ever, "hang: "),
        (refuse, ""),
    ],
)
def test_what_goes_wrong_is_found(read: object, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sound").mkdir()
    (tmp_path / "sound" / "a.txt").write_text("sound")
    target = Target("made up", tmp_path / "sound", "a.txt", read)  # type: ignore[arg-type]
    monkeypatch.setattr(fuzz, "targets", lambda folder: [target])
    monkeypatch.setattr(fuzz, "MAX_GROWTH", 2**26)
    if read is read_for_ever:
        monkeypatch.setattr(fuzz, "MAX_SECONDS", 0.5)
    report = fuzz.fuzz(inputs=1)
    assert [finding.what.startswith(found) for finding in report.findings] == ([True] if found else [])
