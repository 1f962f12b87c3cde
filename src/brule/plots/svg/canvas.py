"""What the charts are drawn with: a canvas that collects elements, scales, ticks, axes and a legend."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from brule.arrays import Array

INK, SOFT, LINE, CARD = "var(--ink,#22262b)", "var(--soft,#656e79)", "var(--line,#dfe3e8)", "var(--card,#ffffff)"
FLOOR = "var(--floor,#8a929c)"
_SERIES = ("#2f62c9", "#d4622a", "#1f9270", "#9a4bbb", "#b08c10", "#c93c67")
WIDTH = 400  # of a chart in its own units: about 14 pixels a letter on a screen, still readable on a telephone
FONT = 12
_VIEW_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_LINE, _LETTER = 14, 5.4  # height of a line of a caption and mean width of its letters, in units of the chart


def series_colour(index: int) -> str:
    """The colour of a curve, the page's own if it names one; distinguishable in grey and by the colour-blind."""
    index %= len(_SERIES)
    return f"var(--series-{index + 1},{_SERIES[index]})"


class Canvas:
    """Collects elements and gives the SVG text.

    Args:
        width: in the chart's own units; on the page it fills the room it is given.
        height: in the same unit.
        label: what the chart shows, for those who can't see it.
        decorative: it only repeats a picture's own text: no label, hidden from screen readers.
    """

    def __init__(self, width: float, height: float, label: str = "", *, decorative: bool = False) -> None:
        self.width, self.height = width, height
        self._label, self._decorative = label, decorative
        self.parts: list[str] = []

    def add(self, tag: str, content: str | None = None, *, hint: str | None = None, **attributes: object) -> None:
        """An element.

        Args:
            tag: its name.
            content: plain text inside it.
            hint: plain text that shows when it is pointed at.
            **attributes: ``stroke_width=2`` becomes ``stroke-width="2"``, ``class_`` ``class``; ``None`` is left out.
        """
        words = "".join(
            f' {name.rstrip("_").replace("_", "-")}="{_written(value)}"'
            for name, value in attributes.items()
            if value is not None
        )
        inside = ("" if hint is None else f"<title>{escape(hint)}</title>") + escape(content or "")
        self.parts.append(f"<{tag}{words}>{inside}</{tag}>" if inside else f"<{tag}{words}/>")

    def path(self, points: ArrayLike, **attributes: object) -> None:
        """A line through points ``(n, 2)``."""
        defaults: dict[str, object] = {"fill": "none", "stroke_linejoin": "round"}
        self.add("path", None, hint=None, d=path_data(points), **(defaults | attributes))

    def text(self, x: float, y: float, content: str, **attributes: object) -> None:
        """Text, its baseline at ``y``."""
        defaults: dict[str, object] = {"fill": INK, "font_size": FONT}
        self.add("text", content, hint=None, x=x, y=y, **(defaults | attributes))

    def svg(self) -> str:
        """The whole picture."""
        aria = 'aria-hidden="true"' if self._decorative else f'role="img" aria-label="{escape(self._label)}"'
        title = "" if self._decorative else f"<title>{escape(self._label)}</title>"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_written(self.width)} {_written(self.height)}" {aria} '
            f'font-family="system-ui, sans-serif">{title}{"".join(self.parts)}</svg>'
        )


class LegendEntry(NamedTuple):
    """A row of the legend: what, in which colour, broken or not, and a figure at the end of the row."""

    name: str
    colour: str
    dashes: str | None = None
    figure: str = ""


