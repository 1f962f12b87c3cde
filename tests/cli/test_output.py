"""Rows of a list: one line each in a file or a pipe, wrapped under their beginning on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from brule.cli import output

TEXT = "wings/a.json: a box 'ruler' holds none of the landmarks: passed over"


def printed(monkeypatch: pytest.MonkeyPatch, text: str, *, terminal: bool, width: int = 40) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=width, color_system=None)
    monkeypatch.setattr(output, "Console", lambda *args, **options: console)
    output.say_row("note", text)
    return file.getvalue().splitlines()


def test_a_row_in_a_pipe_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, TEXT, terminal=False) == [f"note        {TEXT}"]


def test_a_row_on_a_terminal_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 columns leave 28 beside the first twelve."""
    assert printed(monkeypatch, TEXT, terminal=True) == [
        "note        wings/a.json: a box 'ruler'",
        "            holds none of the landmarks:",
        "            passed over",
    ]


def test_long_names_stay_whole_and_line_breaks_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "x" * 60
    assert printed(monkeypatch, f"{name}\nforged", terminal=True)[0] == f"note        {name}\\nforged"
