"""The progress of a run: percent and time left are always there, on a terminal, in a notebook, in a log."""

from __future__ import annotations

import io
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from brule.tracking.progress import Lines, NotebookBar, Silence, TerminalBar, TimeLeft, clock, display_for

MANY_TERMS = "  ".join(f"a_long_name_of_a_term_{k} 0.123" for k in range(9))


@pytest.mark.parametrize("width", [80, 60, 200])
def test_a_terminal_of_any_width_shows_percent_and_time_left(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), force_terminal=True, width=width, legacy_windows=False)
    bar = TerminalBar(console)
    bar.show(0, 0.0, MANY_TERMS)
    now[0] += 60
    bar.show(100, 0.25, MANY_TERMS)
    with console.capture() as shown:
        console.print(bar._bar.get_renderable())
    lines = shown.get().splitlines()
    assert len(lines) == 1
    assert " 25 %" in lines[0] and "3:00 left" in lines[0] and "a_long" in lines[0]


def test_time_left_is_what_the_speed_so_far_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on at a half and does a tenth in 30 s needs another 2 minutes for the rest."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    left = TimeLeft()
    assert left.text(0.5) == ""
    now[0] = 30.0
    assert left.text(0.6) == "2:00 left"
    assert left.text(1.0) == "0:30"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3661, "1:01:01")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_notebook_gets_one_output_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    handle = SimpleNamespace(update=shown.append)

    def display(content: str, **_: Any) -> object:
        shown.append(content)
        return handle

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=display))
    bar = NotebookBar()
    bar.start()
    bar.show(7, 0.5, "a<b 1")
    bar.stop()
    assert len(shown) == 2
    assert "value=50.0" in shown[1] and "50 %" in shown[1] and "iteration 7" in shown[1] and "a&lt;b" in shown[1]


def test_each_place_gets_what_suits_it() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True)
    pipe = Console(file=io.StringIO(), force_terminal=False)
    notebook = Console(force_jupyter=True)
    assert isinstance(display_for(terminal, quiet=False), TerminalBar)
    assert isinstance(display_for(pipe, quiet=False), Lines)
    assert isinstance(display_for(notebook, quiet=False), NotebookBar)
    assert isinstance(display_for(notebook, quiet=True), Silence)
