"""Tuning the C library's allocator: memory that is freed in one iteration is used again in the next."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the numbers of mallopt's parameters in glibc's malloc.h
_LARGEST = 32 << 20  # bytes: the largest M_MMAP_THRESHOLD that glibc takes
_KEPT = 512 << 20  # bytes that are freed and not handed back
_CHOSEN_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Let this process keep up to 512 MB that it has freed, instead of handing it back to the operating system at once.

    An iteration frees tens of megabytes of activations and asks for them again in the next. By default glibc hands them back,
    and the kernel has to clear every page again: about 20 ms for each pass of the network of the preset ``cpu`` over a batch
    (benchmarks/README.md). The results don't change.

    Returns:
        Whether it could be arranged: not where the C library isn't glibc, or the user has tuned it by an environment variable.
    """
    libc = _glibc()
    if libc is None or any(name in os.environ for name in _CHOSEN_BY_USER):
        return False
    return bool(libc.mallopt(_MMAP_THRESHOLD, _LARGEST) and libc.mallopt(_TRIM_THRESHOLD, _KEPT))


def hand_back_freed_memory() -> None:
    """Give the operating system all memory that is free at this moment."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") and hasattr(libc, "mallopt") else None
