"""What commands print: results to standard output, everything else to standard error."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from brule.files import write_text

if TYPE_CHECKING:
    from brule.data import BadFiles
    from brule.evaluation import Evaluation

INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended
SHOWN_BAD_FILES = 10
ERROR_FILE = "BRULE_ERROR_FILE"  # the variable that says where a process of several leaves what went wrong


def is_member() -> bool:
    """Whether this is one of several processes that were started together (``torchrun``'s variables say so)."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "1") and "RANK" in os.environ


def speaks() -> bool:
    """Whether this process prints what a command says: where several work together, the first one does."""
    return not is_member() or os.environ["RANK"] == "0"


def say(text: str = "") -> None:
    """Print a line of the result."""
    if not speaks():
        return
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Print a remark that is no part of the result."""
    if not speaks():
        return
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


def commands(lines: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[str, str]]:
    """Commands to go on with, ready to be pasted: (what it does, words after ``brule``) → (what it does, command)."""
    return [(what, f"{_program()} {shlex.join(words)}") for what, words in lines]


def say_commands(lines: Sequence[tuple[str, str]]) -> None:
    """Print commands, each under what it does."""
    for what, command in lines:
        say(f"\n{what}:\n  {command}")


def say_table(evaluation: Evaluation, facts: Sequence[tuple[str, str]]) -> None:
    """Print the figures beside their floors, and what has to be known about them."""
    from brule.evaluation.reports import HEADER, figure_rows

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for index, column in enumerate(HEADER):
        table.add_column(column, no_wrap=index < 2, style="bold" if index == 1 else "")
    for row in figure_rows(evaluation):
        table.add_row(*row)
    Console().print(table, highlight=False)
    say()
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        say(f"{name:<{width}}  {value}")


def note_bad(bad: BadFiles) -> None:
    """Say which files were left out, and why."""
    if not bad:
        return
    note(f"left out {len(bad)} file{'s' if len(bad) > 1 else ''}:")
    for one in bad[:SHOWN_BAD_FILES]:
        note(f"  {one}")
    if len(bad) > SHOWN_BAD_FILES:
        note(f"  … and {len(bad) - SHOWN_BAD_FILES} more")


@contextmanager
def progress_bar(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere; yields ``update(done, total)``."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(f"[bold]{what}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, disable=quiet or not speaks() or not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, all or nothing."""
    import json

    write_text(path, json.dumps(content, indent=1) + "\n")


def _program() -> str:
    """How this program was called, if it can't be found by its name alone."""
    called = Path(sys.argv[0])
    if shutil.which("brule") or called.name != "brule":
        return "brule"
    return shlex.quote(str(called))
