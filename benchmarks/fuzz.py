"""``python -m benchmarks.fuzz --minutes N``: damaged files for every reader, and what it does with them.

Sound files are written first: annotations in every format that brule writes, images, settings, detectors, a run. Each trial
damages one of them and reads it in a process of its own that is watched. brule may read the file or refuse it with an error of
its own; anything else is a finding: a foreign exception, more than ten seconds, more than a gigabyte, a file opened outside.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

MAX_SECONDS = 10.0
MAX_GROWTH = 2**30  # bytes
NUMBERS = (b"1e999", b"-1", b"0", b"NaN", b"9" * 400, b"4294967296", b"-0.0", b"1e-320", b"true", b"null", b'""', b"[]", b"{}")
INSERTS = (
    b"../../../../etc/passwd",
    b"\x1b[31m",
    b"\x00",
    b"\xff\xfe",
    b"[" * 3000,
    b"<a>" * 2000,
    b"\r\n",
    b'"',
    b",",
    b"=cmd|'x'!A0",
)


@dataclass(frozen=True)
class Target:
    """A sound file, and the function that reads it.

    Attributes:
        name: of the reader, for the report.
        folder: a sound folder, which each trial copies.
        file: the file in it that is damaged.
        read: reads the copied folder.
    """

    name: str
    folder: Path
    file: str
    read: Callable[[Path], object]


@dataclass(frozen=True)
class Finding:
    """A damaged file that brule did not handle; ``seed`` makes it again."""

    target: str
    seed: int
    what: str


@dataclass(frozen=True)
class Report:
    """How many inputs were read or refused, and those that were neither."""

    inputs: int
    outcomes: dict[str, int]
    findings: list[Finding]
    slowest: float
    seconds: float


def damaged(content: bytes, random_: random.Random) -> bytes:
    """One to four random changes of a file's bytes, of the kinds that transfers, editors and attackers make."""
    data = bytearray(content)
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(data) + 1)
        kind = random_.randrange(8)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << random_.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + random_.choice((1, 7, 64, 1000))]
        elif kind == 3:
            end = at + random_.choice((1, 16, 300))
            data[at:at] = data[at:end] * random_.choice((1, 2, 50))
        elif kind == 4:
            data[at:at] = random_.choice(INSERTS)
        elif kind in (5, 6):
            _replace_number(data, random_)
        else:
            data[at : at + random_.randint(1, 8)] = random_.randbytes(random_.randint(1, 8))
    return bytes(data)


def _replace_number(data: bytearray, random_: random.Random) -> None:
    start = next((i for i in range(random_.randrange(len(data) + 1), len(data)) if chr(data[i]).isdigit()), None)
    if start is None:
        return
    end = start
    while end < len(data) and chr(data[end]) in "0123456789.eE+-":
        end += 1
    data[start:end] = random_.choice(NUMBERS)


def targets(folder: Path) -> list[Target]:
    """Write sound files of every kind into a folder, and say how each is read."""
    from brule.data import read_samples, read_shapes
    from brule.data.conversion import convert
    from brule.data.formats import FORMATS
    from brule.data.synthetic import synthetic_faces, write_synthetic_faces
    from brule.errors import BruleError

    faces = synthetic_faces(8, size=32, seed=1)
    write_synthetic_faces(folder / "faces", 3, size=32, seed=1)
    found: list[Target] = []
    for name in FORMATS:
        place = folder / f"format-{name}"
        place.mkdir()
        for image in sorted((folder / "faces").glob("*.[pj][np]g")):
            shutil.copy(image, place)
        suffixes = FORMATS[name].suffixes
        target = place / f"annotations{'.json' if '.json' in suffixes else min(suffixes)}"
        with contextlib.suppress(BruleError):  # a format that is only read
            convert(folder / "faces", target, write_as=name, force=True)
        if target.is_dir():  # a file per image: they belong beside the images
            shutil.rmtree(target)
            convert(folder / "faces", place, write_as=name, force=True)
        written = sorted(path for path in place.rglob("*") if path.is_file() and path.suffix not in (".png", ".jpg"))
        if not written:
            continue
        found += [Target(f"samples {name}", place, str(written[0].relative_to(place)), lambda path: read_samples(path))]
        found += [Target(f"shapes {name}", place, str(written[0].relative_to(place)), lambda path: read_shapes(path))]
    found += [*_images(folder / "images", faces.images[0]), *_settings(folder), *_runs(folder, faces)]
    for one in found:
        one.read(one.folder)  # damage to what can't be read anyway would show nothing
    return found


