"""Figures of the studies (matplotlib, the extra ``plot``), in the paper's forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from brule.errors import DataError
from brule.plots.axes import INK, LINES, MUTED, curve_axes, legend, new_figure
from brule.plots.checks import check_landmarks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def sample_size_figure(
    errors: Mapping[str, Mapping[int, Sequence[float]]],
    lines: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    *,
    unit: str = "",
) -> Figure:
    """Errors against the size of the sample, both axes logarithmic: medians, quartiles as bars, fitted lines beside them.

    Args:
        errors: name of the error → size → the error of every draw, positive.
        lines: name → sizes and values of a fitted curve, and how its legend reads by way of the name itself.
        unit: of the errors.

    Raises:
        DataError: nothing to draw, or an error that isn't positive and finite.
    """
    if not any(errors.values()) or not all(
        len(values) and np.isfinite(values).all() and min(values) > 0 for one in errors.values() for values in one.values()
    ):
        raise DataError("sizes and errors: expected at least one size, and positive, finite errors for each.")
    figure, axes = curve_axes("Number of shapes", f"Error ({unit})" if unit else "Error")
    for i, (name, by_size) in enumerate(errors.items()):
        sizes = sorted(by_size)
        low, middle, high = (np.array([np.quantile(by_size[n], q) for n in sizes]) for q in (0.25, 0.5, 0.75))
        colour = LINES[i % len(LINES)]
        beside = np.array(sizes) * 1.05 ** (i - (len(errors) - 1) / 2)  # bars of two errors would hide each other
        axes.errorbar(beside, middle, yerr=(middle - low, high - middle), fmt="o", color=colour, ms=5, capsize=3, label=name)
    for i, (name, (x, y)) in enumerate((lines or {}).items()):
        axes.plot(x, y, color=LINES[i % len(LINES)], lw=1.3, ls=(0, (5, 3)), label=name)
    axes.set(xscale="log", yscale="log")
    ticks = sorted({n for by_size in errors.values() for n in by_size})
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()
    legend(axes)
    return figure


def two_shapes_figure(first: ArrayLike, second: ArrayLike, *, names: tuple[str, str]) -> Figure:
    """Two landmark sets over each other, points of one index joined.

    Args:
        first: ``(N, 2)`` in the unit square, y downwards; drawn as open circles.
        second: the same; drawn as dots.
        names: of the two.

    Raises:
        DataError: they aren't landmarks, or differ in number.
    """
    one, two = check_landmarks(first), check_landmarks(second)
    if one.shape != two.shape:
        raise DataError(f"expected two sets of as many landmarks, got {len(one)} and {len(two)}.")
    figure = new_figure(6.0, 6.4)
    axes = figure.add_axes((0.03, 0.03, 0.94, 0.86))
    axes.set_axis_off()
    axes.plot(np.stack([one[:, 0], two[:, 0]]), np.stack([one[:, 1], two[:, 1]]), color=MUTED, lw=0.9, zorder=1)
    axes.plot(one[:, 0], one[:, 1], "o", ms=7, mfc="none", mec=LINES[0], mew=1.5, label=names[0], zorder=2)
    axes.plot(two[:, 0], two[:, 1], "o", ms=3.6, color=LINES[1], label=names[1], zorder=3)
    axes.set_aspect("equal")
    axes.margins(0.05)
    axes.invert_yaxis()
    legend(axes)
    return figure


def sweep_figure(errors: Mapping[float | str, Sequence[float]], *, name: str, floor: float | None = None) -> Figure:
    """Errors against the value of one setting: a line through the medians, a dot for every run.

    Values that are numbers and not negative stand on a logarithmic axis, 0 at its left end; others side by side.

    Args:
        errors: value → mean error of each run, in percent.
        name: of the setting.
        floor: the constant prediction's error, drawn as a dashed line.

    Raises:
        DataError: no value, or an error that isn't finite.
    """
    if not errors or not all(len(values) and np.isfinite(values).all() for values in errors.values()):
        raise DataError("a sweep needs at least one value, and a finite error for each of its runs.")
    figure, axes = curve_axes(name, "Mean error (% of the normalising distance)")
    places = _places(list(errors), axes)
    for place, values in zip(places, errors.values(), strict=True):
        axes.plot([place] * len(values), values, "o", color=LINES[0], ms=5, alpha=0.5, mew=0)
    order = np.argsort(places)
    medians = np.array([np.median(values) for values in errors.values()])
    axes.plot(np.array(places)[order], medians[order], color=LINES[0], lw=2)
    axes.set_xticks(places, [f"{value:g}" if isinstance(value, float) else str(value) for value in errors])
    axes.minorticks_off()
    if floor is not None:
        _draw_floor(axes, floor)
    axes.set_ylim(0, 1.1 * max(max(max(values) for values in errors.values()), floor or 0.0))
    return figure


def learning_curves_figure(
    curves: Mapping[str, Sequence[ArrayLike]], *, parts: Sequence[str], floor: float | None = None
) -> Figure:
    """How errors fell during training: a colour an arm, a line style a part; runs faint, their median over them.

    Args:
        curves: name of the arm → one ``(P, 1 + parts)`` array a run: iteration, then the error of each part in percent.
        parts: names of the columns, such as held-out images and those learnt from.
        floor: the constant prediction's error, drawn as a dashed line.

    Raises:
        DataError: nothing to draw.
    """
    arms = {
        name: [np.asarray(run, dtype=np.float64).reshape(-1, 1 + len(parts)) for run in runs] for name, runs in curves.items()
    }
    if not arms or not all(len(runs) and all(len(run) for run in runs) for runs in arms.values()):
        raise DataError("learning curves need at least one arm, and at least one point for each of its runs.")
    figure, axes = curve_axes("Iteration", "Mean error (% of the normalising distance)")
    for colour, (name, runs) in zip(LINES, arms.items(), strict=False):
        for column, (part, style) in enumerate(zip(parts, ("-", (0, (4, 2)), ":"), strict=False), 1):
            for run in runs if len(runs) > 1 else ():
                axes.plot(run[:, 0], run[:, column], color=colour, lw=0.8, alpha=0.35, ls=style)
            shared = sorted(set.intersection(*({float(step) for step in run[:, 0]} for run in runs)))
            middle = [np.median([run[run[:, 0] == step, column][0] for run in runs]) for step in shared]
            axes.plot(shared, middle, color=colour, lw=2, ls=style, label=f"{name}, {part}")
    if floor is not None:
        _draw_floor(axes, floor)
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def _places(values: list[float | str], axes: Axes) -> list[float]:
    """Where values stand on the horizontal axis, whose scale is set."""
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    positive = [number for number in numbers if number > 0]
    if len(numbers) < len(values) or min(numbers) < 0 or not positive:
        return [float(i) for i in range(len(values))]
    axes.set_xscale("log")
    least = min(positive)
    step = max(2.0, (max(positive) / least) ** (1 / max(len(positive) - 1, 1)))
    return [number if number > 0 else least / step for number in numbers]


def _draw_floor(axes: Axes, floor: float) -> None:
    axes.axhline(floor, color=MUTED, lw=1.2, ls=(0, (5, 3)))
    axes.annotate(
        f"floor: constant prediction, {floor:.2f} %", (1, floor), (-4, 4), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", color=INK, fontsize=9,
    )  # fmt: skip
