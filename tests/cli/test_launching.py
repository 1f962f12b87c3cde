"""``brule train --devices`` and ``--nodes``: who is started, with what, and what is told when one of them fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import brule.cli.launching as launching
from brule.cli.launching import Team, _Member, _untold, _wait_for, team_of
from brule.cli.output import speaks
from brule.errors import ConfigError

NOBODY = {"nodes": None, "node_rank": None, "main_address": None, "device": "cpu"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def team(devices: int | None = None, **options: object) -> Team | None:
    return team_of(devices, **NOBODY | options)  # type: ignore[arg-type]


def test_one_device_starts_nothing_and_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching.importlib.util, "find_spec", lambda name: None)
    assert team() is None
    assert team(1, nodes=1) is None
    with pytest.raises(ConfigError, match=r"brule\[devices\]"):
        team(2)


def test_processes_of_a_launcher_start_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert team() is None
    assert team(2, nodes=2) is None
    with pytest.raises(ConfigError, match="4 processes were started already"):
        team(2)
    assert not speaks()
    monkeypatch.setenv("RANK", "0")
    assert speaks()


def test_every_process_of_every_machine_has_a_number_of_its_own() -> None:
    teams = [team(3, nodes=2, node_rank=rank, main_address="first:1234") for rank in range(2)]
    told = [one.environment(local) for one in teams if one for local in range(3)]
    assert [member["RANK"] for member in told] == ["0", "1", "2", "3", "4", "5"]
    assert [member["LOCAL_RANK"] for member in told] == ["0", "1", "2"] * 2
    assert {member["WORLD_SIZE"] for member in told} == {"6"}
    assert {(member["MASTER_ADDR"], member["MASTER_PORT"]) for member in told} == {("first", "1234")}


def test_where_the_first_machine_is_may_be_known_already(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MASTER_ADDR", "head"), ("MASTER_PORT", "4321"), ("NODE_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert team(1, nodes=2) == Team(1, 2, 1, "head", 4321, cpu=True)
    assert team(1, nodes=2, main_address="other") == Team(1, 2, 1, "other", 29500, cpu=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 0}, "--devices: expected at least 1"),
        ({"nodes": 0}, "--nodes: expected at least 1"),
        ({"nodes": 2, "main_address": "a:1"}, "--node-rank: expected which of the 2 machines"),
        ({"nodes": 2, "main_address": "a:1", "node_rank": 2}, "0 to 1, got 2"),
        ({"nodes": 2, "node_rank": 0}, "--main-address: expected HOST:PORT"),
        ({"nodes": 2, "node_rank": 0, "main_address": "a:b"}, "got a:b"),
        ({"devices": 2, "device": "cuda:1"}, "CUDA_VISIBLE_DEVICES"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        team(**options)  # type: ignore[arg-type]


def test_there_must_be_as_many_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(ConfigError, match="this machine has 4 GPUs"):
        team(5, device=None)
    everything = team(nodes=2, node_rank=0, main_address="a:1", device=None)
    assert everything is not None and everything.devices == 4 and not everything.cpu
    assert team(5) is not None  # on the CPU


def test_the_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_cores", lambda: 8)
    assert Team(3, cpu=True).environment(0)["OMP_NUM_THREADS"] == "2"
    assert Team(9, cpu=True).environment(0)["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert Team(3, cpu=True).environment(0)["OMP_NUM_THREADS"] == "5"  # somebody has decided


def members(folder: Path, *programs: str) -> list[_Member]:
    """Distributed that do as told; ``said`` stands for the file where they leave what went wrong."""
    started = []
    for rank, program in enumerate(programs):
        message, output = folder / f"{rank}.error", folder / f"{rank}.log"
        code = f"import os, signal, sys, time; from pathlib import Path; said = Path({str(message)!r})\n{program}"
        with output.open("wb") as log:
            process = subprocess.Popen([sys.executable, "-c", code], stderr=log)
        started.append(_Member(rank, rank == 0, process, message, output))
    return started


def test_what_all_of_them_say_is_told_once(tmp_path: Path) -> None:
    both = members(tmp_path, *["said.write_text('loss is nan'); sys.exit(2)"] * 3)
    assert _wait_for(both) is not None
    assert _untold(both) == []  # the first has printed it itself


def test_one_that_breaks_down_ends_the_others_and_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_GRACE", 0.2)
    lot = members(
        tmp_path,
        "time.sleep(60)",
        "print('no memory', file=sys.stderr); os.kill(os.getpid(), signal.SIGKILL)",
        "time.sleep(60)",
    )
    failed = _wait_for(lot)
    assert failed is lot[1]
    assert all(member.process.poll() is not None for member in lot)
    (message,) = _untold(lot)
    assert "process 1 was ended by signal 9" in message and "no memory" in message


def test_one_with_a_reason_of_its_own_is_named(tmp_path: Path) -> None:
    lot = members(tmp_path, "said.write_text('another process ended'); sys.exit(2)",
                  "said.write_text('faces: no such folder'); sys.exit(2)", "said.write_text(''); sys.exit(2)")  # fmt: skip
    _wait_for(lot)
    assert _untold(lot) == ["process 1: faces: no such folder"]


def test_all_went_well(tmp_path: Path) -> None:
    lot = members(tmp_path, "pass", "pass")
    assert _wait_for(lot) is None
    assert _untold(lot) == []


def losses(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.mark.slow
def test_two_processes_train_what_one_does(brule, words, faces: Path, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("accelerate")
    src = Path(launching.__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", str(src))
    exact = ("precision=float32", "loss.population=0", "split=1")
    assert brule(*words(faces, tmp_path / "one", 2, *exact), "--device", "cpu").code == 0
    assert brule(*words(faces, tmp_path / "two", 2, *exact), "--device", "cpu", "--devices", 2).code == 0
    for one, other in zip(losses(tmp_path / "one"), losses(tmp_path / "two"), strict=True):
        assert other == pytest.approx(one, rel=1e-3)
    assert {path.name for path in (tmp_path / "one").iterdir()} == {path.name for path in (tmp_path / "two").iterdir()}