def _images(folder: Path, content: Any) -> list[Target]:
    from PIL import Image

    folder.mkdir()
    found = []
    for suffix in ("png", "jpg", "tif", "bmp", "gif", "webp"):
        Image.fromarray(content).save(folder / f"a.{suffix}")
        found.append(Target(f"image {suffix}", folder, f"a.{suffix}", partial(_load_image, f"a.{suffix}")))
    return found


def _settings(folder: Path) -> list[Target]:
    """Files that people write: a preset, edges, an annotation project."""
    from brule.annotating import Project, Settings
    from brule.data import read_edges
    from brule.training.config import load_config

    place = folder / "settings"
    place.mkdir()
    (place / "mine.toml").write_text(
        'iterations = 10\nseed = 3\n[encoder]\nwidth = 16\nhead = "softmax"\n[loss]\nmirror = true\n'
    )
    (place / "edges.json").write_text("[[0, 1], [1, 2], [2, 0]]")
    Project(folder / "project", [folder / "faces"])
    return [
        Target("preset", place, "mine.toml", lambda path: load_config(str(path / "mine.toml"))),
        Target("edges", place, "edges.json", lambda path: read_edges(str(path / "edges.json"))),
        Target("project", folder / "project", "project.json", Settings.read),
    ]


def _runs(folder: Path, faces: Any) -> list[Target]:
    """Runs and detectors: a small one that is resumed, and one with all the files that there can be."""
    from brule import LandmarkDetector
    from brule.data import read_samples
    from brule.data.synthetic import write_synthetic_faces
    from brule.detector.run_record import RunRecord
    from brule.training.run_state import RunState

    run, whole = folder / "run", folder / "whole"
    tiny: dict[str, Any] = {
        "encoder.width": 8, "encoder.depth": 1, "crop.image_size": 16, "iterations": 2, "batch_size": 4, "threads": 1,
        "split": 1, "preview_every": 0,
    }  # fmt: skip
    LandmarkDetector(quiet=True, **tiny).fit(faces.images, shapes=faces.points[:4], directory=run)
    (run / "data.json").write_text(json.dumps(asdict(RunRecord(["faces"], False, 8, ["a"], "cpu", working_directory="/"))))
    found = [Target(f"detector {name}", run, name, LandmarkDetector.load) for name in ("detector.json", "model.safetensors")]
    for name in ("checkpoint.safetensors", "config.json", "metrics.jsonl"):
        found.append(Target(f"resume {name}", run, name, lambda path: _resume(path, faces.images)))
    found += [Target(f"watch {name}", run, name, RunState.read) for name in ("config.json", "metrics.jsonl")]
    found.append(Target("run record", run, "data.json", RunRecord.read))
    small = {"image_size": 16, "width": 2, "max_width": 8, "style_dim": 8, "noise_dim": 8, "mapping_depth": 2}
    tiny |= {"gan.enabled": True, "gan.adversarial": 0, **{f"decoder.{key}": value for key, value in small.items()}}
    write_synthetic_faces(folder / "calibrating", 12, size=32, seed=2, start=100)
    detector = LandmarkDetector(quiet=True, **tiny).fit(faces.images, labelled=(faces.images, faces.points))
    detector.calibrate(read_samples(folder / "calibrating"))
    detector.save(whole)
    names = ("decoder.safetensors", "locator.safetensors", "calibration.json", "training_images.json", "detector.json")
    return found + [Target(f"whole {name}", whole, name, LandmarkDetector.load) for name in names]


def _load_image(name: str, folder: Path) -> object:
    from brule.data.images import load_image

    return load_image(folder / name)


def _resume(run: Path, images: Any) -> object:
    from brule import LandmarkDetector

    return LandmarkDetector(quiet=True).fit(images, directory=run, resume=True)


