"""Figures with matplotlib (the extra ``plot``), without any global pyplot state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from brule.coordinates import image_box, unit_to_pixels
from brule.errors import DataError
from brule.plots.axes import INK, LINES, MUTED, curve_axes, legend, new_figure, style_axes
from brule.plots.checks import Array, check_batch, check_columns, check_edges, check_landmarks
from brule.plots.colours import index_colours
from brule.plots.drawing import outward

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def overlay_grid(
    images: ArrayLike,
    points: ArrayLike,
    *,
    truth: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    columns: int = 6,
    edges: ArrayLike | None = None,
    indices: bool = False,
) -> Figure:
    """Images in a grid with their landmarks coloured by index.

    Args:
        images: ``(B, H, W, 3)`` or ``(B, H, W)`` uint8.
        points: ``(B, N, 2)`` in the unit square; NaN points are left out.
        truth: ``(B, M, 2)`` in the unit square, drawn as white crosses.
        names: one title for each image.
        columns: images in a row.
        edges: ``(E, 2)`` pairs of indices to join by thin lines.
        indices: write each landmark's index beside it.

    Returns:
        The figure.

    Raises:
        DataError: shapes or numbers don't fit.
    """
    stack, landmarks = check_batch(images, points)
    expected = None if truth is None else check_batch(images, truth)[1]
    if names is not None and len(names) != len(stack):
        raise DataError(f"{len(names)} names for {len(stack)} images: expected one for each.")
    pairs = check_edges(edges, landmarks.shape[1])
    columns = check_columns(columns, len(stack))
    rows = -(-len(stack) // columns)
    height, width = stack.shape[1:3]
    side = 3.2 if indices else 2.0
    top = 0.24 if names is not None else 0.06
    figure = new_figure(columns * side, rows * (side * height / width + top))
    for i, image in enumerate(stack):
        row, column = divmod(i, columns)
        cell = (rows - row - 1) / rows, 1 / rows
        share = top / (side * height / width + top)
        axes = figure.add_axes((column / columns + 0.01 / columns, cell[0], 0.98 / columns, cell[1] * (1 - share)))
        axes.set_axis_off()
        axes.imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0, vmax=255, interpolation="lanczos")
        box = image_box(width, height)
        if expected is not None:
            _scatter_truth(axes, unit_to_pixels(expected[i], box))
        _scatter_landmarks(axes, unit_to_pixels(landmarks[i], box), pairs, indices)
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        if names is not None:
            axes.set_title(_shortened(names[i], 26), fontsize=7, color=INK, pad=2.5)
    return figure


def barycenter_figure(
    barycenter: ArrayLike, sets: Sequence[ArrayLike], indices: bool = True, *, edges: ArrayLike | None = None
) -> Figure:
    """The barycenter's landmarks over the annotated sets that it was made of.

    Args:
        barycenter: ``(N, 2)`` in the unit square, y downwards.
        sets: each ``(N_i, 2)`` in the same frame; drawn as faint dots.
        indices: write each landmark's index beside it.
        edges: ``(E, 2)`` pairs of indices to join by thin lines.

    Returns:
        The figure.
    """
    centre = check_landmarks(barycenter)
    clouds = [check_landmarks(points) for points in sets]
    pairs = check_edges(edges, len(centre))
    figure = new_figure(6.4, 6.4)
    axes = figure.add_axes((0.03, 0.03, 0.94, 0.88))
    axes.set_axis_off()
    for cloud in clouds:
        axes.scatter(cloud[:, 0], cloud[:, 1], s=9, color="#aab2bd", alpha=0.55, linewidths=0, zorder=1)
    for pair in centre[pairs]:
        axes.plot(pair[:, 0], pair[:, 1], color=MUTED, lw=0.9, zorder=2)
    size = 2.6 * _marker_diameter(len(centre))
    axes.scatter(
        centre[:, 0], centre[:, 1], s=size**2, c=index_colours(len(centre)) / 255, edgecolors=INK, linewidths=0.6, zorder=3
    )
    if indices:
        _annotate_indices(axes, centre, fontsize=7.5, halo="white", ink=INK, away=size / 2 + 5.0)
    axes.set_aspect("equal")
    axes.margins(0.05)
    axes.invert_yaxis()
    plural = "set" if len(clouds) == 1 else "sets"
    figure.text(0.03, 0.955, f"Barycenter of {len(clouds)} annotated {plural}", fontsize=12, color=INK, weight="bold")
    figure.text(0.03, 0.925, f"{len(centre)} landmarks, coloured by index; grey: the annotated points", fontsize=9, color=MUTED)
    return figure


def ced_figure(errors: Mapping[str, ArrayLike], limit: float = 10.0) -> Figure:
    """Cumulative error distributions: what share of the images has at most a given error.

    Args:
        errors: name → errors ``(B,)`` in percent of the normalising distance.
        limit: where the horizontal axis ends, in percent.

    Returns:
        The figure.

    Raises:
        DataError: no errors, or NaN among them.
    """
    if not errors or not limit > 0:
        raise DataError("a CED needs at least one named list of errors and a positive limit.")
    figure, axes = curve_axes("Error (% of the normalising distance)", "Images with at most this error")
    for i, (name, values) in enumerate(errors.items()):
        ordered = np.sort(np.asarray(values, dtype=np.float64).ravel())
        if not len(ordered) or not np.isfinite(ordered).all():
            raise DataError(f"the errors of {name!r} must be finite numbers, at least one.")
        share = np.arange(len(ordered) + 1) / len(ordered)
        within = np.concatenate([[0.0], ordered, [max(limit, ordered[-1])]])
        label = f"{name}   mean {ordered.mean():.2f} %"
        # A line for each name keeps its dashes when the colours are lost, as in print.
        style = "-" if i < len(LINES) else "--"
        axes.step(within, np.append(share, 1.0), where="post", color=LINES[i % len(LINES)], lw=2, ls=style, label=label)
    axes.set(xlim=(0, limit), ylim=(0, 1.005))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    legend(axes)
    return figure


def ablation_figure(errors: Mapping[str, Sequence[float]]) -> Figure:
    """What each part of a method is worth: a bar an arm at the median of its runs, a dot for every run.

    Args:
        errors: name of the arm → mean error of each run, in percent; the first arm is what the others are compared with.

    Raises:
        DataError: no runs, or an error that isn't finite.
    """
    if not errors or not all(len(values) and np.isfinite(values).all() for values in errors.values()):
        raise DataError("an ablation needs at least one arm, and a finite error for each of its runs.")
    figure, axes = curve_axes("Mean error (% of the normalising distance)", "")
    figure.set_size_inches(8, 1.2 + 0.55 * len(errors))
    for row, values in enumerate(errors.values()):
        colour = LINES[0] if row == 0 else LINES[1]
        axes.barh(row, np.median(values), height=0.62, color=colour, alpha=0.35)
        axes.plot(values, [row] * len(values), "o", color=colour, ms=6)
        axes.annotate(
            f"{np.median(values):.2f}", (max(values), row), (8, 0), textcoords="offset points", va="center", color=INK
        )
    axes.set_yticks(range(len(errors)), list(errors))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(max(values) for values in errors.values()))
    return figure


def loss_curves(records: Iterable[Mapping[str, Any]], keys: Sequence[str] | None = None, *, x: str = "iteration") -> Figure:
    """One panel for each logged quantity, raw values faint and a running mean over them.

    Args:
        records: rows of the training log, e.g. ``{"step": 100, "loss": 0.3}``; a row may lack some keys.
        keys: what to draw; by default every numeric key except ``x``, in order of appearance.
        x: the key of the horizontal axis; rows without it are counted instead.

    Returns:
        The figure.

    Raises:
        DataError: there is nothing to draw.
    """
    rows = list(records)
    if keys is None:
        keys = list(dict.fromkeys(key for row in rows for key, value in row.items() if key != x and _is_number(value)))
    series = [(key, *_column(rows, key, x)) for key in keys]
    missing = [key for key, _, values in series if not len(values)]
    if not series or missing:
        raise DataError(f"the log holds no numbers for {', '.join(missing) or 'any key'}: nothing to draw.")
    columns = min(3, len(series))
    lines = -(-len(series) // columns)
    figure = new_figure(3.6 * columns, 2.5 * lines)
    figure.set_layout_engine("constrained")
    for i, (key, steps, values) in enumerate(series):
        axes = figure.add_subplot(lines, columns, i + 1)
        style_axes(axes)
        _plot_smoothed(axes, steps, values, LINES[i % len(LINES)])
        axes.set_title(key, fontsize=10, color=INK, loc="left", weight="bold")
        if i >= len(series) - columns:
            axes.set_xlabel(x, fontsize=8.5, color=MUTED)
    return figure


def training_curve(
    records: Iterable[Mapping[str, Any]], key: str = "nme", *, x: str = "iteration", floor: float | None = None
) -> Figure:
    """How one figure of merit fell during training, its best value marked, the floor beside it.

    Args:
        records: rows of the training log; rows without ``key`` are passed over.
        key: what to draw, in percent; lower is better.
        x: the key of the horizontal axis.
        floor: the constant prediction's value, drawn as a dashed line.

    Returns:
        The figure.

    Raises:
        DataError: no row holds ``key``.
    """
    steps, values = _column(list(records), key, x)
    if not len(values):
        raise DataError(f"the log holds no numbers for {key}: nothing to draw.")
    figure, axes = curve_axes(x, f"{key} (%)")
    axes.plot(steps, values, color=LINES[0], lw=2, marker="o", ms=3.5 if len(values) < 60 else 0)
    best = int(np.argmin(values))
    axes.plot(steps[best], values[best], "o", ms=9, mfc="white", mec=LINES[0], mew=2, zorder=4)
    axes.annotate(
        f"{values[best]:.2f} %", (steps[best], values[best]), (0, -16), textcoords="offset points",
        ha="right" if best > len(values) / 2 else "left", color=LINES[0], fontsize=10, weight="bold",
    )  # fmt: skip
    if floor is not None:
        axes.axhline(floor, color=MUTED, lw=1.2, ls=(0, (5, 3)))
        axes.annotate(
            f"floor: constant prediction, {floor:.2f} %", (1, floor), (-4, 4), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", color=MUTED, fontsize=9,
        )  # fmt: skip
    axes.set_ylim(0, 1.12 * max([*values, floor or 0.0]) or 1.0)
    return figure


def _marker_diameter(n: int) -> float:
    """Points across; fewer landmarks may be larger."""
    return float(np.clip(23 / np.sqrt(max(n, 1)), 2.4, 6.0))


def _scatter_landmarks(axes: Axes, landmarks: Array, pairs: Array, indices: bool) -> None:
    from matplotlib.collections import LineCollection

    colours = index_colours(len(landmarks)) / 255
    if len(pairs):
        segments = landmarks[pairs]
        middle = colours[pairs].mean(axis=1)
        axes.add_collection(LineCollection(list(segments), colors="black", linewidths=1.6, alpha=0.35, zorder=2))
        axes.add_collection(LineCollection(list(segments), colors=middle, linewidths=0.8, alpha=0.9, zorder=2.1))
    size = _marker_diameter(len(landmarks)) * (1.5 if indices else 1.0)
    axes.scatter(landmarks[:, 0], landmarks[:, 1], s=size**2, c=colours, edgecolors="black", linewidths=0.45, zorder=3)
    if indices:
        _annotate_indices(axes, landmarks, fontsize=4.6, halo="black", ink="white", away=size / 2 + 3.0)


def _scatter_truth(axes: Axes, truth: Array) -> None:
    size = _marker_diameter(len(truth))
    axes.scatter(truth[:, 0], truth[:, 1], s=size**2, marker="x", color="black", linewidths=1.3, alpha=0.5, zorder=2.4)
    axes.scatter(truth[:, 0], truth[:, 1], s=size**2, marker="x", color="white", linewidths=0.6, zorder=2.5)


def _annotate_indices(axes: Axes, landmarks: Array, *, fontsize: float, halo: str, ink: str, away: float) -> None:
    from matplotlib.patheffects import withStroke

    effects = [withStroke(linewidth=0.28 * fontsize, foreground=halo)]
    for i, (point, direction) in enumerate(zip(landmarks, outward(landmarks), strict=True)):
        if not np.isfinite(point).all():
            continue
        axes.annotate(
            str(i), point, (away * direction[0], -away * direction[1]), textcoords="offset points", ha="center",
            va="center", fontsize=fontsize, color=ink, path_effects=effects, zorder=4, annotation_clip=False,
        )  # fmt: skip


def _plot_smoothed(axes: Axes, steps: Array, values: Array, colour: str) -> None:
    window = max(1, len(values) // 30)
    if window > 1:
        axes.plot(steps, values, color=colour, lw=0.8, alpha=0.3)
    kernel = np.ones(window)
    weights = np.convolve(np.ones(len(values)), kernel, mode="same")
    axes.plot(steps, np.convolve(values, kernel, mode="same") / weights, color=colour, lw=1.9)
    low, high = np.quantile(values, (0.05, 0.98))  # one outlier shouldn't bend the axis
    if values.min() > 0 and high > 30 * low:
        axes.set_yscale("log")


def _column(rows: Sequence[Mapping[str, Any]], key: str, x: str) -> tuple[Array, Array]:
    pairs = [(row.get(x, i), row[key]) for i, row in enumerate(rows) if _is_number(row.get(key))]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))


def _shortened(name: str, length: int) -> str:
    name = name.encode("utf-8", "backslashreplace").decode()  # a file's name needn't be UTF-8
    return name if len(name) <= length else f"{name[: length // 2]}…{name[-(length // 2 - 1) :]}"
