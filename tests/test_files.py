"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from brule import files
from brule.errors import DataError, OutputError
from brule.files import (
    atomic_write,
    make_folder,
    parse_json,
    read_json,
    read_text,
    remove_stale,
    temporary_folder,
    write_text,
)


def test_the_file_appears_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.png"
    with atomic_write(path, flush=True) as temporary:
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
    with pytest.raises(KeyboardInterrupt), atomic_write(path, flush=True) as temporary:
        temporary.write_text("ha")
        if where == "writing":
            stopped()
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.json"]


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "BRULÈ")
    assert (tmp_path / "a.txt").read_bytes() == "BRULÈ".encode()


def no_room(*arguments: object, **keywords: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only(place: object, *arguments: object, **keywords: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(place))


@pytest.mark.parametrize(
    ("where", "fails", "said"),
    [
        ("replace", no_room, "the disk is full .*make room"),
        ("fsync", no_room, "the disk is full .*make room"),
        ("replace", read_only, "Read-only file system; choose a folder that you may write to"),
        ("mkdir", read_only, "Read-only file system; choose a folder that you may write to"),
    ],
)
def test_what_the_system_refuses_is_said_of_the_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, fails: Callable[..., None], said: str
) -> None:
    path = tmp_path / ("new" if where == "mkdir" else "") / "t.json"
    monkeypatch.setattr(os, where, fails)
    named = path.parent if where == "mkdir" else path
    expected = pytest.raises(OutputError, match=f"^{re.escape(str(named))}: can't be written: {said}")
    with expected, atomic_write(path, flush=True) as temporary:
        temporary.write_text("half")
    monkeypatch.undo()
    assert not path.parent.exists() or not list(path.parent.iterdir())


def test_a_full_disk_while_writing(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    write_text(path, "old")
    with pytest.raises(OutputError, match=r"t\.json: can't be written: the disk is full"), atomic_write(path) as temporary:
        temporary.write_text("half")
        no_room()
    assert path.read_text() == "old" and [entry.name for entry in tmp_path.iterdir()] == ["t.json"]


def test_a_file_in_the_way_and_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "a.json", tmp_path / "file" / "deeper" / "a.json"):
        with pytest.raises(OutputError, match="file is a file, not a folder"):
            write_text(path, "new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder: can't be written: it is a folder"):
        write_text(tmp_path / "folder", "new")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_an_error_of_another_file_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.png"):
        (tmp_path / "elsewhere" / "missing.png").read_bytes()
    assert not list(tmp_path.iterdir())


def test_links_are_followed_and_pipes_stay_pipes(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "far" / "a.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "far" / "a.txt").read_text() == "new"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "through")
    assert os.read(reader, 100) == b"through" and stat.S_ISFIFO(pipe.stat().st_mode)
    os.close(reader)


def test_a_new_file_has_the_permissions_of_the_umask_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    def write(name: str) -> int:
        with atomic_write(tmp_path / name) as temporary:
            temporary.touch(mode=0o600)  # as some writers do
        return stat.S_IMODE((tmp_path / name).stat().st_mode)

    before = os.umask(0o027)
    try:
        assert write("new.bin") == 0o640
        (tmp_path / "new.bin").chmod(0o604)
        assert write("new.bin") == 0o604
    finally:
        os.umask(before)


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from brule.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1]) / 'a.txt') as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    other_host = tmp_path / left.name.replace(files._HOST, "0" * 8)
    own = tmp_path / f".a.{files._writer()}-7.part.txt"
    earlier = tmp_path / f".a.{files._HOST}-{os.getpid()}-7.part.txt"  # as earlier versions named it
    for path in (other_host, own, earlier, tmp_path / ".a.part.txt"):
        path.write_text("kept")
    write_text(tmp_path / "b.txt", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["b.txt", ".a.part.txt", other_host.name, own.name, earlier.name]
    )  # the dead process's is gone


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_what_a_dead_process_left_is_removed_though_its_number_was_given_again(tmp_path: Path) -> None:
    """Process 1 runs, and this one does; neither began at tick 12."""
    for pid in (1, os.getpid()):
        (tmp_path / f".a.{files._HOST}-{pid}-s12-0.part.txt").write_text("half")
    write_text(tmp_path / "b.txt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"a": 1' + "0" * 400 + "}", "401 digits"),
        ("{", None),
        (b"\xff", None),
    ],
    ids=["deep", "long", "cut off", "no text"],
)
def test_json_that_python_fails_on_is_a_value_error(text: str | bytes, says: str | None) -> None:
    with pytest.raises(ValueError, match=says):
        parse_json(text)


def test_json_values() -> None:
    assert parse_json('[1, -2, 3.5, "\\u00e9", {"a": null}]') == [1, -2, 3.5, "é", {"a": None}]
    assert parse_json("1" + "0" * 307) == 10**307  # a float can hold it
    assert parse_json(b"[1]") == [1]


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_a_file_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_TEXT", 2**20)
    with pytest.raises(DataError, match=r"/dev/zero: not JSON .longer than 1 MiB"):
        read_json("/dev/zero", "edges")


def test_text_with_any_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n\xc3\xa9")
    assert read_text(tmp_path / "a.txt") == "a\nb\nc\né"


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(OutputError, match=r"link is a link that leads nowhere"):
        make_folder(tmp_path / "link")


def test_a_long_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250 + ".txt")
    write_text(path, "all of it")
    assert path.read_text() == "all of it"


def test_a_temporary_folder_vanishes_and_that_of_a_killed_process_with_the_next(tmp_path: Path) -> None:
    with temporary_folder(tmp_path / "out") as folder:
        (folder / "half").write_text("x")
        kept = folder.name
    assert not list((tmp_path / "out").iterdir())
    left = tmp_path / "out" / re.sub(r"-\d+(-s\d+)?-", "-999999999-s1-", kept, count=1)
    left.mkdir()
    (left / "half").write_text("x")
    remove_stale(tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