def _worker(connection: Connection, found: list[Target], scratch: Path) -> None:
    """Read damaged files until ``None`` arrives, and send the outcome of each."""
    import torch

    from brule.errors import BruleError

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    allowed = _watch_files(scratch)
    while (task := connection.recv()) is not None:
        index, seed = task
        target = found[index]
        place = scratch / "trial"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(target.folder, place)
        path = place / target.file
        path.write_bytes(damaged(path.read_bytes(), random.Random(seed)))
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        allowed.clear()
        try:
            target.read(place)
            outcome = "read"
        except BruleError:
            outcome = "refused"
        except BaseException as error:
            outcome = f"foreign {type(error).__name__}: {str(error)[:200]}"
        seconds = time.monotonic() - began
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        if grown > MAX_GROWTH:
            outcome = f"memory: {grown / 2**20:.0f} MiB"
        if allowed:
            outcome = f"outside: {allowed[0]}"
        connection.send((outcome, seconds))


def _watch_files(scratch: Path) -> list[str]:
    """Files that were opened, for reading or writing, though they belong neither to Python nor to the trial."""
    opened: list[str] = []
    roots = tuple(str(Path(root).resolve()) for root in {*sys.path, sys.prefix, sys.base_prefix, str(scratch)} if root)
    roots += ("/dev", "/proc", "/sys", "/usr/share", "/usr/lib", "/lib", os.environ.get("BRULE_CACHE", "/nowhere"))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            name = os.path.realpath(os.fsdecode(arguments[0]))
            if not name.startswith(roots):
                opened.append(name)

    sys.addaudithook(hook)
    return opened


class _Watched:
    """A worker process; one that takes too long is replaced."""

    def __init__(self, found: list[Target], scratch: Path) -> None:
        self._found, self._scratch = found, scratch
        self._start()

    def _start(self) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")  # the readers are functions of this process
        self._process = context.Process(target=_worker, args=(theirs, self._found, self._scratch), daemon=True)
        self._process.start()

    def read(self, index: int, seed: int) -> tuple[str, float]:
        self._connection.send((index, seed))
        if self._connection.poll(3 * MAX_SECONDS):  # most of it for a busy machine; what took longer than allowed is reported
            try:
                outcome, seconds = self._connection.recv()
            except EOFError:
                self._start()
                return "crash: the process ended", 0.0
            return (outcome, seconds) if seconds <= MAX_SECONDS else (f"hang: {seconds:.1f} s", seconds)
        self._process.kill()
        self._process.join()
        self._start()
        return f"hang: more than {3 * MAX_SECONDS:.0f} s", 3 * MAX_SECONDS

    def close(self) -> None:
        self._connection.send(None)
        self._process.join(5)


def fuzz(*, inputs: int | None = None, minutes: float | None = None, seed: int = 0) -> Report:
    """Damage files until a number of inputs, or of minutes, is reached.

    Args:
        inputs: how many at most.
        minutes: how long at most.
        seed: of the damage; the same seed damages the same way.
    """
    began, outcomes, findings, slowest = time.monotonic(), Counter[str](), [], 0.0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name).resolve()
        (scratch / "sound").mkdir()
        found = targets(scratch / "sound")
        worker = _Watched(found, scratch)
        for count in _counted(inputs, minutes):
            index, own = count % len(found), seed * 10**9 + count
            outcome, seconds = worker.read(index, own)
            outcomes[outcome.split(":")[0].split(" ")[0]] += 1
            slowest = max(slowest, seconds)
            if outcome not in ("read", "refused"):
                findings.append(Finding(found[index].name, own, outcome))
        worker.close()
    return Report(sum(outcomes.values()), dict(outcomes), findings, slowest, time.monotonic() - began)


def _counted(inputs: int | None, minutes: float | None) -> Iterator[int]:
    began, count = time.monotonic(), 0
    while (inputs is None or count < inputs) and (minutes is None or time.monotonic() - began < 60 * minutes):
        yield count
        count += 1


def main() -> int:
    """Fuzz from the command line; the exit code is 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--inputs", type=int, help="how many inputs at most (default: as time allows)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the damage (default: 0)")
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args()
    report = fuzz(inputs=options.inputs, minutes=options.minutes, seed=options.seed)
    print(f"{report.inputs} damaged files in {report.seconds:.0f} s: {report.outcomes}; slowest {report.slowest:.1f} s")
    for finding in report.findings:
        print(f"{finding.target}, seed {finding.seed}: {finding.what}")
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
