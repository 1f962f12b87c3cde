"""Files are written whole or not at all."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from brule.files import locked, write_text, written_whole


def test_the_file_appears_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.png"
    with written_whole(path, flush=True) as temporary:
        temporary.write_bytes(b"new")
        assert not path.exists()
        assert temporary.parent == path.parent and temporary.suffix == ".png"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("where", ["writing", "fsync", "replace"])
def test_an_interruption_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    path = tmp_path / "t.json"
    write_text(path, "old")

    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    if where != "writing":
        monkeypatch.setattr(os, where, stopped)
    with pytest.raises(KeyboardInterrupt), written_whole(path, flush=True) as temporary:
        temporary.write_text("ha")
        if where == "writing":
            stopped()
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.json"]


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "BRULÈ")
    assert (tmp_path / "a.txt").read_bytes() == "BRULÈ".encode()


def test_a_lock_is_held_by_one_and_let_go(tmp_path: Path) -> None:
    class Busy(Exception):
        pass

    def busy() -> None:
        raise Busy

    path = tmp_path / "new" / "lock"
    with locked(path) as held:
        assert held
        with pytest.raises(Busy), locked(path, waiting=busy):
            pass
    with locked(path, waiting=busy) as held:
        assert held


def test_a_lock_whose_file_was_removed_meanwhile_is_no_lock(tmp_path: Path) -> None:
    """Who waited for it takes the lock of the file that is there then."""
    path = tmp_path / "lock"
    order = []

    def wait_and_take() -> None:
        with locked(path, waiting=lambda: order.append("waits")):
            order.append("has it")
            assert path.exists()

    with locked(path):
        second = threading.Thread(target=wait_and_take)
        second.start()
        while not order:
            time.sleep(0.01)
        path.unlink()
    second.join()
    assert order[-1] == "has it"
