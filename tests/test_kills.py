"""A process that is killed at a file operation, any of them, or at any time: nothing is lost, no final name is half-written.

``make test`` tries some operations and moments, ``make test-long`` all operations and a hundred random kills.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from brule import LandmarkDetector
from brule.errors import CheckpointError
from tests.interruption import check_whole, in_fork
from tests.works import COMMANDS, Work, Works, fit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("no_tensorboard"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL"),
]

KILLS = 100  # random ones, in parts that can be run one at a time
STEPS = [pytest.param(17, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)]
PARTS = [pytest.param(part, marks=[] if part == 0 else pytest.mark.long) for part in range(10)]
NAMES = ["train", *(pytest.param(name, marks=pytest.mark.long if name == "export" else []) for name in COMMANDS)]


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Works:
    return Works(tmp_path_factory.mktemp("works"))


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", NAMES)
def test_a_kill_at_a_file_operation_loses_nothing(name: str, step: int, before: bool, works: Works, tmp_path: Path) -> None:
    work = works(name)
    for operation in range(1, work.operations + 1, step):
        out = tmp_path / str(operation)
        ended = in_fork(work.into(out), **{"kill_before" if before else "kill_after": operation})
        assert ended.killed
        check_taken_up(work, out)


def check_taken_up(work: Work, out: Path) -> None:
    """After a kill: no final name is half-written, and the same again ends as if nothing had happened."""
    check_whole(out)
    if (out / "detector.json").exists():
        LandmarkDetector.load(out)
    again = in_fork(work.into(out))
    assert again.code == 0, again.printed
    work.compare(out)
    shutil.rmtree(out)


@pytest.mark.parametrize("part", PARTS)
def test_random_kills_lose_nothing(part: int, works: Works, tmp_path: Path) -> None:
    """Half of them at a file operation, half at any time."""
    drawn = random.Random(part)
    for number in range(KILLS // len(PARTS)):
        names = ["train", *(name for name in COMMANDS if part or name != "export")]  # exporting takes its time
        work, out = works(drawn.choice(names)), tmp_path / str(number)
        operation = drawn.randint(1, work.operations)
        kinds: list[dict[str, Any]] = [{"kill_before": operation}, {"kill_after": operation}]
        kinds += 2 * [{"kill_in": drawn.uniform(0, work.seconds)}]
        in_fork(work.into(out), **drawn.choice(kinds))
        check_taken_up(work, out)


def test_a_run_that_has_lost_its_checkpoint_is_not_begun_anew(tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(run)
    (run / "checkpoint.safetensors").unlink()  # by its user: the detector is finished, and must not be overwritten
    with pytest.raises(CheckpointError, match="holds a detector already"):
        fit(run)


def test_a_damaged_file_counts_as_half_written(tmp_path: Path) -> None:
    """The check of these tests sees what it is to see."""
    for name, content in {"a.json": b'{"a": 1', "a.csv": b"x,y\n1,2\n3", "a.html": b"<html>", "a.safetensors": b"12"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AssertionError, match="half-written"):
            check_whole(tmp_path)
        (tmp_path / name).unlink()
