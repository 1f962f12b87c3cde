"""Charts of the studies, in the paper's forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from brule.errors import DataError
from brule.plots.svg.canvas import FLOOR, LegendEntry, framed, nice_end, series_colour

_DASHES = (None, "5 4", "1.5 3.5")
_ERROR = "mean error, % of the normalising distance"


def sample_size_chart(
    errors: Mapping[str, Mapping[int, Sequence[float]]],
    lines: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    *,
    unit: str = "",
) -> str:
    """Errors against the size of the sample, both axes logarithmic: medians, quartiles as bars, fitted lines beside them.

    Args:
        errors: name of the error → size → the error of every draw, positive.
        lines: name → sizes and values of a fitted curve; the name is its text in the legend.
        unit: of the errors.

    Returns:
        SVG text.

    Raises:
        DataError: nothing to draw, or an error that isn't positive and finite.
    """
    if not any(errors.values()) or not all(
        len(values) and np.isfinite(values).all() and min(values) > 0 for one in errors.values() for values in one.values()
    ):
        raise DataError("sizes and errors: expected at least one size, and positive, finite errors for each.")
    sizes = sorted({n for by_size in errors.values() for n in by_size})
    quartiles = {
        name: np.array([[n, *np.quantile(by_size[n], (0.25, 0.5, 0.75))] for n in sorted(by_size)])
        for name, by_size in errors.items()
        if by_size
    }
    drawn = np.concatenate([one[:, 1:] for one in quartiles.values()])
    legend = [LegendEntry(name, series_colour(i)) for i, name in enumerate(quartiles)]
    legend += [LegendEntry(name, series_colour(i), _DASHES[1]) for i, name in enumerate(lines or {})]
    plot = framed(
        f"Error over the number of shapes: {', '.join(quartiles)}", x=(sizes[0] / 1.2, sizes[-1] * 1.2),
        y=(drawn.min() / 1.3, drawn.max() * 1.3), x_title="number of shapes", y_title=f"error, {unit}" if unit else "error",
        legend=legend, x_ticks=sizes, log="xy",
    )  # fmt: skip
    for i, (x, y) in enumerate((lines or {}).values()):
        plot.curve(x, y, stroke=series_colour(i), stroke_width=1.6, stroke_dasharray=_DASHES[1])
    for i, one in enumerate(quartiles.values()):
        beside = one[:, 0] * 1.04 ** (i - (len(quartiles) - 1) / 2)  # bars of two errors would hide each other
        for n, (bottom, top) in zip(beside, one[:, [1, 3]], strict=True):
            plot.curve([n, n], [bottom, top], stroke=series_colour(i), stroke_width=1.6)
        plot.dots(beside, one[:, 2], r=4, fill=series_colour(i))
    return plot.canvas.svg()


def sweep_chart(errors: Mapping[float | str, Sequence[float]], *, name: str, floor: float | None = None) -> str:
    """Errors against the value of one setting: a line through the medians, a dot for every run.

    Values that are numbers and not negative are on a logarithmic axis, 0 at its left end; others side by side.

    Args:
        errors: value → mean error of each run, in percent.
        name: of the setting.
        floor: the constant prediction's error, drawn as a dashed line.

    Returns:
        SVG text.

    Raises:
        DataError: no value, or an error that isn't finite.
    """
    if not errors or not all(len(values) and np.isfinite(values).all() for values in errors.values()):
        raise DataError("a sweep needs at least one value, and a finite error for each of its runs.")
    places, log = _places(list(errors))
    texts = {
        place: f"{value:g}" if isinstance(value, float) else str(value) for place, value in zip(places, errors, strict=True)
    }
    margin = (max(places) / min(places)) ** 0.06 * 1.05 if log else 0.5
    ends = (min(places) / margin, max(places) * margin) if log else (min(places) - margin, max(places) + margin)
    top = nice_end(1.05 * max(*(max(values) for values in errors.values()), floor or 0.0))
    legend = [LegendEntry("median of the runs", series_colour(0))]
    plot = framed(
        f"Mean error over {name}", x=ends, y=(0, top), x_title=name, y_title=_ERROR, legend=legend + _floor_entry(floor),
        x_ticks=places, x_text=texts.__getitem__, log="x" if log else "",
    )  # fmt: skip
    if floor is not None:
        plot.floor(floor)
    for place, values in zip(places, errors.values(), strict=True):
        plot.dots([place] * len(values), values, r=4, fill=series_colour(0), fill_opacity=0.5)
    medians = sorted((place, float(np.median(values))) for place, values in zip(places, errors.values(), strict=True))
    plot.curve(*zip(*medians, strict=True), stroke=series_colour(0), stroke_width=2.2)
    return plot.canvas.svg()


def learning_curves_chart(
    curves: Mapping[str, Sequence[ArrayLike]], *, parts: Sequence[str], floor: float | None = None, x_title: str = "iteration"
) -> str:
    """How errors fell during training: one colour per arm, one line style per part; runs faint, their median over them.

    Args:
        curves: name of the arm → one ``(P, 1 + parts)`` array per run: iteration, then the error of each part in percent.
        parts: names of the columns, such as held-out images and those learnt from.
        floor: the constant prediction's error, drawn as a dashed line.
        x_title: what the first column is, where it isn't the iteration.

    Returns:
        SVG text.

    Raises:
        DataError: nothing to draw.
    """
    arms = {
        name: [np.asarray(run, dtype=np.float64).reshape(-1, 1 + len(parts)) for run in runs] for name, runs in curves.items()
    }
    if not arms or not all(len(runs) and all(len(run) for run in runs) for runs in arms.values()):
        raise DataError("learning curves need at least one arm, and at least one point for each of its runs.")
    every = np.concatenate([run for runs in arms.values() for run in runs])
    legend = [
        LegendEntry(f"{name}, {part}", series_colour(i), _DASHES[j])
        for i, name in enumerate(arms)
        for j, part in enumerate(parts)
    ]
    plot = framed(
        f"Mean error over training: {', '.join(arms)}", x=(0, every[:, 0].max()),
        y=(0, nice_end(1.05 * max(every[:, 1:].max(), floor or 0.0))), x_title=x_title, y_title=_ERROR,
        legend=legend + _floor_entry(floor),
    )  # fmt: skip
    if floor is not None:
        plot.floor(floor)
    for i, runs in enumerate(arms.values()):
        shared = sorted(set.intersection(*({float(step) for step in run[:, 0]} for run in runs)))
        for j in range(len(parts)):
            style = {"stroke": series_colour(i), "stroke_dasharray": _DASHES[j]}
            for run in runs if len(runs) > 1 else ():
                plot.curve(run[:, 0], run[:, j + 1], stroke_width=0.8, stroke_opacity=0.35, **style)
            middle = [float(np.median([run[run[:, 0] == step, j + 1][0] for run in runs])) for step in shared]
            plot.curve(shared, middle, stroke_width=2.2, **style)
    return plot.canvas.svg()


def _floor_entry(floor: float | None) -> list[LegendEntry]:
    return [] if floor is None else [LegendEntry("constant prediction (floor)", FLOOR, "5 4", f"{floor:.2f} %")]


def _places(values: list[float | str]) -> tuple[list[float], bool]:
    """Where values are on the horizontal axis, and whether it is logarithmic."""
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    positive = [number for number in numbers if number > 0]
    if len(numbers) < len(values) or min(numbers) < 0 or not positive:
        return [float(i) for i in range(len(values))], False
    least = min(positive)
    step = max(2.0, (max(positive) / least) ** (1 / max(len(positive) - 1, 1)))
    return [number if number > 0 else least / step for number in numbers], True
