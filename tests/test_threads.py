"""Pools of single threads: PyTorch's number of threads is the same afterwards, in every thread."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from brule.threads import available_threads, single_threads, usable_cores

pytestmark = pytest.mark.usefixtures("three_threads")


def in_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


def test_each_computes_with_one_thread_and_later_ones_with_as_many_as_before() -> None:
    with single_threads(2, "test") as pool:
        assert list(pool.map(lambda _: torch.get_num_threads(), range(4))) == [1] * 4
        assert available_threads() == 3
    assert torch.get_num_threads() == in_a_new_thread() == 3


def test_the_last_of_several_pools_puts_the_number_back() -> None:
    first, second = single_threads(2, "first"), single_threads(2, "second")
    first.__enter__().submit(int).result()
    # A thread that begins now finds one thread, and must not take that for the process's own number.
    with ThreadPoolExecutor(1) as other:
        assert other.submit(available_threads).result() == 3
        pool = other.submit(second.__enter__).result()
        pool.submit(int).result()
        first.__exit__(None, None, None)
        other.submit(second.__exit__, None, None, None).result()
    assert in_a_new_thread() == 3


def test_what_fails_in_between_puts_it_back_too() -> None:
    with pytest.raises(KeyError), single_threads(2, "test") as pool:
        pool.submit(int).result()
        raise KeyError
    assert in_a_new_thread() == 3


def test_cores_that_this_process_may_not_use_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
