"""What commands print: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from brule.errors import printable
from brule.files import write_text

if TYPE_CHECKING:
    from brule.data import BadFiles
    from brule.evaluation import Measurement

INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended
MAX_LISTED_BAD_FILES = 10
WORST_LANDMARKS = 3
LABEL_WIDTH = 20  # characters: columns of labels are wrapped to no less
BAR_TITLE = 24  # characters: percent and time left keep their place on narrow terminals
LAUNCHED = "brule"  # how the run ids of our own launcher begin


class PlainTable(Table):
    """A table whose cells are shown literally: no markup, and no control characters for the terminal."""

    def __init__(self, *headers: str, **options: Any) -> None:
        super().__init__(**({"box": None, "pad_edge": False, "padding": (0, 3, 0, 0)} | options))
        for header in headers:
            self.add_column(header)

    def add_column(self, header: RenderableType = "", *args: Any, **options: Any) -> None:
        """Add a column under a header."""
        super().add_column(_plain(header), *args, **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row."""
        super().add_row(*map(_plain, cells), **options)


def _plain(cell: Any) -> Any:
    return Text(printable(cell, one_line=True)) if isinstance(cell, str) else cell


def is_distributed() -> bool:
    """Whether this is one of several processes that were launched together, by ``torchrun``'s variables."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "1") and "RANK" in os.environ


def is_main_process() -> bool:
    """Whether this process prints the command's output; of several processes the first one does."""
    return not is_distributed() or os.environ["RANK"] == "0"


def print_error(message: str, *, lost: bool = False) -> None:
    """Print why a command failed, or leave that to the launcher of several processes.

    Args:
        message: nothing is printed without one.
        lost: this process failed because another one did.
    """
    file = os.environ.get("TORCHELASTIC_ERROR_FILE") if is_distributed() else None
    if file is not None:
        write_text(Path(file), json.dumps({"message": message, "timestamp": int(time.time()), "lost": lost}))
    if file is not None and os.environ.get("TORCHELASTIC_RUN_ID", "").startswith(LAUNCHED):
        return  # the launcher prints the likely cause, once
    if is_main_process() or not lost:
        process = "" if is_main_process() else f"process {os.environ['RANK']}: "
        # A line that a name of a file begins doesn't look like one of brule's.
        print(f"brule: {process}{printable(message)}".replace("\n", "\n  "), file=sys.stderr)


def say(text: str = "") -> None:
    """Print a line of the result."""
    if not is_main_process():
        return
    Console().print(printable(text), markup=False, highlight=False, soft_wrap=True)


def say_text(text: str, *, begin: str = "") -> None:
    """Print sentences of the result, wrapped to the width of the terminal, or to 80 characters without a terminal.

    Args:
        text: the sentences.
        begin: printed in front of the text; the following lines are indented by its length.
    """
    width, indent = max(Console().width, 20 + len(begin)), " " * len(begin)
    lines = textwrap.wrap(printable(text), width - len(begin), break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines or [""]):
        say(f"{indent if number else begin}{line}")


def say_row(what: str, text: str, *, indent: int = 12) -> None:
    """Print a line of a list, whatever the names in it hold; on a terminal, it is wrapped under its beginning."""
    line = printable(text, one_line=True)
    console = Console()
    if console.is_terminal:
        rows = textwrap.wrap(line, max(console.width - indent, 20), break_long_words=False, break_on_hyphens=False)
        line = f"\n{'':{indent}}".join(rows)
    say(f"{what:<{indent}}{line}")


def note(text: str) -> None:
    """Print a remark that is no part of the result."""
    if not is_main_process():
        return
    Console(stderr=True).print(printable(text), markup=False, highlight=False, soft_wrap=True)


def commands(lines: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[str, str]]:
    """Next commands, ready to be pasted: (what it does, words after ``brule``) → (what it does, command)."""
    return [(what, f"{_program()} {shlex.join(words)}") for what, words in lines]


def say_commands(lines: Sequence[tuple[str, str]]) -> None:
    """Print commands, each under what it does."""
    for what, command in lines:
        say(f"\n{what}:\n  {command}")


