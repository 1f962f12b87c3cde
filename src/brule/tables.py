"""Tables as CSV text. Names in them may come from strangers, and spreadsheets run cells that begin like a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

_FORMULA = re.compile("'*[=+\\-@\t\r]")


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV text, with commas; :func:`csv_rows` reads them again.

    A text that a spreadsheet would take for a formula gets an apostrophe before it, which spreadsheets don't show.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([guarded(str(cell)) for cell in row] for row in rows)
    return text.getvalue()


def csv_rows(lines: Iterable[str], *, separator: str = ",") -> Iterator[list[str]]:
    """The rows of CSV text, their cells as they were before :func:`csv_text`.

    Args:
        lines: a file that was opened with ``newline=""``, or lines with their ends.
        separator: between cells.

    Raises:
        csv.Error: it is no such text.
    """
    for row in csv.reader(lines, delimiter=separator):
        yield [unguarded(cell) for cell in row]


def guarded(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe before what begins like one and is no number."""
    if not _FORMULA.match(text):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def unguarded(cell: str) -> str:
    """A cell as it was before :func:`guarded`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
