"""Where a command is started: streams that are closed, a working directory that is gone, variables that are empty."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from brule.cli import _explained
from brule.data.synthetic import write_synthetic_faces

posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line with ``$BRULE`` in it."""
    line = line.replace("$BRULE", f"'{sys.executable}' -m brule")
    return subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True, check=False)


@posix
@pytest.mark.parametrize(
    ("streams", "path", "code", "printed"),
    [
        (">&-", "faces", 0, ""),
        ("2>&-", "missing", 2, ""),
        (">&- 2>&- <&-", "faces", 0, ""),
        (">&-", "missing", 2, "no such file"),
    ],
)
def test_closed_streams(streams: str, path: str, code: int, printed: str, tmp_path: Path) -> None:
    """As some services start their programs."""
    write_synthetic_faces(tmp_path / "faces", 2, size=32)
    ended = shell(f"$BRULE data inspect {path} {streams}", tmp_path)
    assert ended.returncode == code, ended
    assert not ended.stdout and printed in ended.stderr and bool(printed) == bool(ended.stderr), ended


@posix
def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    write_synthetic_faces(tmp_path / "faces", 2, size=32)
    (tmp_path / "here").mkdir()
    ended = shell("rmdir ../here; $BRULE data inspect ../faces", tmp_path / "here")
    assert ended.returncode == 2 and "the working directory can't be used" in ended.stderr, ended
    assert "unexpected" not in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("data", "inspect", ""),
        ("data", "convert", "", "x.json", "--to", "coco"),
        ("barycenter", "", "-o", "b.json"),
        ("train", "--images", "", "--shapes", "faces", "-o", "run"),
        ("train", "--images", "faces", "--shapes", "", "-o", "run"),
        ("train", "--images", "faces", "--shapes", "faces", "-o", ""),
        ("train", "--images", "faces", "--shapes", "faces", "--output="),
    ],
    ids=lambda words: " ".join(word or "''" for word in words),
)
def test_an_empty_path_is_not_the_working_directory(
    words: tuple[str, ...], brule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a variable of a script that is unset."""
    write_synthetic_faces(tmp_path / "faces", 2, size=32)
    monkeypatch.chdir(tmp_path)
    ended = brule(*words)
    assert ended.code == 2 and "expected a value, got an empty one" in ended.err, ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_a_name_with_a_line_end_looks_like_no_message(brule, tmp_path: Path) -> None:
    place = tmp_path / "faces"
    write_synthetic_faces(place, 2, size=32)
    try:
        (place / "a\nbrule: all is well.png").write_bytes(b"no image")
    except OSError:
        pytest.skip("this file system takes no line ends in names")
    for words in (("data", "inspect", place), ("barycenter", place / "x\nbrule: all is well", "-o", tmp_path / "b.json")):
        ended = brule(*words)
        assert ended.code == 2 and "all is well" in ended.out + ended.err
        assert not [line for line in (ended.out + ended.err).splitlines() if line.startswith("brule: all is well")]


def test_a_cache_in_a_place_that_takes_no_folders(brule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    write_synthetic_faces(tmp_path / "faces", 3, size=32)
    monkeypatch.setenv("BRULE_CACHE", "/proc/none")
    ended = brule(
        *("train", "--images", tmp_path / "faces", "--shapes", tmp_path / "faces", "-o", tmp_path / "run", "--quiet"),
        *("--set", "iterations=1", "batch_size=3", "encoder.width=8", "threads=1"),
    )
    assert ended.code == 2 and "/proc/none: decoded images can't be kept there" in ended.err, ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. can't allocate memory: 8 bytes")]
)
def test_too_little_memory_is_no_mistake_of_brule(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert _explained(error) == 2
    printed = capsys.readouterr().err
    assert "not enough memory" in printed and "unexpected" not in printed