def say_table(measured: Measurement, facts: Sequence[tuple[str, str]]) -> None:
    """Print the figures beside those of a constant prediction, the result in plain words, and how it was measured."""
    from brule.evaluation.reports import figure_rows

    table = PlainTable(padding=(0, 2, 0, 0), header_style="bold")
    for index, column in enumerate(
        ["", *measured.evaluations, "constant\nprediction\n(floor)"]
    ):  # a narrow terminal wraps labels
        table.add_column(Text(column), no_wrap=index > 0, vertical="bottom", style="bold" if index == 1 else "")
    for row in figure_rows(measured):
        first, *others = row.values
        table.add_row(row.label, "  ".join(first), *(value for value, _ in others), row.floor)
    Console().print(table, highlight=False)
    say()
    say_text(measured.verdict())
    if len(measured.detail.centre) > 1:
        say_text(_worst_landmarks(measured))
    if measured.repeat:
        again = measured.repeat
        twice = "1 image is" if again["n"] == 1 else f"{again['n']:.0f} images are"
        say_text(f"{twice} annotated twice; the annotations differ by {again['nme']:.2f} %.")
    for text in measured.warnings:
        say_text(f"careful: {text}")
    say()
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        say_text(value, begin=f"{name:<{width}}  ")


def _worst_landmarks(measured: Measurement) -> str:
    """The landmarks with the largest errors, as a sentence."""
    from brule.evaluation.reports.rows import estimate_text

    one = measured.detail
    figures = {i: estimate_text("nme", one.by_landmark[i])[0] for i in one.worst_landmarks(WORST_LANDMARKS)}
    listed = ", ".join(f"{one.landmark_labels[i]} {text}".replace(" ", "\u00a0") for i, text in figures.items())
    where = " inside the true boxes" if one.boxes == "given" and measured.whole is not None else ""
    return f"Landmarks with the largest mean errors{where}: {listed}."


def say_rows(header: Sequence[str], rows: Iterable[Sequence[str]], *, keys: int = 1) -> None:
    """Print a table that fits the terminal: headings and labels of two lines if need be, else a block for each row.

    Args:
        header: of the columns.
        rows: of texts, as many as there are headings.
        keys: number of leading columns that name a row; they are the first line of its block.
    """
    console, content = Console(), [tuple(printable(cell, one_line=True) for cell in row) for row in rows]
    for headings in (tuple(header), tuple(_in_two_lines(one) for one in header)):
        widths = _widths(headings, content)
        if sum(widths) - max(widths[0] - LABEL_WIDTH, 0) > console.width:
            continue
        table = PlainTable(padding=(0, 2, 0, 0), header_style="bold")
        for index, heading in enumerate(headings):
            table.add_column(Text(heading), no_wrap=index > 0)
        for row in content:
            table.add_row(*row)
        console.print(table, highlight=False, markup=False)
        return
    width = max(len(name) for name in header[keys:])
    for row in content:
        say("  ".join(cell for cell in row[:keys] if cell))
        for name, cell in zip(header[keys:], row[keys:], strict=True):
            if cell:
                say(f"  {name:<{width}}  {cell}")


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Characters that the columns of a table take, with the two between them."""
    from rich.cells import cell_len

    cells = [[*heading.split("\n"), *(row[k] for row in rows)] for k, heading in enumerate(headings)]
    return [max(map(cell_len, column)) + 2 for column in cells[:-1]] + [max(map(cell_len, cells[-1]))]


def _in_two_lines(heading: str) -> str:
    """A heading broken at the space nearest to its middle."""
    spaces = [place for place, sign in enumerate(heading) if sign == " "]
    if not spaces:
        return heading
    place = min(spaces, key=lambda one: abs(one - len(heading) / 2))
    return f"{heading[:place]}\n{heading[place + 1 :]}"


def note_bad(bad: BadFiles) -> None:
    """Say which files were left out, and why."""
    if not bad:
        return
    files = list({one.path: one for one in reversed(bad)}.values())[::-1]  # one with several boxes may be listed several times
    note(f"left out {len(files)} file{'s' if len(files) > 1 else ''}:")
    for one in files[:MAX_LISTED_BAD_FILES]:
        note(f"  {printable(str(one), one_line=True)}")
    if len(files) > MAX_LISTED_BAD_FILES:
        note(f"  … and {len(files) - MAX_LISTED_BAD_FILES} more")


@contextmanager
def progress_bar(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere; yields ``update(done, total)``."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn(f"[bold]{what[:BAR_TITLE]}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(
        *columns, console=console, disable=quiet or not is_main_process() or not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, all or nothing."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def _program() -> str:
    """How this program was called, if it can't be found by its name alone."""
    called = Path(sys.argv[0])
    if shutil.which("brule") or called.name != "brule":
        return "brule"
    return shlex.quote(str(called))
