"""One training a folder; a refused fit changes nothing; threads draw what their seeds say."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import pytest
import torch

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.detector import exclusive
from brule.detector.exclusive import LOCK, sole_use
from brule.errors import BruleError, CheckpointError, ConfigError, DataError, OutputError
from brule.training.config import load_config
from brule.training.run import build_model

pytestmark = pytest.mark.usefixtures("no_tensorboard")

FACES = synthetic_faces(12, size=32)
TINY: dict[str, Any] = {
    "iterations": 2, "batch_size": 4, "threads": 1, "split": 1, "crop.image_size": 16, "encoder.width": 8, "encoder.depth": 1,
    "precision": "float32", "preview_every": 0,
}  # fmt: skip
HOLD = "import sys, time; from pathlib import Path; from brule.detector.exclusive import sole_use\n"
HOLD += "with sole_use(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


def tiny(**changes: Any) -> LandmarkDetector:
    return LandmarkDetector(quiet=True, **(TINY | changes))


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_second_process_is_refused_until_the_first_one_is_gone_however_it_went(tmp_path: Path) -> None:
    run = tmp_path / "run"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(run)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    try:
        with pytest.raises(CheckpointError, match="another training writes into this folder"):
            tiny().fit(FACES.images, shapes=FACES.points[:4], directory=run)
        assert [path.name for path in run.iterdir()] == [LOCK]
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
        other.stdout.close()
    tiny().fit(FACES.images, shapes=FACES.points[:4], directory=run)
    assert (run / "checkpoint.safetensors").exists()


def test_a_second_thread_is_refused_and_the_first_may_enter_again(tmp_path: Path) -> None:
    refused = []

    def enter() -> None:
        try:
            with sole_use(tmp_path):
                pass
        except CheckpointError:
            refused.append(True)

    with sole_use(tmp_path), sole_use(tmp_path):
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    assert refused == [True]
    enter()
    assert refused == [True]


def test_a_training_that_never_begins_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        tiny().fit(["/nonexistent.png"], shapes=FACES.points[:4], directory=tmp_path / "a" / "run")
    assert not (tmp_path / "a").exists()


def test_a_refused_fit_leaves_the_detector_as_it_was(tmp_path: Path) -> None:
    detector = tiny().fit(FACES.images, shapes=FACES.points[:4])
    before = detector.predict(FACES.images[:2]).points
    with pytest.raises(BruleError):
        detector.fit(["/nonexistent.png"] * 8, shapes=[points[:5] for points in FACES.points[:4]])
    assert len(detector.barycenter_) == 68
    assert torch.equal(detector.predict(FACES.images[:2]).points, before)
    detector.save(tmp_path)
    assert torch.equal(LandmarkDetector.load(tmp_path).predict(FACES.images[:2]).points, before)


def test_a_resumed_fit_takes_no_other_shapes(tmp_path: Path) -> None:
    tiny().fit(FACES.images, shapes=FACES.points[:4], directory=tmp_path)
    with pytest.raises(ConfigError, match="leave shapes out"):
        tiny(iterations=3).fit(FACES.images, shapes=FACES.points[4:8], directory=tmp_path, resume=True)


def test_fit_leaves_the_number_of_threads_alone() -> None:
    before = torch.get_num_threads()
    tiny(threads=2).fit(FACES.images, shapes=FACES.points[:4])
    assert torch.get_num_threads() == before


def test_weights_drawn_in_threads_are_those_of_their_seeds() -> None:
    configs = [load_config("cpu", {"seed": seed, **TINY}) for seed in range(4)]
    barycenter = torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    expected = [build_model(barycenter, config).state_dict() for config in configs]
    wrong: list[int] = []

    def draw(number: int) -> None:
        for _ in range(5):
            drawn = build_model(barycenter, configs[number]).state_dict()
            wrong.extend([number] * any(not torch.equal(drawn[key], expected[number][key]) for key in drawn))

    threads = [threading.Thread(target=draw, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


TRAIN = """
import signal, sys
for name in ("SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)  # whatever started the tests may ignore it, as nohup does
from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
faces = synthetic_faces(12, size=32)
settings = {settings!r}
detector = LandmarkDetector(quiet=True, **settings)
detector.fit(faces.images, shapes=faces.points[:4], directory=sys.argv[1])
print("ended", detector.finished_, detector.progress_.iteration > 0)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="these signals are POSIX's")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_signal_of_a_cluster_ends_a_run_like_ctrl_c(number: str, tmp_path: Path) -> None:
    script = TRAIN.format(settings=TINY | {"iterations": 10**6, "checkpoint_every": 10**6, "time_limit": 0})
    run = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", script, str(run)], stdout=subprocess.PIPE, text=True)
    while not (run / "metrics.jsonl").exists() or not (run / "metrics.jsonl").read_text():
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(getattr(signal, number))
    try:
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "ended False True\n")
    done = LandmarkDetector.load(run).progress_.iteration
    resumed = LandmarkDetector(quiet=True, iterations=done + 1).fit(FACES.images, directory=run, resume=True)
    assert (resumed.progress_.iteration, resumed.finished_) == (done + 1, True)


@pytest.fixture
def locks_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows, which doesn't remove a file that is open: here, as long as the folder is held."""
    genuine = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.name == LOCK and open_locks:
            raise PermissionError(13, "The process cannot access the file because it is being used", str(self))
        genuine(self, missing_ok)

    open_locks: list[str] = []
    made = exclusive.file_lock

    @contextmanager
    def watched(path: Path, **options: Any) -> Iterator[bool]:
        with made(path, **options) as held:
            open_locks.append(str(path))
            yield held
        open_locks.remove(str(path))

    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(exclusive, "file_lock", watched)


def test_a_lock_that_is_open_is_removed_once_it_is_closed(locks_stay: None, tmp_path: Path) -> None:
    with sole_use(tmp_path / "a" / "run"):
        assert (tmp_path / "a" / "run" / LOCK).exists()
    assert not (tmp_path / "a").exists()
    (tmp_path / "run").mkdir()
    with sole_use(tmp_path / "run"):
        pass


def test_a_lock_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any, **keywords: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / LOCK))

    monkeypatch.setattr(filelock.FileLock, "acquire", full)
    with pytest.raises(OutputError, match="the disk is full"), sole_use(tmp_path):
        pass
    assert sole_use(tmp_path)  # nobody holds it


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("no flock"), PermissionError(13, "denied")]
)
def test_where_there_are_no_locks_a_training_goes_on_with_a_warning(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / LOCK).touch()  # such as one of another user

    def refuse(*given: Any, **keywords: Any) -> None:
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with caplog.at_level(logging.WARNING, "brule"), sole_use(tmp_path):
        pass
    assert f"{tmp_path}: can't be locked here" in caplog.text


def test_a_run_without_a_checkpoint_has_to_be_started_anew(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="ended before its first checkpoint; start it anew, without resume"):
        tiny().fit(FACES.images, directory=tmp_path, resume=True)
