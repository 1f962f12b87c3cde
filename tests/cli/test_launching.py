"""``brule train --devices`` and ``--nodes``: who is started, with what, and what is printed when one of them fails."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

import brule.cli.launching as launching
from brule.cli.launching import LaunchPlan, launch, launch_plan
from brule.cli.output import is_main_process
from brule.errors import ConfigError

NOBODY = {"nodes": None, "node_rank": None, "main_address": None, "device": "cpu"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def plan(devices: int | None = None, **options: object) -> LaunchPlan | None:
    return launch_plan(devices, **NOBODY | options)  # type: ignore[arg-type]


def test_one_device_starts_nothing_and_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching.importlib.util, "find_spec", lambda name: None)
    assert plan() is None
    assert plan(1, nodes=1) is None
    with pytest.raises(ConfigError, match=r"brule-landmarks\[devices\]"):
        plan(2)


def test_processes_of_a_launcher_start_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert plan() is None
    assert plan(2, nodes=2) is None
    with pytest.raises(ConfigError, match="4 processes were started already"):
        plan(2)
    assert not is_main_process()
    monkeypatch.setenv("RANK", "0")
    assert is_main_process()


def test_where_the_first_machine_is_may_be_known_already(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MASTER_ADDR", "head"), ("MASTER_PORT", "4321"), ("NODE_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert plan(1, nodes=2) == LaunchPlan(1, 2, 1, "head", 4321, cpu=True)
    assert plan(1, nodes=2, main_address="other") == LaunchPlan(1, 2, 1, "other", 29500, cpu=True)


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
        plan(**options)  # type: ignore[arg-type]


def test_there_must_be_as_many_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(ConfigError, match="this machine has 4 GPUs"):
        plan(5, device=None)
    everything = plan(nodes=2, node_rank=0, main_address="a:1", device=None)
    assert everything is not None and everything.devices == 4 and not everything.cpu
    assert plan(5) is not None  # on the CPU


def test_the_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "usable_cores", lambda: 8)
    assert LaunchPlan(3, cpu=True).environment()["OMP_NUM_THREADS"] == "2"
    assert LaunchPlan(9, cpu=True).environment()["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert LaunchPlan(3, cpu=True).environment()["OMP_NUM_THREADS"] == "5"  # somebody has decided


HEAD = """
import os, signal, sys, time
from brule.cli.output import print_error
rank = int(os.environ["RANK"])
"""


def run(program: str, capfd: pytest.CaptureFixture[str], processes: int = 2) -> tuple[int, str]:
    """The exit code and the standard error of a program in several processes."""
    capfd.readouterr()
    code = launch(LaunchPlan(processes, cpu=True), ["-c", HEAD + program])
    return code, capfd.readouterr().err


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(launching.__file__).parents[2]))
    monkeypatch.setattr(os, "environ", os.environ.copy())  # the launcher sets variables for its processes


@pytest.mark.usefixtures("launched")
def test_every_process_has_a_number_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = f"open({str(tmp_path)!r} + f'/{{rank}}', 'w').write(os.environ['LOCAL_RANK'] + os.environ['WORLD_SIZE'])"
    assert run(program, capfd, processes=3) == (0, "")
    assert [(tmp_path / str(rank)).read_text() for rank in range(3)] == ["03", "13", "23"]


@pytest.mark.usefixtures("launched")
def test_what_all_of_them_report_is_printed_once(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("print_error('loss is nan'); sys.exit(2)", capfd) in (
        (2, f"brule: {who}loss is nan\n") for who in ("", "process 1: ")
    )


@pytest.mark.usefixtures("launched")
def test_one_that_breaks_down_ends_the_others_and_is_quoted(capfd: pytest.CaptureFixture[str]) -> None:
    program = """
if rank == 1:
    print("no memory", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(60)"""
    code, error = run(program, capfd, processes=3)
    assert code == 1
    assert error == "brule: process 1 was ended by signal 9 (Killed)\n  no memory\n"


@pytest.mark.usefixtures("launched")
def test_the_reason_is_printed_and_not_that_others_noticed(capfd: pytest.CaptureFixture[str]) -> None:
    program = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(0.2 * (1 - rank))
print_error("faces: no such folder" if rank else "another process ended", lost=not rank)
sys.exit(2)"""
    assert run(program, capfd) == (2, "brule: process 1: faces: no such folder\n")


@pytest.mark.usefixtures("launched")
def test_ctrl_c_reaches_every_process_and_waits_for_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = f"""
try:
    if rank == 0:
        time.sleep(0.5)
        os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.3)
    open({str(tmp_path)!r} + f"/{{rank}}", "w").close()"""
    assert run(program, capfd) == (130, "")
    assert len(list(tmp_path.iterdir())) == 2


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