@dataclass(frozen=True)
class Scale:
    """From data to the chart's units.

    Attributes:
        low: of the data, where ``start`` is.
        high: of the data, where ``end`` is.
        start: in the chart.
        end: in the chart.
        log: logarithmic; the data are positive then.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, values: ArrayLike) -> Array:
        """Data → chart, any shape."""
        own = np.log if self.log else np.asarray
        data, low, high = (own(np.asarray(one, dtype=np.float64)) for one in (values, self.low, self.high))
        share = (data - low) / ((high - low) or 1.0)
        return self.start + share * (self.end - self.start)

    def at(self, value: float) -> float:
        """The same for one number."""
        return float(self(value))


@dataclass(frozen=True)
class Plot:
    """A canvas with axes on it.

    Attributes:
        canvas: to draw on.
        x: data → chart, from left to right.
        y: data → chart, from the bottom up.
    """

    canvas: Canvas
    x: Scale
    y: Scale

    def curve(self, x: ArrayLike, y: ArrayLike, **attributes: object) -> None:
        """A line through data points."""
        self.canvas.path(np.stack([self.x(x), self.y(y)], axis=1), **attributes)

    def dots(self, x: ArrayLike, y: ArrayLike, **attributes: object) -> None:
        """A dot at each data point."""
        for a, b in zip(self.x(x), self.y(y), strict=True):
            self.canvas.add("circle", None, hint=None, cx=float(a), cy=float(b), **attributes)

    def floor(self, value: float) -> None:
        """A broken line across the plot: the error of the constant prediction."""
        self.curve([self.x.low, self.x.high], [value, value], stroke=FLOOR, stroke_width=1.6, stroke_dasharray="5 4")

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, **attributes: object) -> None:
        """The area between two curves."""
        there, back = (np.stack([self.x(x), self.y(edge)], axis=1) for edge in (low, high))
        self.canvas.path(np.concatenate([there, back[::-1]]), **attributes)


def framed(
    label: str,
    *,
    x: tuple[float, float],
    y: tuple[float, float],
    x_title: str,
    y_title: str,
    legend: Sequence[LegendEntry] = (),
    x_text: Callable[[float], str] | None = None,
    y_text: Callable[[float], str] | None = None,
    x_ticks: Sequence[float] | None = None,
    log: str = "",
    height: float = 250,
) -> Plot:
    """Axes with a quiet grid, their titles, and a legend above.

    Args:
        label: what the chart shows.
        x: from … to.
        y: from … to.
        x_title: title of the horizontal axis, with its unit.
        y_title: title of the vertical axis, with its unit; written horizontally above the axis.
        legend: its rows.
        x_text: how a tick is written.
        y_text: how a tick is written.
        x_ticks: where ticks are; by default at round values.
        log: the logarithmic axes: ``"x"``, ``"y"`` or ``"xy"``.
        height: of the area between the axes.
    """
    top = 18 * len(legend) + 40
    canvas = Canvas(WIDTH, top + height + 42, label)
    draw_legend(canvas, legend)
    across, up = Scale(*x, 44, WIDTH - 12, "x" in log), Scale(*y, top + height, top, "y" in log)
    canvas.text(0, top - 20, y_title, fill=SOFT, font_size=11)
    for value in (log_ticks if up.log else ticks)(*y):
        place = up.at(value)
        canvas.add("line", x1=across.start, x2=across.end, y1=place, y2=place, stroke=LINE)
        canvas.text(36, place + 4, (y_text or number)(value), text_anchor="end", fill=SOFT, font_size=11)
    for value in x_ticks or (log_ticks if across.log else ticks)(*x):
        canvas.text(
            across.at(value), top + height + 17, (x_text or number)(value), text_anchor="middle", fill=SOFT, font_size=11
        )
    canvas.add("line", x1=across.start, x2=across.end, y1=up.start, y2=up.start, stroke=SOFT)
    canvas.text(across.end, top + height + 36, x_title, text_anchor="end", fill=SOFT, font_size=11)
    return Plot(canvas, across, up)


def draw_legend(canvas: Canvas, legend: Sequence[LegendEntry]) -> None:
    """The rows of a legend, from the top of the canvas."""
    for row, entry in enumerate(legend):
        y = 18 * row + 12
        canvas.add(
            "line", x1=0, x2=22, y1=y - 4, y2=y - 4, stroke=entry.colour, stroke_width=2.5, stroke_dasharray=entry.dashes
        )
        canvas.text(30, y, shortened(entry.name, 38 if entry.figure else 56))
        if entry.figure:
            canvas.text(canvas.width, y, entry.figure, text_anchor="end", font_weight=600)


def captioned(svg: str, text: str) -> str:
    """A chart with lines of small text beneath it.

    Args:
        svg: the text of a chart.
        text: plain; broken into lines of the chart's width.
    """
    width, height = (float(side) for side in _VIEW_BOX.search(svg).groups())  # type: ignore[union-attr]
    lines = textwrap.wrap(text, int(width / _LETTER))
    taller = _VIEW_BOX.sub(f'viewBox="0 0 {_written(width)} {_written(height + _LINE * len(lines) + 8)}"', svg, count=1)
    below = Canvas(width, 0)
    for row, line in enumerate(lines):
        below.text(0, height + 8 + _LINE * (row + 0.7), line, fill=SOFT, font_size=10)
    return taller.removesuffix("</svg>") + "".join(below.parts) + "</svg>"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values between two ends, about ``count`` of them, in steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten between two positive ends; also 2 and 5 times them where that leaves fewer than three."""
    powers = [10.0**i for i in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    found = [value for value in powers if low <= value <= high]
    return found if len(found) > 2 else [m * value for value in powers for m in (1, 2, 5) if low <= m * value <= high]


def nice_end(value: float, count: int = 5) -> float:
    """The first tick at or above a value: where an axis may end."""
    if not value > 0 or not math.isfinite(value):
        return 1.0
    step = ticks(0.0, value, count)[1]
    return round(step * math.ceil(value / step - 1e-9), 12)


def number(value: float) -> str:
    """A tick without needless zeros."""
    return f"{value:.6g}".replace("-", "−")


def hundredths(value: float) -> str:
    """A number with two digits after the point at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def share(value: float) -> str:
    """A share between 0 and 1 in percent."""
    return f"{100 * value:.3g} %"


def shortened(name: str, length: int) -> str:
    """A name that fits, its middle left out."""
    return name if len(name) <= length else f"{name[: length // 2]}…{name[len(name) - length // 2 + 1 :]}"


def path_data(points: ArrayLike) -> str:
    """The ``d`` of a path through points ``(n, 2)``."""
    pairs = [f"{_written(x)} {_written(y)}" for x, y in np.asarray(points, dtype=np.float64)]
    return "M" + "L".join(pairs)


def _written(value: object) -> str:
    if isinstance(value, float | np.floating):
        return hundredths(float(value))
    return escape(str(value))
