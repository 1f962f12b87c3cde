"""The cores that may be used, and threads side by side in each of which PyTorch has a number of threads of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock, local


class _Threads:
    """PyTorch's number of threads as it was before the first of the pools that are at work."""

    def __init__(self) -> None:
        self._lock, self._pools, self._before = Lock(), 0, 0

    def count(self) -> int:
        import torch

        with self._lock:
            return self._before if self._pools else torch.get_num_threads()

    def enter(self) -> None:
        import torch

        with self._lock:
            if not self._pools:
                self._before = torch.get_num_threads()
            self._pools += 1

    def leave(self) -> None:
        import torch

        with self._lock:
            self._pools -= 1
            if not self._pools:
                torch.set_num_threads(self._before)


_threads = _Threads()
_here = local()  # of each thread: whether it belongs to a pool of single_threads


def usable_cores() -> int:
    """How many cores this process may use: those that the system, or a scheduler, lets it run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_threads() -> int:
    """How many threads the caller may compute with: PyTorch's number, whatever :func:`single_threads` has made of it for now.

    It is one in a thread of such a pool: the others are at work beside it, and a pool of its own would be too many.
    """
    return 1 if getattr(_here, "single", False) else _threads.count()


@contextmanager
def single_threads(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads in each of which PyTorch computes with one thread.

    Setting that in one thread sets it for every thread that begins later, anywhere in the process, so PyTorch's number of
    threads is put back when the last of these pools has ended. What waits to be computed by then is dropped.

    Args:
        count: threads of the pool.
        name: their names begin with it.
    """
    pool = ThreadPoolExecutor(count, name, initializer=_compute_alone)
    _threads.enter()
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        _threads.leave()


def _compute_alone() -> None:
    import torch

    _here.single = True
    torch.set_num_threads(1)
