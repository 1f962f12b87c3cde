"""Locks between processes."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from brule.files import file_lock


def test_a_lock_is_held_by_one_and_let_go(tmp_path: Path) -> None:
    class Busy(Exception):
        pass

    def busy() -> None:
        raise Busy

    path = tmp_path / "new" / "lock"
    with file_lock(path) as held:
        assert held
        with pytest.raises(Busy), file_lock(path, waiting=busy):
            pass
    with file_lock(path, waiting=busy) as held:
        assert held


def test_a_lock_in_a_folder_that_cannot_be_made_is_an_error() -> None:
    """It isn't tried for ever."""
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    with pytest.raises(FileNotFoundError), file_lock(Path("/proc/none/lock")):
        pass


def test_a_lock_whose_file_was_removed_meanwhile_is_no_lock(tmp_path: Path) -> None:
    """Who waited for it takes the lock of the file that is there then."""
    path = tmp_path / "lock"
    order = []

    def wait_and_take() -> None:
        with file_lock(path, waiting=lambda: order.append("waits")):
            order.append("has it")
            assert path.exists()

    with file_lock(path):
        second = threading.Thread(target=wait_and_take)
        second.start()
        while not order:
            time.sleep(0.01)
        path.unlink()
    second.join()
    assert order[-1] == "has it"
