"""``brule watch``: the progress of a training, from its log."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from brule.cli.output import INTERRUPTED, PlainTable
from brule.errors import ConfigError, printable
from brule.tracking.run_state import RunState
from brule.tracking.term_labels import term_label

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SILENT_SECONDS = 120.0
MAX_EVERY = 86400.0  # seconds: a day
BAR_WIDTH = 60
MIN_CURVE = 12  # characters, however narrow the terminal is
_BARS = "▁▂▃▄▅▆▇█"
_WIDE = 10.0
_GAP = 2  # characters between columns


def watch(run: Path, /, *, once: bool = False, every: float = 2.0, width: int = 40) -> int:
    """Follow a training in the terminal.

    Shows how much of the run is done, its speed, the time left, a curve of each logged term (its name in the log in
    parentheses), and the newest preview picture. It only reads files, so you can watch from several terminals. It ends with
    the training; Ctrl-C ends it earlier and doesn't affect the training.

    **Examples**

        brule watch runs/first

        brule watch runs/first --once

    Args:
        run: The folder of the run, the `-o` of `brule train`.
        once: Print the current state and end.
        every: Seconds between updates.
        width: Width of each term's curve, in characters; less if the terminal is too narrow.
    """
    from rich.console import Console
    from rich.live import Live

    if not 0 < every <= MAX_EVERY or width < 1:
        raise ConfigError(f"watch: expected --every > 0 (at most {MAX_EVERY:g}) and --width ≥ 1, got {every:g} and {width}")
    console, state = Console(), RunState.read(run)
    if once or state.finished:
        console.print(_shown(state, width, console))
        return 0
    try:
        with Live(_shown(state, width, console), console=console, auto_refresh=False) as live:
            while not state.finished:
                time.sleep(every)
                state = RunState.read(run)
                live.update(_shown(state, width, console), refresh=True)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def sparkline(values: Sequence[float], width: int) -> str:
    """A curve in one line of text: at most ``width`` characters, each the mean of its part of the values.

    If all values are positive and the largest is more than ten times the smallest, the scale is logarithmic: a loss falls
    fast at first, and the rest would be a flat line.

    Args:
        values: finite numbers in order.
        width: of the text.
    """
    if not values:
        return ""
    count = min(width, len(values))
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    means = [sum(value / (b - a) for value in values[a:b]) for a, b in pairwise(edges)]
    if min(means) > 0 and max(means) > _WIDE * min(means):
        means = [math.log(mean) for mean in means]
    if math.isinf(max(means) - min(means)):
        means = [mean / 2 for mean in means]
    low, high = min(means), max(means)
    if high <= low:
        return _BARS[0] * count
    return "".join(_BARS[min(len(_BARS) - 1, int((value - low) / (high - low) * len(_BARS)))] for value in means)


def duration(seconds: float) -> str:
    """Seconds as text, in hours, minutes and seconds."""
    if not math.isfinite(seconds):
        return "an unknown time"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _shown(state: RunState, width: int, console: Console) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    lines: list[RenderableType] = [Text(printable(f"{state.run}  {_status(state)}"), style="bold")]
    if state.share is not None:
        done = round(state.share * BAR_WIDTH)
        lines.append(Text.assemble(("━" * done, "green"), ("━" * (BAR_WIDTH - done), "dim")))
    lines.append(Text(_summary(state)))
    lines += ["", _table(state, width, console), ""] if state.terms else ["", "nothing logged yet"]
    lines += [Text(printable(f"preview  {state.preview}"), overflow="fold")] if state.preview else []
    return Group(*lines)


def _table(state: RunState, width: int, console: Console) -> PlainTable:
    """A row per term; the curves are as wide as ``width`` and the terminal allow."""
    cells = [(term_label(name), f"{values[-1]:.4g}", f"{min(values):.4g}") for name, values in state.terms.items()]
    header = ("term", "last", "lowest")
    taken = sum(max(map(len, column)) + _GAP for column in zip(header, *cells, strict=True))
    width = min(width, max(console.width - taken, MIN_CURVE))
    table = PlainTable(*header, f"over {len(state.records)} lines", padding=(0, _GAP, 0, 0))
    for row, values in zip(cells, state.terms.values(), strict=True):
        table.add_row(*row, sparkline(values, width))
    return table


def _status(state: RunState) -> str:
    if state.finished:
        return "finished"
    if state.records and state.age > SILENT_SECONDS:
        return f"silent for {duration(state.age)}: stopped, or busy with something else"
    return "running" if state.records else "starting"


def _summary(state: RunState) -> str:
    parts = [f"iteration {state.iteration:,}" + (f" of {state.iterations:,}" if state.iterations else "")]
    if state.share is not None:
        parts.insert(0, f"{100 * state.share:.0f} % done")
    if state.speed:
        parts.append(f"{state.speed:.3g} iterations/s")
    parts.append(f"{duration(state.seconds)} trained" + (f" of {duration(60 * state.minutes)}" if state.minutes else ""))
    if state.seconds_left is not None:
        parts.append(f"about {duration(state.seconds_left)} left")
    return "   ".join(parts)
