"""Files are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brule.files import write_text, written_whole


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
