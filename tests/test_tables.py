"""CSV text: names of strangers come back as they were, and no spreadsheet runs them."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brule.tables import csv_rows, csv_text, guarded, unguarded

SRC = Path(__file__).resolve().parents[1] / "src" / "brule"
NAMES = ["=1+1.png", "@SUM(A1).png", "+x.png", "-2+3", "'=x", "''=x", "a,b.png", 'a"b', "it's.png", "\ttab", "-1.5", "", "a\nb"]


def again(rows: list[list[str]]) -> list[list[str]]:
    return list(csv_rows(io.StringIO(csv_text(rows), newline="")))


@pytest.mark.parametrize("name", NAMES)
def test_names_come_back(name: str) -> None:
    assert again([[name, "x"], ["x", name]]) == [[name, "x"], ["x", name]]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=3), min_size=1, max_size=3))
def test_any_text_comes_back(rows: list[list[str]]) -> None:
    # Line ends are the only thing that CSV itself changes.
    rows = [[re.sub("\r\n?|\0", "\n", cell) for cell in row] for row in rows]
    assert again(rows) == rows


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_run(name: str) -> None:
    """A spreadsheet runs what begins with one of these signs, unless it is a number."""
    ((cell, _),) = csv.reader(io.StringIO(csv_text([[name, ""]]), newline=""))
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")) or cell == "-1.5"


def test_numbers_stay_numbers() -> None:
    assert [guarded(cell) for cell in ("-1.5", "+3", "-inf", "-1e-3")] == ["-1.5", "+3", "-inf", "-1e-3"]
    assert unguarded("'tis.png") == "'tis.png"


def test_every_table_is_written_here() -> None:
    """A writer of its own would forget the guard. 3D Slicer, whose files no spreadsheet opens, would show the apostrophe."""
    own = {path for path in SRC.rglob("*.py") if "csv.writer" in path.read_text() or "DictWriter" in path.read_text()}
    assert own == {SRC / "tables.py", SRC / "data/formats/slicer.py"}


def test_every_terminal_table_is_plain() -> None:
    """rich reads markup in the cells of its own tables."""
    made = [path for path in (SRC / "cli").rglob("*.py") if re.search(r"(?<!Plain)\bTable\(\"|= Table\(", path.read_text())]
    assert made == []
