"""The progress of a training: a bar on a terminal, one in a notebook, lines elsewhere."""

from __future__ import annotations

import html
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

_LINE_SECONDS = 30  # between lines where there is nothing to draw a bar on
_BAR_WIDTH = 20


class Display(Protocol):
    """Shows the progress of a run."""

    def start(self) -> None:
        """Begin."""

    def show(self, iteration: int, progress: float, terms: str) -> None:
        """The state after an iteration: the share of the run that is done, and its terms as text."""

    def stop(self) -> None:
        """End."""


class TerminalBar:
    """A bar with percent and time left, which keep their place; the terms get the rest of the line.

    Args:
        console: of the terminal.
    """

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self._clock = TimeLeft()
        self._bar = Progress(
            TextColumn("[bold]training", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=_BAR_WIDTH),
            TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[terms]}", style="dim", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
            console=console,
            expand=True,
        )
        self._task = self._bar.add_task("training", total=1.0, terms="", left="")

    def start(self) -> None:
        """Draw the bar."""
        self._bar.start()

    def show(self, iteration: int, progress: float, terms: str) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=min(progress, 1.0), terms=terms, left=self._clock.text(progress))

    def stop(self) -> None:
        """Leave the bar as it is."""
        self._bar.stop()


class NotebookBar:
    """A bar in a notebook's output, which needs no widgets."""

    def __init__(self) -> None:
        self._clock, self._handle = TimeLeft(), None

    def start(self) -> None:
        """Draw the bar."""
        from IPython.display import HTML, display

        self._handle = display(HTML(_notebook_html(0.0, "", "")), display_id=True)

    def show(self, iteration: int, progress: float, terms: str) -> None:
        """Move the bar."""
        from IPython.display import HTML

        handle: Any = self._handle
        if handle is not None:
            handle.update(HTML(_notebook_html(progress, self._clock.text(progress), f"iteration {iteration}  {terms}")))

    def stop(self) -> None:
        """Leave the bar as it is."""


class Lines:
    """A line every half a minute, for logs.

    Args:
        console: to print on.
    """

    def __init__(self, console: Console) -> None:
        self._console, self._last = console, time.monotonic()

    def start(self) -> None:
        """Nothing to draw."""

    def show(self, iteration: int, progress: float, terms: str) -> None:
        """Print a line if it is time."""
        now = time.monotonic()
        if now - self._last > _LINE_SECONDS or progress >= 1:
            self._last = now
            self._console.print(f"iteration {iteration}  {100 * progress:.0f} %  {terms}", highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Nothing to end."""


class Silence:
    """Shows nothing."""

    def start(self) -> None:
        """Nothing."""

    def show(self, iteration: int, progress: float, terms: str) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class TimeLeft:
    """How long a run will still take, from the share that was done since it was first asked."""

    def __init__(self) -> None:
        self._since: tuple[float, float] | None = None

    def text(self, progress: float) -> str:
        """For example ``4:05 left``; nothing before it can be known.

        Args:
            progress: share of the run that is done, 0 … 1.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now, progress
        began, first = self._since
        if progress >= 1:
            return clock(now - began)
        if progress <= first or now <= began:
            return ""
        return f"{clock((now - began) / (progress - first) * (1 - progress))} left"


def clock(seconds: float) -> str:
    """Seconds as ``4:05`` or ``1:04:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def display_for(console: Console, *, quiet: bool) -> Display:
    """What suits the place where a run is watched."""
    if quiet:
        return Silence()
    if console.is_jupyter:
        return NotebookBar()
    return TerminalBar(console) if console.is_terminal else Lines(console)


def _notebook_html(progress: float, left: str, terms: str) -> str:
    percent = 100 * min(progress, 1.0)
    texts = f"{percent:.0f} % &nbsp; {html.escape(left)} &nbsp; <code>{html.escape(terms)}</code>"
    return f"training <progress max=100 value={percent:.1f}></progress> {texts}"
