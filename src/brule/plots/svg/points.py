"""Points: landmarks on a shape or over a picture, images as dots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from brule.arrays import Array, evenly_spread
from brule.errors import DataError
from brule.plots.checks import check_edges, check_landmarks
from brule.plots.colours import index_colours
from brule.plots.svg.canvas import (
    CARD,
    INK,
    LINE,
    SOFT,
    WIDTH,
    Canvas,
    LegendEntry,
    Plot,
    draw_legend,
    framed,
    nice_end,
    number,
    path_data,
    series_colour,
    ticks,
)

MAX_DOTS = 1500
_UNIT = 100.0  # the side of an overlay
# From little to much error: readable on white and on black, and rising evenly in lightness for the colour-blind.
_HEAT = np.array(
    [[46, 111, 168], [60, 160, 150], [150, 185, 90], [235, 175, 60], [226, 100, 50], [176, 36, 66]], dtype=np.float64
)


def landmark_map(
    points: ArrayLike,
    errors: ArrayLike,
    *,
    lengths: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    edges: ArrayLike | None = None,
) -> str:
    """Landmarks of a mean shape, each coloured by its error and with a disc as large as that error is.

    Args:
        points: ``(N, 2)``, the barycenter, y downwards.
        errors: ``(N,)`` in percent, for the colour and the words; NaN where unknown (a hollow dot).
        lengths: ``(N,)``, the mean error in the frame of ``points``: the radius of a disc, true to scale.
        names: what to call each landmark when pointed at; by default its index.
        edges: ``(E, 2)`` pairs of indices to join by quiet lines.

    Returns:
        SVG text.

    Raises:
        DataError: the numbers of points and errors differ.
    """
    shape, values = check_landmarks(points), np.asarray(errors, dtype=np.float64)
    radii = np.zeros(len(shape)) if lengths is None else np.nan_to_num(np.asarray(lengths, dtype=np.float64))
    if values.shape != (len(shape),) or radii.shape != (len(shape),):
        raise DataError(f"expected one error for each of {len(shape)} landmarks, got the shape {values.shape}.")
    low, high = shape.min(axis=0) - radii.max(), shape.max(axis=0) + radii.max()
    scale = min((WIDTH - 20) / max(high[0] - low[0], 1e-9), 400 / max(high[1] - low[1], 1e-9))
    placed = (shape - low) * scale + [(WIDTH - scale * (high[0] - low[0])) / 2, 16]
    top = nice_end(float(np.nanmax(values)) if np.isfinite(values).any() else 1.0)
    height = 16 + scale * float(high[1] - low[1])
    shown = names or [f"landmark {i}" for i in range(len(shape))]
    canvas = Canvas(WIDTH, height + 64, _landmarks_label(values, shown))
    colours = [_heat(value / top) if np.isfinite(value) else CARD for value in values]
    for pair in placed[check_edges(edges, len(shape))]:
        canvas.path(pair, stroke=LINE, stroke_width=1.5)
    if lengths is not None:
        for (x, y), radius, colour in zip(placed, scale * radii, colours, strict=True):
            canvas.add("circle", cx=float(x), cy=float(y), r=float(radius), fill=colour, fill_opacity=0.2)
    dot = float(np.clip(40 / np.sqrt(len(shape)), 3.2, 8))
    for i, ((x, y), value, colour) in enumerate(zip(placed, values, colours, strict=True)):
        words = f"{shown[i]}: {f'{value:.2f} %' if np.isfinite(value) else 'missing everywhere'}"
        rim = CARD if np.isfinite(value) else SOFT
        canvas.add("circle", hint=words, cx=float(x), cy=float(y), r=dot, fill=colour, stroke=rim, stroke_width=1)
    _heat_legend(canvas, height + 26, top)
    return canvas.svg()


def landmark_overlay(points: ArrayLike, truth: ArrayLike | None = None, *, edges: ArrayLike | None = None) -> str:
    """Landmarks to lay over a picture of the same proportions: a transparent square without text.

    Predicted points are dots coloured by index and joined along the edges (class ``found``), true ones white crosses (class
    ``truth``), joined to their predictions by thin lines (class ``gap``), so that a page can show and hide each.

    Args:
        points: ``(N, 2)`` in the unit square of the picture; NaN points are left out.
        truth: ``(N, 2)`` in the same frame, or nothing.
        edges: ``(E, 2)`` pairs of indices to join by thin lines.

    Returns:
        SVG text.

    Raises:
        DataError: points and truth differ in number, or an edge leads to a landmark that isn't there.
    """
    found = _UNIT * check_landmarks(points)
    canvas = Canvas(_UNIT, _UNIT, decorative=True)
    size = float(np.clip(9 / np.sqrt(len(found)), 1.05, 2.4))
    if truth is not None:
        known = _UNIT * check_landmarks(truth)
        if known.shape != found.shape:
            raise DataError(f"expected the same landmarks in prediction and truth, got {len(found)} and {len(known)}.")
        both = np.isfinite(known).all(axis=1) & np.isfinite(found).all(axis=1)
        gaps = "".join(path_data(pair) for pair in np.stack([known[both], found[both]], axis=1))
        canvas.add("path", class_="gap", d=gaps, fill="none", stroke="#fff", stroke_width=0.45, stroke_opacity=0.8)
        crosses = "".join(_cross(point, 1.15 * size) for point in known[np.isfinite(known).all(axis=1)])
        for colour, width in (("#000", 1.0), ("#fff", 0.5)):
            canvas.add("path", class_="truth", d=crosses, fill="none", stroke=colour, stroke_width=width, stroke_opacity=0.95)
    lines = found[check_edges(edges, len(found))]
    lines = lines[np.isfinite(lines).all(axis=(1, 2))]
    if len(lines):
        drawn = "".join(path_data(pair) for pair in lines)
        for colour, width in (("#0c0e12", 0.7), ("#fff", 0.35)):
            canvas.add("path", class_="found", d=drawn, fill="none", stroke=colour, stroke_width=width, stroke_opacity=0.6)
    for (x, y), colour in zip(found, index_colours(len(found)), strict=True):
        if np.isfinite([x, y]).all():
            canvas.add(
                "circle",
                class_="found",
                cx=float(x),
                cy=float(y),
                r=size,
                fill=_hex(colour),
                stroke="#0c0e12",
                stroke_width=0.35,
            )
    return canvas.svg()


def two_shapes_chart(first: ArrayLike, second: ArrayLike, *, names: tuple[str, str]) -> str:
    """Two landmark sets over each other, points of one index joined.

    Args:
        first: ``(N, 2)`` in the unit square, y downwards; drawn as open circles.
        second: the same; drawn as dots.
        names: of the two.

    Returns:
        SVG text.

    Raises:
        DataError: they aren't landmarks, or differ in number.
    """
    one, two = check_landmarks(first), check_landmarks(second)
    if one.shape != two.shape:
        raise DataError(f"expected two sets of the same number of landmarks, got {len(one)} and {len(two)}.")
    both = np.concatenate([one, two])
    low, extent = both.min(axis=0), np.ptp(both, axis=0)
    scale = (WIDTH - 20) / max(float(extent.max()), 1e-9)
    canvas = Canvas(WIDTH, 60 + scale * float(extent[1]), f"{names[0]} and {names[1]}, points of one index joined")
    draw_legend(canvas, [LegendEntry(name, series_colour(i)) for i, name in enumerate(names)])
    place = [(WIDTH - scale * float(extent[0])) / 2, 50]
    circles, dots = ((shape - low) * scale + place for shape in (one, two))
    for pair in np.stack([circles, dots], axis=1):
        canvas.path(pair, stroke=SOFT, stroke_width=1)
    for x, y in circles:
        canvas.add("circle", cx=float(x), cy=float(y), r=4.5, fill="none", stroke=series_colour(0), stroke_width=1.6)
    for x, y in dots:
        canvas.add("circle", cx=float(x), cy=float(y), r=2.6, fill=series_colour(1))
    return canvas.svg()


def confidence_chart(spread: ArrayLike, errors: ArrayLike) -> str:
    """Images as dots: how unsure the detector was, and how wrong.

    Args:
        spread: ``(B,)`` in percent of the crop's side.
        errors: ``(B,)`` in percent of the normalising distance.

    Returns:
        SVG text; of more than 1500 images, evenly chosen ones are drawn.
    """
    x, y = np.asarray(spread, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or not len(x) or not np.isfinite([x, y]).all():
        raise DataError("expected one finite spread and one finite error for each image, at least one.")
    shown = evenly_spread(len(x), MAX_DOTS)
    low, high = float(x.min()), float(x.max())
    margin = 0.04 * (high - low) or 0.5
    words = f"{len(shown)} of {len(x)} images" if len(shown) < len(x) else f"{len(x)} images"
    plot = framed(
        f"Error over spread, {words}", x=(max(0.0, low - margin), high + margin), y=(0, nice_end(float(y.max()))),
        x_title="mean spread, % of the crop's side", y_title=f"error, %; a dot is an image ({words})",
    )  # fmt: skip
    radius = float(np.clip(60 / np.sqrt(len(shown)), 1.8, 4.5))
    plot.dots(x[shown], y[shown], r=radius, fill=series_colour(0), fill_opacity=0.5)
    if len(x) >= 40:
        _running_median(plot, x, y)
    return plot.canvas.svg()


def _running_median(plot: Plot, x: Array, y: Array) -> None:
    """The median error of ten equal parts of the images, by spread."""
    parts = np.array_split(np.argsort(x, kind="stable"), 10)
    middle = np.array([[np.median(x[part]), np.median(y[part])] for part in parts])
    plot.curve(middle[:, 0], middle[:, 1], stroke=INK, stroke_width=2)
    plot.canvas.text(plot.canvas.width - 12, 20, "line: median of tenths", text_anchor="end", fill=SOFT, font_size=11)


def _landmarks_label(values: Array, names: Sequence[str]) -> str:
    if not np.isfinite(values).any():
        return "Errors by landmark: unknown"
    worst, best = int(np.nanargmax(values)), int(np.nanargmin(values))
    return (
        f"Mean error of {len(values)} landmarks on the barycenter: from {values[best]:.2f} % ({names[best]}) to "
        f"{values[worst]:.2f} % ({names[worst]})"
    )


def _heat_legend(canvas: Canvas, y: float, top: float) -> None:
    left, width, steps = 0.25 * WIDTH, 0.5 * WIDTH, 40
    for i in range(steps):
        canvas.add("rect", x=left + width * i / steps, y=y, width=width / steps + 0.4, height=8, fill=_heat((i + 0.5) / steps))
    for value in ticks(0, top, 4):
        x = left + width * value / top
        canvas.text(x, y + 22, number(value), text_anchor="middle", fill=SOFT, font_size=11)
    canvas.text(left + width + 14, y + 8, "error, %", fill=SOFT, font_size=11)


def _heat(share: float) -> str:
    place = np.clip(share, 0, 1) * (len(_HEAT) - 1)
    i = min(int(place), len(_HEAT) - 2)
    return _hex(np.round(_HEAT[i] + (place - i) * (_HEAT[i + 1] - _HEAT[i])).astype(int))


def _hex(colour: ArrayLike) -> str:
    red, green, blue = (int(v) for v in np.asarray(colour))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _cross(point: Array, arm: float) -> str:
    x, y = point
    return path_data([(x - arm, y - arm), (x + arm, y + arm)]) + path_data([(x - arm, y + arm), (x + arm, y - arm)])
