"""How long a piece of work takes, and how much memory it needs on the way."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

Run = Callable[[], object]

_MIN_REPEATS = 3  # repetitions, however long they take


@dataclass(frozen=True)
class Timing:
    """Durations of one piece of work, in seconds.

    Attributes:
        median: of the repetitions.
        low: their first quartile.
        high: their third.
        p99: what one in a hundred exceeds.
        repeats: how many there were.
    """

    median: float
    low: float
    high: float
    p99: float
    repeats: int

    @classmethod
    def of(cls, durations: Sequence[float]) -> Timing:
        """Sum up durations, of which there must be one at least."""
        low, median, high, p99 = (float(value) for value in np.quantile(durations, (0.25, 0.5, 0.75, 0.99)))
        return cls(median, low, high, p99, len(durations))


def time_call(run: Run, device: torch.device, *, repeats: int, seconds: float, warm_up: int = 2) -> Timing:
    """Time a call again and again.

    Args:
        run: what to time.
        device: where it computes; each repetition waits until it has finished.
        repeats: how often at most.
        seconds: no repetition begins after so many, but for the first three.
        warm_up: calls before, which aren't counted.
    """
    for _ in range(warm_up):
        run()
    synchronize(device)
    durations: list[float] = []
    end = time.perf_counter() + seconds
    while len(durations) < repeats and (len(durations) < _MIN_REPEATS or time.perf_counter() < end):
        began = time.perf_counter()
        run()
        synchronize(device)
        durations.append(time.perf_counter() - began)
    return Timing.of(durations)


def synchronize(device: torch.device) -> None:
    """Wait until a device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory(run: Run, device: torch.device) -> int | None:
    """The most memory that a call takes beyond what there was before it, in bytes.

    On CUDA that of the allocator. On the CPU the growth of what the process has resident, which needs Linux and is coarse:
    memory that was freed before may be taken again unnoticed.

    Returns:
        ``None`` where it can't be measured.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu" or not _reset_peak():
        return None
    resident = _status("VmRSS")
    run()
    peak = _status("VmHWM")
    return None if resident is None or peak is None else max(0, peak - resident)


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device; ``None`` where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return _field(Path("/proc/meminfo"), "MemAvailable") if device.type == "cpu" else None


def _reset_peak() -> bool:
    """Let the kernel measure the peak from here on, after giving back what the allocator only keeps."""
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError, AttributeError):  # another C library: a little coarser
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _status(name: str) -> int | None:
    return _field(Path("/proc/self/status"), name)


def _field(path: Path, name: str) -> int | None:
    """``NAME:  123 kB`` of a file of the kernel, in bytes."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith(f"{name}:")), None)
    return int(found[1]) * 1024 if found and len(found) > 1 and found[1].isdecimal() else None
