"""Bars and whiskers: errors by region, differences between predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from textwrap import wrap

from brule.errors import DataError
from brule.plots.svg.canvas import (
    CARD,
    FLOOR,
    INK,
    LINE,
    SOFT,
    WIDTH,
    Canvas,
    LegendEntry,
    Scale,
    draw_legend,
    nice_end,
    number,
    series_colour,
    shortened,
    ticks,
)

Triple = tuple[float, float, float]  # value, and the ends of its interval
_ROW = 34
_LEFT = 92
_NAME = 22  # characters of a line beside a bar
_LINE = 13  # from one line of a name to the next


def region_chart(values: Mapping[str, Triple], *, floors: Mapping[str, float] | None = None) -> str:
    """The error of each region as a bar with its interval, and a tick at that of a constant prediction (the floor).

    Args:
        values: region → (mean error, lower end, upper end) in percent; a region of NaN gets no bar.
        floors: region → the constant prediction's mean error.

    Returns:
        SVG text.

    Raises:
        DataError: no region.
    """
    if not values:
        raise DataError("a chart of regions needs at least one region.")
    known = {name: one for name, one in values.items() if math.isfinite(one[0])}
    marks = {name: floor for name, floor in (floors or {}).items() if math.isfinite(floor)}
    end = nice_end(1.02 * max([*(one[2] for one in known.values()), *marks.values(), 0.0]))
    legend = [LegendEntry("mean error with its 95 % interval", series_colour(0))]
    legend += [LegendEntry("constant prediction (floor)", FLOOR, "4 2")] if marks else []
    top = 18 * len(legend) + 10
    height = top + _ROW * len(values)
    words = ", ".join(f"{name} {one[0]:.2f} %" for name, one in known.items())
    canvas = Canvas(WIDTH, height + 40, f"Mean error by region: {words}")
    draw_legend(canvas, legend)
    across = Scale(0, end, _LEFT, WIDTH - 52)
    _axis(canvas, across, top=top, bottom=height, title="mean error, % of the normalising distance")
    for row, (name, one) in enumerate(values.items()):
        y = top + _ROW * (row + 0.5)
        canvas.text(_LEFT - 8, y + 4, shortened(name, 13), text_anchor="end")
        if name not in known:
            canvas.text(_LEFT + 6, y + 4, "missing in all images", fill=SOFT)
            continue
        x = across.at(one[0])
        canvas.add(
            "rect", x=across.start, y=y - 9, width=x - across.start, height=18, rx=3, fill=series_colour(0), class_="bar"
        )
        _whisker(canvas, across, y, triple=one, colour=INK)
        if name in marks:
            place = across.at(marks[name])
            canvas.add("line", x1=place, x2=place, y1=y - 13, y2=y + 13, stroke=FLOOR, stroke_width=2.5, stroke_dasharray="4 2")
        canvas.text(WIDTH, y + 4, f"{one[0]:.2f} %", text_anchor="end", font_weight=600)
    return canvas.svg()


def difference_chart(differences: Mapping[str, Triple]) -> str:
    """Paired differences with their intervals about a line at zero.

    Args:
        differences: name → (mean difference, lower end, upper end) in percent points.

    Returns:
        SVG text.

    Raises:
        DataError: no difference.
    """
    if not differences:
        raise DataError("a chart of differences needs at least one.")
    reach = nice_end(1.05 * max(max(abs(v) for v in one) for one in differences.values()))
    row = 50
    height = 8 + row * len(differences)
    words = "; ".join(f"{name}: {one[0]:+.2f}" for name, one in differences.items())
    canvas = Canvas(WIDTH, height + 40, f"Mean difference of the errors with its interval. {words}")
    across = Scale(-reach, reach, 14, WIDTH - 14)
    _axis(canvas, across, top=4, bottom=height, title="difference of the errors, percent points")
    zero = across.at(0)
    canvas.add("line", x1=zero, x2=zero, y1=4, y2=height, stroke=SOFT, stroke_width=1.5)
    for i, (name, one) in enumerate(differences.items()):
        y = 8 + row * (i + 0.5) + 8
        colour = series_colour(0) if one[1] > 0 or one[2] < 0 else FLOOR
        halo = {"paint_order": "stroke", "stroke": CARD, "stroke_width": 4}
        canvas.text(across.start, y - 16, shortened(name, 44), **halo)
        figure = f"{one[0]:+.2f}".replace("-", "−")
        canvas.text(across.end, y - 16, figure, text_anchor="end", font_weight=600, **halo)
        _whisker(canvas, across, y, triple=one, colour=colour, width=2.5)
        canvas.add("circle", cx=across.at(one[0]), cy=y, r=4.5, fill=colour)
    return canvas.svg()


def ablation_chart(errors: Mapping[str, Sequence[float]]) -> str:
    """What each part of a method is worth: one bar per arm at the median of its runs, one dot per run.

    Args:
        errors: name of the arm → mean error of each run, in percent; the first arm is what the others are compared with.

    Returns:
        SVG text.

    Raises:
        DataError: no runs, or an error that isn't finite.
    """
    if not errors or not all(values and all(map(math.isfinite, values)) for values in errors.values()):
        raise DataError("an ablation needs at least one variant, and a finite error for each of its runs.")
    left, height = 150, 10 + _ROW * len(errors)
    middle = {name: median(values) for name, values in errors.items()}
    label = ", ".join(f"{name} {value:.2f} %" for name, value in middle.items())
    canvas = Canvas(WIDTH, height + 40, f"Median of the runs' mean errors: {label}")
    across = Scale(0, nice_end(1.02 * max(map(max, errors.values()))), left, WIDTH - 64)
    _axis(canvas, across, top=4, bottom=height, title="mean error, % of the normalising distance")
    for row, (name, values) in enumerate(errors.items()):
        y, colour = 10 + _ROW * (row + 0.5), series_colour(0 if row == 0 else 1)
        lines = wrap(shortened(name, 2 * _NAME), _NAME)
        for line, part in enumerate(lines):
            canvas.text(left - 8, y + 4 + _LINE * (line - (len(lines) - 1) / 2), part, text_anchor="end")
        bar = across.at(middle[name]) - left
        canvas.add("rect", x=left, y=y - 9, width=bar, height=18, rx=3, fill=colour, fill_opacity=0.35, class_="bar")
        for value in values:
            canvas.add("circle", cx=across.at(value), cy=y, r=4, fill=colour)
        canvas.text(WIDTH, y + 4, f"{middle[name]:.2f} %", text_anchor="end", font_weight=600)
    return canvas.svg()


def _axis(canvas: Canvas, across: Scale, *, top: float, bottom: float, title: str) -> None:
    for value in ticks(across.low, across.high):
        x = across.at(value)
        canvas.add("line", x1=x, x2=x, y1=top, y2=bottom, stroke=LINE)
        canvas.text(x, bottom + 16, number(value), text_anchor="middle", fill=SOFT, font_size=11)
    canvas.text(across.end, bottom + 34, title, text_anchor="end", fill=SOFT, font_size=11)


def _whisker(canvas: Canvas, across: Scale, y: float, *, triple: Triple, colour: str, width: float = 1.6) -> None:
    low, high = across.at(triple[1]), across.at(triple[2])
    canvas.add("line", x1=low, x2=high, y1=y, y2=y, stroke=colour, stroke_width=width)
    for end in (low, high):
        canvas.add("line", x1=end, x2=end, y1=y - 5, y2=y + 5, stroke=colour, stroke_width=width)
