"""A process that lives long: fits and predicts again and again, forks, streams; nothing is left over."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces, write_synthetic_faces

pytestmark = pytest.mark.usefixtures("no_tensorboard")

FACES = synthetic_faces(8, size=32)
TINY: dict[str, Any] = {
    "iterations": 1, "batch_size": 4, "threads": 1, "split": 1, "crop.image_size": 16, "encoder.width": 8, "encoder.depth": 1,
    "precision": "float32", "preview_every": 0,
}  # fmt: skip
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")


def tiny(**changes: Any) -> LandmarkDetector:
    return LandmarkDetector(quiet=True, **(TINY | changes))


def anonymous_memory() -> int:
    """Memory of this process that isn't a file's, in bytes, after the rubbish was collected."""
    gc.collect()
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
    return 1024 * int(line.split()[1])


def descriptors() -> set[str]:
    """What is open, by number and file: a descriptor that was closed and given to another file counts as another."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of this listing
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return found


def cycle(folder: Path) -> None:
    """Fit into a folder and from files, predict, save, load, be refused."""
    run = folder / "run"
    detector = tiny().fit(folder / "faces", shapes=FACES.points[:4], directory=run)
    detector.predict(folder / "faces")
    LandmarkDetector.load(run).predict(FACES.images[:2])
    for path in sorted(run.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@needs_proc
@pytest.mark.parametrize("cycles", [20, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.slow
def test_cycles_of_fit_and_predict_leave_nothing_over(cycles: int, tmp_path: Path) -> None:
    write_synthetic_faces(tmp_path / "faces", 6, size=32)
    for _ in range(5):  # what is made once: pools, caches, imports
        cycle(tmp_path)
    open_before, threads_before, start = descriptors(), set(threading.enumerate()), anonymous_memory()
    for _ in range(cycles):
        cycle(tmp_path)
    # Not their numbers: a thread that an earlier test left behind may end meanwhile.
    assert descriptors() - open_before == set()
    assert set(threading.enumerate()) - threads_before == set()
    grown = anonymous_memory() - start
    assert grown < 2**20 * max(8, cycles // 10), f"{grown / 2**20:.1f} MiB in {cycles} cycles"


@needs_proc
@pytest.mark.parametrize("count", [2000, pytest.param(20_000, marks=pytest.mark.long)])
@pytest.mark.slow
def test_streamed_predictions_take_no_more_memory(count: int) -> None:
    detector = tiny().fit(FACES.images, shapes=FACES.points[:4])

    def images(n: int) -> Iterator[np.ndarray]:
        for i in range(n):
            yield FACES.images[i % len(FACES.images)].copy()

    for _ in detector.iter_predict(images(256), batch_size=32):
        pass
    start, total = anonymous_memory(), 0
    for _, landmarks in detector.iter_predict(images(count), batch_size=32):
        total += len(landmarks.points)
    assert total == count
    grown = anonymous_memory() - start
    assert grown < 8 * 2**20, f"{grown / 2**20:.1f} MiB for {count} images"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("threads", [1, 2])
def test_predict_works_after_a_fork(threads: int, tmp_path: Path) -> None:
    """As in servers that load a detector and then fork their workers. PyTorch's own threads would wait for ever there."""
    detector = tiny().fit(FACES.images, shapes=FACES.points[:4])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        expected = detector.predict(FACES.images).points
        child = os.fork()
        if child == 0:
            code = 1
            try:
                found = detector.predict(FACES.images).points
                code = 0 if torch.allclose(found, expected, atol=1e-3) and torch.get_num_threads() == 1 else 3
            finally:
                os._exit(code)
        until = time.monotonic() + 60
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < until:
            time.sleep(0.05)
        if ended[0] == 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the forked process hangs")
        assert os.waitstatus_to_exitcode(ended[1]) == 0
    finally:
        torch.set_num_threads(before)


def test_fit_and_predict_in_threads_at_once_equal_one_after_the_other() -> None:
    detector = tiny().fit(FACES.images, shapes=FACES.points[:4])
    expected = [detector.predict(FACES.images[i : i + 1]).points for i in range(len(FACES.images))]
    alone = tiny(seed=5).fit(FACES.images, shapes=FACES.points[:4]).predict(FACES.images).points
    wrong: list[str] = []

    def predict(i: int) -> None:
        for _ in range(5):
            if not torch.equal(detector.predict(FACES.images[i : i + 1]).points, expected[i]):
                wrong.append(f"image {i}")

    def fit() -> None:
        if not torch.equal(tiny(seed=5).fit(FACES.images, shapes=FACES.points[:4]).predict(FACES.images).points, alone):
            wrong.append("fit")

    work = [threading.Thread(target=predict, args=(i,)) for i in range(4)] + [threading.Thread(target=fit) for _ in range(2)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("fails", [False, True])
def test_fit_restores_the_threads_of_torch(fails: bool) -> None:
    before = torch.get_num_threads()
    detector = tiny(threads=2)

    def refuse(trained: LandmarkDetector) -> None:
        assert torch.get_num_threads() == 2
        if fails:
            raise KeyError("the user's own")

    try:
        detector.fit(FACES.images, shapes=FACES.points[:4], on_checkpoint=refuse)
    except KeyError:
        assert fails
    assert torch.get_num_threads() == before


def test_crops_are_read_by_several_threads_at_once() -> None:
    """As a server does that cuts out its crops itself: two threads of PyTorch's, and four that ask."""
    detector = tiny().fit(FACES.images, shapes=FACES.points[:4])
    crops = np.concatenate([FACES.images] * 4)[:, ::2, ::2]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = detector.predict_crops(crops).points
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: detector.predict_crops(crops).points, range(40)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, expected) for one in found)
