"""The cores that may be used, and threads side by side in each of which PyTorch has a number of threads of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock


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


def usable_cores() -> int:
    """How many cores this process may use: those that the system, or a scheduler, lets it run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_threads() -> int:
    """PyTorch's number of threads, whatever the pools of :func:`single_threads` have made of it for the moment."""
    return _threads.count()


@contextmanager
def single_threads(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads in each of which PyTorch computes with one thread.

    Setting that in one thread sets it for every thread that begins later, anywhere in the process, so PyTorch's number of
    threads is put back when the last of these pools has ended. What waits to be computed by then is dropped.

    Args:
        count: threads of the pool.
        name: their names begin with it.
    """
    import torch

    _threads.enter()
    pool = ThreadPoolExecutor(count, name, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        _threads.leave()
