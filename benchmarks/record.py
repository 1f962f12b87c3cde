"""What was measured, and on what machine: a JSON file, and two of them compared."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.profiling import Profile
from benchmarks.roofline import Peaks
from benchmarks.timing import Timing
from benchmarks.work import Case
from brule import __version__
from brule.errors import DataError
from brule.files import write_text

FORMAT = "brule-bench-1"
_PACKAGES = ("torch", "numpy", "scipy", "pillow", "onnxruntime", "POT", "geomloss", "albumentations", "opencv-python-headless")


@dataclass(frozen=True)
class Result:
    """One measurement.

    Attributes:
        case: of what.
        timing: durations.
        precision: of the matrix products.
        memory: the most that was taken on the way, in bytes; ``None`` where it can't be measured.
        flops: of matrix products and convolutions.
        bytes: of inputs and outputs of all operations.
        share: of the nearer of the machine's peaks; ``None`` where PyTorch doesn't do most of it.
        bound: which peak that is.
    """

    case: Case
    timing: Timing
    precision: str = "float32"
    memory: int | None = None
    flops: int | None = None
    bytes: int | None = None
    share: float | None = None
    bound: str | None = None


@dataclass(frozen=True)
class Against:
    """Two ways to one result.

    Attributes:
        case: of what.
        baseline: the other way.
        ours: durations of ours.
        theirs: durations of theirs.
        difference: the largest of the values and gradients, over the largest of ours; ``None`` if they can't be compared.
    """

    case: Case
    baseline: str
    ours: Timing
    theirs: Timing
    difference: float | None

    @property
    def factor(self) -> float:
        """How many times faster ours is."""
        return self.theirs.median / self.ours.median


@dataclass(frozen=True)
class Record:
    """A whole run of ``python -m benchmarks``.

    Attributes:
        machine: device, threads, versions.
        settings: of the networks, and how long was measured.
        peaks: of the machine; ``None`` if no part needed them.
        results: of the parts.
        against: of the side-by-side runs.
        skipped: what wasn't measured, and why.
        profile: an iteration taken apart, where that was asked for.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    peaks: Peaks | None = None
    results: list[Result] = field(default_factory=list)
    against: list[Against] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    profile: Profile | None = None

    def write(self, path: Path | str) -> None:
        """Write it as JSON, whole or not at all."""
        write_text(path, json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path | str) -> Record:
        """Read what :meth:`write` wrote.

        Raises:
            DataError: it is missing, damaged or something else.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(f"{path}: expected timings, can't read it: {error.strerror}") from None
        except ValueError as error:
            raise DataError(f"{path}: expected timings, it is no JSON: {error}") from None
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            raise DataError(f"{path}: expected timings (format {FORMAT}); `python -m benchmarks -o {path}` writes them")
        try:
            return cls(
                content["machine"],
                content["settings"],
                None if content["peaks"] is None else Peaks(**content["peaks"]),
                [_result(one) for one in content["results"]],
                [_against(one) for one in content["against"]],
                content["skipped"],
                None if content.get("profile") is None else Profile.of(content["profile"]),
            )
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: damaged: {error!r}; measure anew with python -m benchmarks -o {path}") from None


@dataclass(frozen=True)
class Change:
    """One case, then and now.

    Attributes:
        case: of what.
        before: seconds then.
        after: seconds now.
    """

    case: Case
    before: float
    after: float

    @property
    def factor(self) -> float:
        """How many times faster it is now."""
        return self.before / self.after


def changes(old: Record, new: Record) -> list[Change]:
    """The cases that both have, in the order of the new one."""
    before = {result.case: result.timing.median for result in old.results}
    return [Change(result.case, before[result.case], result.timing.median) for result in new.results if result.case in before]


def differing_conditions(old: Record, new: Record) -> list[str]:
    """What makes two runs incomparable, or nearly so: ``device: was A, is B``."""
    both = [({**one.machine, **one.settings}) for one in (old, new)]
    names = sorted(set(both[0]) | set(both[1]))
    pairs = [(name, both[0].get(name), both[1].get(name)) for name in names if name != "brule"]
    return [f"{name}: was {then}, is {now}" for name, then, now in pairs if then != now]


def machine_facts(device: torch.device) -> dict[str, Any]:
    """Device, threads and versions: what a figure depends on beside the code."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    facts = {
        "device": device.type,
        "name": name,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY", "unset"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "brule": __version__,
    }
    return facts | {package: _version(package) for package in _PACKAGES}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _result(content: dict[str, Any]) -> Result:
    return Result(**{**content, "case": Case(**content["case"]), "timing": Timing(**content["timing"])})


def _against(content: dict[str, Any]) -> Against:
    timings = {name: Timing(**content[name]) for name in ("ours", "theirs")}
    return Against(**{**content, "case": Case(**content["case"]), **timings})
