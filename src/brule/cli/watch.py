"""``brule watch``: how a training is getting on, from its log."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from brule.cli.output import INTERRUPTED
from brule.errors import ConfigError, DataError

if TYPE_CHECKING:
    from rich.console import RenderableType

LOG, SETTINGS, DESCRIPTION, PREVIEWS = "metrics.jsonl", "config.json", "detector.json", "previews"
SILENT_SECONDS = 120.0
BAR_WIDTH = 60
_BARS = "▁▂▃▄▅▆▇█"
_WIDE = 10.0
_RECENT = 20  # lines of the log that the speed is measured over


def watch(run: Path, /, *, once: bool = False, every: float = 2.0, width: int = 40) -> int:
    """Follow a training in the terminal.

    Shows how much of the run is done, how fast it goes, when it will end, each logged term with its course so far, and
    the newest preview picture. It only reads: watch from as many terminals as you like. It ends with the training;
    Ctrl-C ends it before and leaves the training alone.

    **Examples**

        brule watch runs/first

        brule watch runs/first --once

    Args:
        run: The folder of the run, the `-o` of `brule train`.
        once: Print the state of the moment and end.
        every: Seconds between looks.
        width: Characters of each term's course.
    """
    from rich.console import Console
    from rich.live import Live

    if every <= 0 or width < 1:
        raise ConfigError(f"watch: expected --every > 0 and --width ≥ 1, got {every:g} and {width}")
    console, state = Console(), RunState.read(run)
    if once or state.finished:
        console.print(_shown(state, width))
        return 0
    try:
        with Live(_shown(state, width), console=console, auto_refresh=False) as live:
            while not state.finished:
                time.sleep(every)
                state = RunState.read(run)
                live.update(_shown(state, width), refresh=True)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


@dataclass(frozen=True)
class RunState:
    """What a run's folder tells about it.

    Attributes:
        run: the folder.
        records: the lines of its log, in order.
        iterations: how many there are to be; ``None`` if unknown.
        minutes: the time limit; ``None`` if there is none.
        finished: whether training came to its end.
        preview: the newest preview picture.
        age: seconds since the log was written to.
    """

    run: Path
    records: list[dict[str, Any]] = field(default_factory=list)
    iterations: int | None = None
    minutes: float | None = None
    finished: bool = False
    preview: Path | None = None
    age: float = 0.0

    @classmethod
    def read(cls, run: Path) -> RunState:
        """Look at a run; a line that is being written, or is damaged, is passed over.

        Raises:
            DataError: there is no run in the folder.
        """
        log, settings = run / LOG, _json(run / SETTINGS)
        if not log.is_file() and not settings:
            raise DataError(
                f"{run}: expected the folder of a run, found neither {LOG} nor {SETTINGS}; give the -o of brule train"
            )
        previews = sorted(run.glob(f"{PREVIEWS}/*.png"))
        return cls(
            run,
            _records(log),
            _number(settings.get("iterations"), int),
            _number(settings.get("time_limit"), float),
            _json(run / DESCRIPTION).get("finished") is True,
            previews[-1] if previews else None,
            max(0.0, time.time() - log.stat().st_mtime) if log.is_file() else 0.0,
        )

    @property
    def iteration(self) -> int:
        """The last one logged."""
        return int(self.records[-1]["iteration"]) if self.records else 0

    @property
    def seconds(self) -> float:
        """Training time up to there."""
        return _seconds(self.records[-1]) if self.records else 0.0

    @property
    def share(self) -> float | None:
        """How much is done, 0 … 1: by iterations or by the clock, whichever ends the run first; ``None`` if unknown."""
        if self.finished:
            return 1.0
        shares = [self.iteration / self.iterations] if self.iterations else []
        shares += [self.seconds / (60 * self.minutes)] if self.minutes else []
        return min(1.0, max(shares)) if shares else None

    @property
    def speed(self) -> float | None:
        """Iterations a second over the last lines; ``None`` if there are too few."""
        recent = self.records[-_RECENT:] if len(self.records) > 1 else [{"iteration": 0, "seconds": 0.0}, *self.records]
        done = recent[-1]["iteration"] - recent[0]["iteration"]
        took = _seconds(recent[-1]) - _seconds(recent[0])
        return done / took if done > 0 and took > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Until the end at this speed; ``None`` if unknown."""
        left = []
        if self.iterations and self.speed:
            left.append(max(0.0, (self.iterations - self.iteration) / self.speed))
        if self.minutes:
            left.append(max(0.0, 60 * self.minutes - self.seconds))
        return min(left) if left and not self.finished else None

    @property
    def terms(self) -> dict[str, list[float]]:
        """Each logged term's values in order; what isn't a finite number is passed over."""
        found: dict[str, list[float]] = {}
        for record in self.records:
            for name, value in record.items():
                if name not in ("iteration", "seconds") and _is_finite(value):
                    found.setdefault(name, []).append(float(value))
        return found


