"""A disk that is full, read-only or broken: every command says so in one message, and what was there stays as it was."""

from __future__ import annotations

import errno
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brule import LandmarkDetector
from brule.errors import OutputError
from tests.interruption import Ended, check_whole, in_fork
from tests.works import COMMANDS, FACES, SETTINGS, Work, Works, files_of, fit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("no_tensorboard"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork"),
]

ERRORS = ("ENOSPC", "EDQUOT", "EROFS", "EIO", "EACCES")
NAMES = ["train", *(pytest.param(name, marks=pytest.mark.long if name == "export" else []) for name in COMMANDS)]
SAYS = re.compile(r"can't be (written|kept there|made)")


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Works:
    return Works(tmp_path_factory.mktemp("works"))


def check_refused(ended: Ended, what: str) -> None:
    """One plain message, and the exit code of what a user can mend."""
    assert ended.code in (1, 2) and not ended.killed, (what, ended)
    assert SAYS.search(ended.printed), (what, ended.printed)
    assert "Traceback" not in ended.printed and "unexpected" not in ended.printed, (what, ended.printed)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_system_that_refuses_from_some_operation_on(name: str, error: str, works: Works, tmp_path: Path) -> None:
    """Into a new folder; afterwards the same again ends as if nothing had happened."""
    work = works(name)
    first = 1 + 5 * ERRORS.index(error) % work.creations  # different operations for different errors
    for operation in range(first, work.creations + 1, 97):
        check_refusal(work, tmp_path / str(operation), operation=operation, error=error)


@pytest.mark.long
@pytest.mark.parametrize("name", ["train", *COMMANDS])
def test_a_file_system_that_refuses_from_any_operation_on(name: str, works: Works, tmp_path: Path) -> None:
    """All operations, with the errors in turn: where an operation fails matters more than with which of them."""
    work = works(name)
    for operation in range(1, work.creations + 1):
        check_refusal(work, tmp_path / str(operation), operation=operation, error=ERRORS[operation % len(ERRORS)])


def check_refusal(work: Work, out: Path, *, operation: int, error: str) -> None:
    ended = in_fork(work.into(out), refuse_from=operation, error=getattr(errno, error))
    if not ended.refused:  # the last operations remove files, which is never refused
        assert ended.code == 0, ended.printed
        work.compare(out)
        return
    check_refused(ended, f"operation {operation}")
    check_whole(out)
    assert not [path for path in files_of(out) if ".part" in path]
    again = in_fork(work.into(out))
    assert again.code == 0, again.printed
    work.compare(out)
    shutil.rmtree(out)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", ["predict", "evaluate", "convert"])
def test_what_an_earlier_call_wrote_stays_readable(name: str, error: str, works: Works, tmp_path: Path) -> None:
    work, out = works(name), tmp_path / "out"
    shutil.copytree(work.whole, out)
    for operation in range(1, work.creations + 1, 5):
        ended = in_fork(work.into(out), refuse_from=operation, error=getattr(errno, error))
        if ended.operations < operation:  # folders that are there already needn't be made: fewer operations than at first
            assert operation > 1 and ended.code == 0, ended.printed
            break
        check_refused(ended, f"operation {operation}")
        check_whole(out)
        assert files_of(out) == files_of(work.whole)


@pytest.mark.parametrize("limit", [0, 300, 4000, 40_000])
@pytest.mark.parametrize("name", NAMES)
def test_files_that_may_not_grow(name: str, limit: int, works: Works, tmp_path: Path) -> None:
    """A limit of the system, which meets every writer, also those that aren't Python."""
    work, out = works(name), tmp_path / "out"
    whole = in_fork(work.into(tmp_path / "enough"))
    assert whole.code == 0

    def limited() -> object:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return work.into(out)()

    largest = max(path.stat().st_size for path in work.whole.rglob("*") if path.is_file())
    ended = in_fork(limited)
    if largest <= limit:
        assert ended.code == 0, ended.printed
        return
    check_refused(ended, f"{limit} bytes")
    check_whole(out)
    assert in_fork(work.into(out)).code == 0
    work.compare(out)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 KiB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=False)


def test_a_disk_that_is_full_and_then_has_room(small_disk: Path, works: Works) -> None:
    work, run = works("train"), small_disk / "run"
    ended = in_fork(work.into(run))
    check_refused(ended, "a small disk")
    assert "the disk is full" in ended.printed or "No space" in ended.printed, ended.printed
    check_whole(run)
    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    assert in_fork(work.into(run)).code == 0
    work.compare(run)


def test_a_disk_that_becomes_read_only(small_disk: Path, works: Works) -> None:
    work, out = works("convert"), small_disk / "out"
    assert in_fork(work.into(out)).code == 0
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    ended = in_fork(work.into(out))
    check_refused(ended, "read-only")
    assert "Read-only" in ended.printed
    work.compare(out)


def test_a_run_whose_folder_is_removed_ends_with_a_message(tmp_path: Path) -> None:
    """It doesn't make the folder anew: somebody else may be about to use the name."""
    run = tmp_path / "run"

    def remove(detector: LandmarkDetector) -> None:
        if run.is_dir():
            shutil.rmtree(run)

    settings: dict[str, Any] = SETTINGS | {"iterations": 50, "checkpoint_every": 2, "log_every": 1}
    detector = LandmarkDetector("cpu", quiet=True, **settings)
    with pytest.raises(OutputError, match="the run's folder was removed"):
        detector.fit(FACES.images, shapes=FACES.points[:4], directory=run, on_checkpoint=remove)
    assert not run.exists()
    fit(run)  # and the name can be used again
    assert (run / "checkpoint.safetensors").exists()
