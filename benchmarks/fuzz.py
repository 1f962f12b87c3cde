"""``python -m benchmarks.fuzz --minutes N``: damaged files for every reader, and what it does with them.

Sound files are written first: annotations in every format that brule writes, images, settings, detectors, a run. Each trial
damages one of them and reads it in a process of its own that is watched. brule may read the file or refuse it with an error of
its own; anything else is a finding: a foreign exception, more than ten seconds, more than a gigabyte, a file opened outside.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.fuzz_targets import Target, targets
from brule.errors import BruleError, DataError

MAX_SECONDS = 10.0  # of the processor: other work on the machine doesn't count
_WAIT = 12  # times as long is waited for one that sleeps
MAX_GROWTH = 2**30  # bytes


@dataclass(frozen=True)
class Finding:
    """A damaged file that brule did not handle; ``seed`` makes it again."""

    target: str
    seed: int
    what: str


@dataclass(frozen=True)
class Report:
    """How many inputs were read or refused, and those that were neither.

    Attributes:
        inputs: how many there were.
        outcomes: how many of each kind.
        findings: those that were neither read nor refused.
        slowest: seconds of the processor that one took at most.
        most_memory: bytes by which a process grew for one, at most.
        seconds: that all took.
    """

    inputs: int
    outcomes: dict[str, int]
    findings: list[Finding]
    slowest: float
    most_memory: int
    seconds: float


class Memory:
    """How much a process has grown at its peak, in bytes, since this was made."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # forget the peak so far
        self._before = _peak()

    def grown(self) -> int:
        """Since it was made; never less than the truth where the system can't forget an earlier peak."""
        return _peak() - self._before


def _processor() -> float:
    """Seconds that this process and its children used so far."""
    return sum(os.times()[:4])


def _peak() -> int:
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _worker(connection: Connection, found: list[Target], scratch: Path) -> None:
    """Read damaged files until ``None`` arrives, and send the outcome of each."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    outside, children = _watch_files(scratch), _fork_for_hdf5()
    while (task := connection.recv()) is not None:
        index, seed = task
        target = found[index]
        place = scratch / "trial"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(target.folder, place)
        path = place / target.file
        path.write_bytes(target.damage(path.read_bytes(), random.Random(seed)))
        memory, began = Memory(), _processor()
        outside.clear()
        children.clear()
        outcome = _outcome(target, place)
        opened = list(outside)
        seconds, grown = _processor() - began, max([memory.grown(), *children])
        if grown > MAX_GROWTH:
            outcome = f"memory: {grown / 2**20:.0f} MiB"
        if opened:
            outcome = f"outside: {opened[0]}"
        connection.send((outcome, seconds, grown))


def _outcome(target: Target, place: Path) -> str:
    try:
        target.read(place)
    except BruleError as error:
        try:
            str(error).encode()
        except UnicodeEncodeError:
            return f"foreign: a message that can't be written: {error!r}"[:200]
        return "refused"
    except BaseException as error:
        return f"foreign {type(error).__name__}: {ascii(str(error))[:200]}"
    return "read"


def _fork_for_hdf5() -> list[int]:
    """Have HDF5 read in forked processes instead of new ones, which takes a tenth of the time.

    Returns:
        By how much each grew.
    """
    grown: list[int] = []
    if importlib.util.find_spec("h5py") is None:
        return grown
    import h5py  # noqa: F401  # once, not in each

    from brule.data.formats import hdf5, hdf5_arrays

    def read(connection: Connection, path: Path) -> None:
        memory = Memory()
        connection.send((hdf5_arrays.archive(str(path)), memory.grown()))
        os._exit(0)

    def archive(path: Path) -> bytes:
        ours, theirs = multiprocessing.Pipe()
        if (child := os.fork()) == 0:
            read(theirs, path)
        theirs.close()
        try:
            if not ours.poll(hdf5.seconds_for(path)):
                raise DataError(f"{path}: stuck")
            content, own = ours.recv()
        except EOFError:
            raise DataError(f"{path}: crashed") from None
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        grown.append(own)
        return bytes(content)

    hdf5._archive = archive
    return grown


def _watch_files(scratch: Path) -> list[str]:
    """Files that were opened, for reading or writing, though they belong neither to Python nor to the trial."""
    opened: list[str] = []
    roots = [str(Path(root).resolve()) for root in {*sys.path, sys.prefix, sys.base_prefix, str(scratch)} if root]
    roots += ["/dev", f"/proc/{os.getpid()}", "/sys", "/usr/share", "/usr/lib", "/lib"]
    roots += [os.environ["BRULE_CACHE"]] if os.environ.get("BRULE_CACHE") else []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            name = os.path.realpath(os.fsdecode(arguments[0]))
            if not any(name == root or name.startswith(f"{root}{os.sep}") for root in roots):
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
        theirs.close()  # so that the end of the process ends the connection

    def read(self, index: int, seed: int) -> tuple[str, float, int]:
        """What came of it, in how many seconds, with how much memory."""
        self._connection.send((index, seed))
        if self._connection.poll(_WAIT * MAX_SECONDS):
            try:
                outcome, seconds, grown = self._connection.recv()
            except EOFError:
                self._process.join()
                self._start()
                return "crash: the process ended", 0.0, 0
            return (outcome if seconds <= MAX_SECONDS else f"hang: {seconds:.1f} s"), seconds, grown
        self._process.kill()
        self._process.join()
        self._start()
        return f"hang: more than {_WAIT * MAX_SECONDS:.0f} s", _WAIT * MAX_SECONDS, 0

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
    began, outcomes, findings, slowest, most = time.monotonic(), Counter[str](), [], 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name).resolve()
        (scratch / "sound").mkdir()
        found = targets(scratch / "sound")
        worker = _Watched(found, scratch)
        for count in _counted(inputs, minutes):
            index, own = count % len(found), seed * 10**9 + count
            outcome, seconds, grown = worker.read(index, own)
            outcomes[outcome.split(":")[0].split(" ")[0]] += 1
            slowest, most = max(slowest, seconds), max(most, grown)
            if outcome not in ("read", "refused"):
                findings.append(Finding(found[index].name, own, outcome))
        worker.close()
    return Report(sum(outcomes.values()), dict(outcomes), findings, slowest, most, time.monotonic() - began)


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
    print(
        f"{report.inputs} damaged files in {report.seconds:.0f} s: {report.outcomes}; slowest {report.slowest:.1f} s, "
        f"most memory {report.most_memory >> 20} MiB"
    )
    for finding in report.findings:
        print(f"{finding.target}, seed {finding.seed}: {finding.what}")
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
