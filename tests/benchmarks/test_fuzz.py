"""Damaged files of every kind are read or refused; and the fuzzer finds what it looks for."""

from __future__ import annotations

import json
import os
import random
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz
from benchmarks.fuzz_damage import damaged, damaged_hdf5
from benchmarks.fuzz_targets import Target
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


def test_damage_reaches_what_is_inside() -> None:
    """Some files stay JSON, safetensors and HDF5 with other values: readers get further than the first check."""
    content = json.dumps({"a": [1, 2, {"b": "c"}]}).encode()
    trials = [damaged(content, random.Random(seed)) for seed in range(200)]
    assert len({trial for trial in trials if sound(lambda trial=trial: json.loads(trial))} - {content}) > 20
    tensors = struct.pack("<Q", len(content)) + content + bytes(64)
    trials = [damaged(tensors, random.Random(seed)) for seed in range(200)]
    heads = [trial[8 : 8 + int.from_bytes(trial[:8], "little")] for trial in trials]
    assert len({head for head in heads if sound(lambda head=head: json.loads(head))} - {content}) > 10


def sound(read: Callable[[], object]) -> bool:
    try:
        read()
    except (ValueError, RecursionError):
        return False
    return True


def test_damage_of_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="needs h5py, the extra hdf5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("group").attrs["name"] = "value"
        file["group/array"] = np.arange(5.0)
    content = (tmp_path / "a.h5").read_bytes()
    names = set()
    for seed in range(100):
        (tmp_path / "b.h5").write_bytes(damaged_hdf5(content, random.Random(seed)))
        try:
            with h5py.File(tmp_path / "b.h5") as file:
                names.add(tuple(sorted(file)) + tuple(sorted(file.get("group", ()))))
        except Exception:  # whatever the library raises
            names.add(())
    assert len(names) > 4 and () in names, names


def read_foreign(folder: Path) -> None:
    raise KeyError("a mistake in brule")


def read_outside(folder: Path) -> None:
    Path("/etc/hostname").read_bytes()


def read_much(folder: Path) -> None:
    np.ones(3 * 2**24)


def read_for_ever(folder: Path) -> None:
    time.sleep(600.0)


def read_long(folder: Path) -> None:
    until = time.process_time() + 1.0
    while time.process_time() < until:
        pass


def crash(folder: Path) -> None:
    os._exit(3)


def refuse_unwritable(folder: Path) -> None:
    raise DataError("a name of the file: \ud800")


def refuse(folder: Path) -> None:
    raise DataError("expected")


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (read_foreign, "foreign KeyError"),
        (read_outside, "outside: "),
        (read_much, "memory: "),
        (read_for_ever, "hang: "),
        (read_long, "hang: "),
        (crash, "crash: "),
        (refuse_unwritable, "foreign: "),
        (refuse, ""),
    ],
)
def test_what_goes_wrong_is_found(read: object, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sound").mkdir()
    (tmp_path / "sound" / "a.txt").write_text("sound")
    target = Target("made up", tmp_path / "sound", "a.txt", read)  # type: ignore[arg-type]
    monkeypatch.setattr(fuzz, "targets", lambda folder: [target])
    monkeypatch.setattr(fuzz, "MAX_GROWTH", 2**26)
    if read in (read_for_ever, read_long):
        monkeypatch.setattr(fuzz, "MAX_SECONDS", 0.5)
    report = fuzz.fuzz(inputs=1)
    assert read is not read_much or report.most_memory > 2**28
    assert [finding.what.startswith(found) for finding in report.findings] == ([True] if found else [])
