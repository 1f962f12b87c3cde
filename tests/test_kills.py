"""A process that is killed at a file operation, any of them: nothing is lost, and no half-written file has a final name.

The process is forked, so that a trial costs no import, and counts its renames, syncs and removals; it kills itself just before,
or just after, the one that it was told. ``make test`` tries some operations, ``make test-long`` all of them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces, write_synthetic_faces
from brule.errors import CheckpointError
from brule.training.checkpoint import read_safetensors

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("no_tensorboard"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL"),
]

FACES = synthetic_faces(12, size=32)
SETTINGS: dict[str, Any] = {
    "iterations": 4, "batch_size": 4, "checkpoint_every": 2, "preview_every": 3, "log_every": 3, "time_limit": 0, "threads": 1,
    "split": 1, "crop.image_size": 16, "encoder.width": 8, "encoder.depth": 1, "precision": "float32", "seed": 1,
}  # fmt: skip
OPERATIONS = ("replace", "fsync", "unlink")


def fit(run: Path) -> LandmarkDetector:
    """Go on with the run where there is one to go on with, else begin."""
    resume = (run / "checkpoint.safetensors").exists()
    settings = {} if resume else SETTINGS
    detector = LandmarkDetector("cpu", quiet=True, **settings)
    return detector.fit(FACES.images, shapes=None if resume else FACES.points[:4], directory=run, resume=resume)


def in_fork(work: Callable[[], object], *, kill_at: int, before: bool) -> tuple[bool, int]:
    """Do the work in a process of its own that kills itself at a file operation.

    Returns:
        Whether it was killed, and how many operations it counted.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        done = 0

        def counted(genuine: Callable[..., Any]) -> Callable[..., Any]:
            def operation(*arguments: Any, **keywords: Any) -> Any:
                nonlocal done
                done += 1
                if done == kill_at and before:
                    os.kill(os.getpid(), signal.SIGKILL)
                try:
                    return genuine(*arguments, **keywords)
                finally:
                    if done == kill_at:
                        os.kill(os.getpid(), signal.SIGKILL)

            return operation

        for name in OPERATIONS:
            setattr(os, name, counted(getattr(os, name)))
        code = 1
        try:
            work()
            code = 0
        finally:
            os.write(writer, str(done).encode())
            os._exit(code)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    count = os.read(reader, 20)
    os.close(reader)
    killed = os.WIFSIGNALED(status)
    assert killed or os.WEXITSTATUS(status) == 0, "the work failed of itself"
    return killed, int(count or 0)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A whole run, and how many file operations it takes."""
    run = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("brule.training.logging._tensorboard", lambda directory: None)
        _, count = in_fork(lambda: fit(run), kill_at=0, before=True)
    return run, count


STEPS = [pytest.param(17, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_killed_training_is_taken_up_or_begun_again_and_ends_the_same(
    step: int, before: bool, uninterrupted: tuple[Path, int], tmp_path: Path
) -> None:
    whole, count = uninterrupted
    assert count > 10
    for kill_at in range(1, count + 1, step):
        run = tmp_path / f"run{kill_at}"
        killed, _ = in_fork(lambda: fit(run), kill_at=kill_at, before=before)  # noqa: B023
        assert killed
        check_whole(run)
        killed, _ = in_fork(lambda: fit(run), kill_at=0, before=True)  # noqa: B023
        assert not killed
        compare(run, whole)
        shutil.rmtree(run)


def check_whole(run: Path) -> None:
    """What has a final name can be read."""
    for path in sorted(run.rglob("*")) if run.exists() else []:
        if path.name.startswith("."):
            continue
        if path.suffix == ".json":
            json.loads(path.read_text())
        if path.suffix == ".safetensors":
            read_safetensors(path)
    if (run / "detector.json").exists():
        LandmarkDetector.load(run)


def compare(run: Path, whole: Path) -> None:
    """The same files with the same content; seconds apart."""
    names = [sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) for folder in (run, whole)]
    assert names[0] == names[1], "litter, or something is missing"
    for name in ("model.safetensors", "checkpoint.safetensors"):
        ours, theirs = (read_safetensors(folder / name)[0] for folder in (run, whole))
        assert ours.keys() == theirs.keys() and all(ours[key].equal(theirs[key]) for key in ours)
    metrics = [
        [without_seconds(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] for folder in (run, whole)
    ]
    assert metrics[0] == metrics[1]
    for preview in whole.glob("previews/*"):
        assert (run / "previews" / preview.name).read_bytes() == preview.read_bytes()


def without_seconds(line: str) -> dict[str, float]:
    record: dict[str, float] = json.loads(line)
    del record["seconds"]
    return record


def test_a_run_that_has_lost_its_checkpoint_is_not_begun_anew(tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(run)
    (run / "checkpoint.safetensors").unlink()  # by its user: the detector is finished, and must not be overwritten
    with pytest.raises(CheckpointError, match="holds a detector already"):
        fit(run)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("detector")
    write_synthetic_faces(folder / "faces", 3, size=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("brule.training.logging._tensorboard", lambda directory: None)
        fit(folder / "run")
    return folder / "run", folder / "faces"


@pytest.mark.parametrize("command", ["predict", "evaluate", "convert"])
@pytest.mark.parametrize("step", STEPS)
def test_a_killed_command_leaves_whole_files_and_runs_again(
    command: str, step: int, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    from brule.cli import main

    run, faces = trained
    out = tmp_path / "out"
    words = {
        "predict": ["predict", str(run), str(faces), "-o", str(out)],
        "evaluate": ["evaluate", str(run), "--data", str(faces), "-o", str(out)],
        "convert": ["data", "convert", str(faces), str(out), "--to", "labelme"],
    }[command]

    def work() -> None:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        if code := main(words):
            raise SystemExit(code)

    _, count = in_fork(work, kill_at=0, before=True)
    expected = {path.relative_to(out) for path in out.rglob("*")}
    shutil.rmtree(out)
    for kill_at in range(1, count + 1, step):
        in_fork(work, kill_at=kill_at, before=True)
        check_readable(out)
        shutil.rmtree(out, ignore_errors=True)  # commands refuse to overwrite what another call wrote
        in_fork(work, kill_at=0, before=True)
        assert {path.relative_to(out) for path in out.rglob("*")} == expected
        shutil.rmtree(out)


def check_readable(folder: Path) -> None:
    from PIL import Image

    for path in folder.rglob("*"):
        if path.name.startswith("."):
            continue
        if path.suffix == ".json":
            json.loads(path.read_text())
        if path.suffix in (".png", ".jpg"):
            with Image.open(path) as image:
                image.load()