def sparkline(values: Sequence[float], width: int) -> str:
    """A course in a line of text: ``width`` characters at most, each the mean of its part of the values.

    Where all are positive and the largest is more than ten times the smallest, equal steps are equal ratios: a loss falls
    fast at first, and the rest would be a flat line.

    Args:
        values: finite numbers in order.
        width: of the text.
    """
    if not values:
        return ""
    count = min(width, len(values))
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    if min(means) > 0 and max(means) > _WIDE * min(means):
        means = [math.log(mean) for mean in means]
    low, high = min(means), max(means)
    if high <= low:
        return _BARS[0] * count
    return "".join(_BARS[min(len(_BARS) - 1, int((value - low) / (high - low) * len(_BARS)))] for value in means)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _shown(state: RunState, width: int) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    lines: list[RenderableType] = [Text(f"{state.run}  {_status(state)}", style="bold")]
    if state.share is not None:
        done = round(state.share * BAR_WIDTH)
        lines.append(Text.assemble(("━" * done, "green"), ("━" * (BAR_WIDTH - done), "dim")))
    lines.append(Text(_told(state)))
    table = Table(
        "term", "last", "lowest", f"course over {len(state.records)} lines", box=None, padding=(0, 3, 0, 0), pad_edge=False
    )
    for name, values in state.terms.items():
        table.add_row(Text(name), f"{values[-1]:.4g}", f"{min(values):.4g}", sparkline(values, width))
    lines += ["", table, ""] if state.terms else ["", "nothing logged yet"]
    lines += [Text(f"preview  {state.preview}", overflow="fold")] if state.preview else []
    return Group(*lines)


def _status(state: RunState) -> str:
    if state.finished:
        return "finished"
    if state.records and state.age > SILENT_SECONDS:
        return f"silent for {duration(state.age)}: stopped, or busy with something else"
    return "running" if state.records else "beginning"


def _told(state: RunState) -> str:
    parts = [f"iteration {state.iteration:,}" + (f" of {state.iterations:,}" if state.iterations else "")]
    if state.share is not None:
        parts.insert(0, f"{100 * state.share:.0f} % done")
    if state.speed:
        parts.append(f"{state.speed:.3g} iterations/s")
    parts.append(f"{duration(state.seconds)} trained" + (f" of {duration(60 * state.minutes)}" if state.minutes else ""))
    if state.seconds_left is not None:
        parts.append(f"about {duration(state.seconds_left)} left")
    return "   ".join(parts)


def _records(log: Path) -> list[dict[str, Any]]:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and _is_finite(record.get("iteration")):
            found.append(record)
    return found


def _json(path: Path) -> dict[str, Any]:
    """The content of a JSON file; nothing where there is none yet or it can't be understood."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _seconds(record: dict[str, Any]) -> float:
    value = record.get("seconds")
    return float(value) if _is_finite(value) else 0.0


def _number(value: Any, kind: type) -> Any:
    return kind(value) if _is_finite(value) and value > 0 else None


def _is_finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
