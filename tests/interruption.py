"""Work in a forked process that is killed, or refused by the file system, at a file operation that is counted to.

The process is forked, so that a trial costs no import.
"""

from __future__ import annotations

import builtins
import csv
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What changes names or waits for the disk; and opening for writing, which only a refusal counts.
CHANGES = ("replace", "rename", "fsync", "unlink", "mkdir", "rmdir")
CREATES = ("replace", "rename", "fsync", "mkdir")


@dataclass(frozen=True)
class Ended:
    """How a forked process ended.

    Attributes:
        killed: whether by SIGKILL.
        code: its exit code, if it wasn't killed.
        operations: how many it counted until then.
        refused: how many of them were refused.
        printed: what it wrote to standard output and standard error.
        seconds: how long it took.
    """

    killed: bool
    code: int
    operations: int
    refused: int
    printed: str
    seconds: float


def in_fork(
    work: Callable[[], object],
    *,
    kill_before: int = 0,
    kill_after: int = 0,
    refuse_from: int = 0,
    error: int = 0,
    kill_in: float | None = None,
) -> Ended:
    """Do the work in a process of its own.

    Args:
        work: its exit code is what it returns; an exception ends it with 1.
        kill_before: the operation, counted from 1, just before which it kills itself; 0 for none.
        kill_after: the same, just after it.
        refuse_from: the operation from which on all that would create something fail.
        error: the ``errno`` of that.
        kill_in: seconds after which it is killed from outside, wherever it is.
    """
    reader, writer = os.pipe()
    began, child = time.monotonic(), os.fork()
    if child == 0:
        _work(work, writer, kill_before=kill_before, kill_after=kill_after, refuse_from=refuse_from, error=error)
    os.close(writer)
    if kill_in is not None:
        time.sleep(kill_in)
        os.kill(child, signal.SIGKILL)
    with open(reader, "rb") as pipe:
        written = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    code = -1 if killed else os.WEXITSTATUS(status)
    printed, end, counts = written.rpartition("\0")  # a killed process writes no counts
    operations, refused = map(int, counts.split()) if end else (0, 0)
    return Ended(killed, code, operations, refused, printed, time.monotonic() - began)


def _work(work: Callable[[], object], writer: int, *, kill_before: int, kill_after: int, refuse_from: int, error: int) -> None:
    """What the child does; it never returns."""
    done = refused = 0

    def counted(genuine: Callable[..., Any], refusable: bool) -> Callable[..., Any]:
        def operation(*arguments: Any, **keywords: Any) -> Any:
            nonlocal done, refused
            done += 1
            number = done
            if number == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)
            if refusable and refuse_from and number >= refuse_from:
                refused += 1
                path = arguments[0] if isinstance(arguments[0], (str, os.PathLike)) else None
                raise OSError(error, os.strerror(error), *(() if path is None else (os.fspath(path),)))
            try:
                return genuine(*arguments, **keywords)
            finally:
                if number == kill_after:
                    os.kill(os.getpid(), signal.SIGKILL)

        return operation

    genuine_open = builtins.open
    counted_open = counted(genuine_open, True)

    def opened(file: Any, mode: str = "r", *arguments: Any, **keywords: Any) -> Any:
        creates = set(mode) & set("wax+") and isinstance(file, (str, os.PathLike)) and not _is_device(os.fspath(file))
        return (counted_open if creates else genuine_open)(file, mode, *arguments, **keywords)

    for name in CHANGES:
        setattr(os, name, counted(getattr(os, name), name in CREATES))
    if refuse_from:
        builtins.open = io.open = opened  # type: ignore[assignment]
    os.dup2(writer, 1)
    os.dup2(writer, 2)
    # Those of this process know where they were in a file.
    sys.stdout, sys.stderr = (genuine_open(number, "w", closefd=False) for number in (1, 2))
    code = 1
    try:
        result = work()
        code = result if isinstance(result, int) else 0
    except BaseException as failed:
        os.write(writer, f"{type(failed).__name__}: {failed}".encode())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(writer, f"\0{done} {refused}".encode())
        os._exit(code)


def _is_device(path: str) -> bool:
    return path.startswith("/dev/") and not path.startswith("/dev/shm/")


def check_whole(folder: Path) -> None:
    """What has a final name can be read to its end."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.is_file() and not path.name.startswith("."):
            try:
                _READ.get(path.suffix, Path.read_bytes)(path)
            except Exception as error:
                raise AssertionError(f"{path} is half-written: {error}") from error


def _json_lines(path: Path) -> None:
    for line in path.read_text().splitlines()[:-1]:  # the last may be cut short: readers pass over it
        json.loads(line)


def _table(path: Path) -> None:
    text = path.read_text()
    rows = list(csv.reader(io.StringIO(text)))
    if not text.endswith("\n") or len({len(row) for row in rows}) != 1:
        raise ValueError("rows of different lengths, or a last line without an end")


def _page(path: Path) -> None:
    if not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("the page has no end")


def _picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as image:
        image.load()


def _tensors(path: Path) -> None:
    from brule.tensors import read_safetensors

    read_safetensors(path)


def _graph(path: Path) -> None:
    import onnx

    onnx.checker.check_model(onnx.load(path))


_READ: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: json.loads(path.read_text()),
    ".jsonl": _json_lines,
    ".csv": _table,
    ".html": _page,
    ".png": _picture,
    ".jpg": _picture,
    ".safetensors": _tensors,
    ".onnx": _graph,
}
