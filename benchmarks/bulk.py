"""Throughput per core and memory of prediction in parts, beside ``predict``.

``python -m benchmarks.bulk RUN IMAGES [--images 200] [--workers 2]`` predicts the same images with ``detector.predict``, with
``--engine parts`` and on a local Ray cluster, then twice as many on Ray again: memory must not grow with their number. Each
process has one thread. Starting the cluster and loading the detector don't count: the clock runs from the first parts on.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from brule.bulk import Place, fingerprint, plan_parts, predict_parts
from brule.bulk.running import Engine
from brule.data import Sample, find_images
from brule.detector import LandmarkDetector, PredictOptions

PART = 10  # images: small parts, so that a short run has many
OPTIONS = PredictOptions()
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Speed:
    """What a run took, without its start.

    Attributes:
        images: that were predicted.
        seconds: on the clock.
        processor: seconds of processor time, in the processes that predict.
        peak: megabytes of the largest of these processes.
        processes: that predicted at a time.
    """

    images: int
    seconds: float
    processor: float
    peak: float
    processes: int = 1

    def row(self, name: str) -> str:
        """A row of the table."""
        rate = self.images / self.seconds / self.processes
        return f"{name:22s}  {self.images:6d}  {rate:14.2f}  {self.images / self.processor:14.2f}  {self.peak:8.0f}"


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", nargs="+")
    parser.add_argument("--images", type=int, default=200, dest="count")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    paths = find_images(given.images)
    print(f"{'':22s}  images  images/s/core  images/cpu-s  peak MB")
    with TemporaryDirectory() as folder:
        some, more = (_named(paths, Path(folder) / str(count), count) for count in (given.count, 2 * given.count))
        print(predicted(given.run, some).row("predict"))
        print(in_parts(given.run, some).row("--engine parts"))
        for images in (some, more):
            print(on_ray(given.run, images, workers=given.workers).row(f"--engine ray, {given.workers} workers"))
    return 0


def predicted(run: Path, folder: Path) -> Speed:
    """``predict`` on the images of a folder, after a first batch."""
    detector = LandmarkDetector.load(run, device="cpu")
    samples = [Sample(path) for path in find_images(folder)]
    detector.predict(samples[:PART])
    start, busy = time.perf_counter(), time.process_time()
    for first in range(0, len(samples), PART):
        detector.predict(samples[first : first + PART])
    return Speed(len(samples), time.perf_counter() - start, time.process_time() - busy, _peak())


def in_parts(run: Path, folder: Path) -> Speed:
    """The same in parts, in this process."""
    samples: list[tuple[int, float, float]] = []
    _predict(run, folder, engine="parts", show=lambda done: samples.append((done, time.perf_counter(), time.process_time())))
    (first, start, busy), (last, end, ended) = samples[0], samples[-1]
    return Speed((last - first) * PART, end - start, ended - busy, _peak())


def on_ray(run: Path, folder: Path, *, workers: int) -> Speed:
    """The same on a local cluster, from the parts on that come after every worker's first."""
    progress: list[tuple[int, float, float, float]] = []
    before = {process for process, _, _ in _ray_processes()}

    def note_progress(done: int) -> None:
        own = [(busy, peak) for process, busy, peak in _ray_processes() if process not in before]
        progress.append((done, time.perf_counter(), sum(busy for busy, _ in own), max(peak for _, peak in own)))

    _predict(run, folder, engine="ray", show=note_progress, workers=workers)
    (first, start, busy, _), (last, end, ended, peak) = progress[2 * workers - 1], progress[-1]
    return Speed((last - first) * PART, end - start, ended - busy, peak, workers)


def _predict(run: Path, folder: Path, *, engine: Engine, show: Callable[[int], object], workers: int | None = None) -> None:
    plan = plan_parts([str(folder)], detector=fingerprint(run, OPTIONS), part_size=PART)
    with TemporaryDirectory() as output:
        found = predict_parts(
            run, plan, Place(output), options=OPTIONS, engine=engine, workers=workers, device="cpu",
            progress=lambda done, _: show(done),
        )  # fmt: skip
    assert not found.failed, found.failed


def _named(paths: list[Path], folder: Path, count: int) -> Path:
    """A folder of that many links to images; they repeat where there are fewer."""
    folder.mkdir()
    for number, path in enumerate(islice(cycle(paths), count)):
        (folder / f"{number:06d}{path.suffix}").symlink_to(path.resolve())
    return folder


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _ray_processes() -> Iterator[tuple[int, float, float]]:
    """Every worker of Ray on this machine: its number, its seconds of processor time, and its peak in megabytes."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, StopIteration):
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::"):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                status = (entry / "status").read_text().splitlines()
                peak = next(line for line in status if line.startswith("VmHWM")).split()[1]
                yield int(entry.name), (int(fields[11]) + int(fields[12])) / TICK, int(peak) / 1024


if __name__ == "__main__":
    sys.exit(main())
