"""Curves over all images: cumulative error, risk over coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from brule.arrays import Array, evenly_spread, share_at_most
from brule.errors import DataError
from brule.plots.svg.canvas import FLOOR, LINE, SOFT, LegendEntry, Plot, framed, hundredths, nice_end, series_colour, share

SAMPLES = 240
_DASHES = ("5 4", "1.5 3.5")  # of the first floor and of those after it


def ced_chart(
    errors: Mapping[str, ArrayLike],
    *,
    floors: Mapping[str, ArrayLike] | None = None,
    limits: Sequence[float] = (8.0, 10.0),
    band: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
    end: float | None = None,
) -> str:
    """Cumulative error distributions: what share of the images has at most a given error.

    Args:
        errors: name → errors ``(B,)`` in percent of the normalising distance.
        floors: the same of constant predictions, drawn as broken lines.
        limits: errors that are marked on the axis, those of AUC and failure rate.
        band: x, and the lower and the upper end of the first curve's interval there.
        end: where the axis ends, in percent; by default where nearly all curves have reached their top.

    Returns:
        SVG text.

    Raises:
        DataError: no errors, or NaN among them.
    """
    curves = {name: _finite(name, values) for name, values in errors.items()}
    dashed = {name: _finite(name, values) for name, values in (floors or {}).items()}
    if not curves:
        raise DataError("a CED needs at least one named list of errors.")
    end = end or ced_end([*curves.values(), *dashed.values()], limits)
    legend = [
        LegendEntry(name, series_colour(i), None, f"{values.mean():.2f} %") for i, (name, values) in enumerate(curves.items())
    ]
    for i, (name, values) in enumerate(dashed.items()):
        legend.append(LegendEntry(name, FLOOR, _DASHES[min(i, 1)], f"{values.mean():.2f} %"))
    words = ", ".join(f"{entry.name} with a mean of {entry.figure}" for entry in legend)
    plot = framed(
        f"Cumulative error distribution: {words}", x=(0, end), y=(0, 1), x_title="error, % of the normalising distance",
        y_title="images with at most this error", legend=legend, y_text=share, height=300,
    )  # fmt: skip
    _mark_limits(plot, [limit for limit in limits if limit <= end])
    if band is not None:
        plot.band(*band, fill=series_colour(0), fill_opacity=0.14)
    grid = np.linspace(0, end, SAMPLES + 1)
    for values, entry in zip(
        [*dashed.values(), *curves.values()], [*legend[len(curves) :], *legend[: len(curves)]], strict=True
    ):
        shares = share_at_most(values, grid)
        plot.curve(grid, shares, stroke=entry.colour, stroke_width=1.6 if entry.dashes else 2.2, stroke_dasharray=entry.dashes)
    return plot.canvas.svg()


def ced_end(errors: Sequence[Array], limits: Sequence[float] = (8.0, 10.0)) -> float:
    """Where a CED's axis may end: beyond the limits, and where 98 % of every curve's images are, if that isn't too far."""
    furthest = max(float(np.quantile(values, 0.98)) for values in errors)
    nearest = min(float(np.quantile(values, 0.98)) for values in errors)
    return nice_end(max(1.2 * max(limits, default=1.0), min(furthest, 4 * nearest)))


def risk_coverage_chart(coverage: ArrayLike, risk: ArrayLike, oracle: ArrayLike) -> str:
    """The mean error of the images that remain when the least certain ones are set aside.

    Args:
        coverage: ``(B,)``, the share of images kept, rising to 1.
        risk: ``(B,)``, their mean error in percent.
        oracle: ``(B,)``, the same if the errors were known beforehand.

    Returns:
        SVG text.
    """
    x, own, best = (_finite("the curve", values) for values in (coverage, risk, oracle))
    mean = float(own[-1])
    legend = [
        LegendEntry("kept by spread", series_colour(0), None, f"{_at(x, own, 0.5):.2f} % at half"),
        LegendEntry("kept by the true error, the best", series_colour(2), "5 4", f"{_at(x, best, 0.5):.2f} % at half"),
        LegendEntry("kept at random", FLOOR, "1.5 3.5", f"{mean:.2f} %"),
    ]
    from_ = x >= min(0.02, float(x[-1]))  # the first few images say little
    plot = framed(
        f"Risk over coverage: all images have a mean error of {mean:.2f} %, the surer half by spread {legend[0].figure}",
        x=(0, 1), y=(0, nice_end(1.15 * float(max(own[from_].max(), mean)))), x_title="images kept",
        y_title="their mean error, %", legend=legend, x_text=share,
    )  # fmt: skip
    thin = evenly_spread(len(x), SAMPLES)
    thin = thin[from_[thin]]
    plot.curve([0, 1], [mean, mean], stroke=FLOOR, stroke_width=1.6, stroke_dasharray="1.5 3.5")
    plot.curve(x[thin], best[thin], stroke=series_colour(2), stroke_width=1.8, stroke_dasharray="5 4")
    plot.curve(x[thin], own[thin], stroke=series_colour(0), stroke_width=2.2)
    return plot.canvas.svg()


def _mark_limits(plot: Plot, limits: Sequence[float]) -> None:
    for limit in limits:
        x = plot.x.at(limit)
        plot.canvas.add("line", x1=x, x2=x, y1=plot.y.start, y2=plot.y.end, stroke=SOFT, stroke_dasharray="2 3", opacity=0.7)
        plot.canvas.add("line", x1=x, x2=x, y1=plot.y.start, y2=plot.y.start + 4, stroke=LINE)
        plot.canvas.text(x, plot.y.end - 3, f"{hundredths(limit)}\u00a0%", text_anchor="middle", fill=SOFT, font_size=11)


def _at(x: Array, y: Array, where: float) -> float:
    return float(y[min(int(np.searchsorted(x, where)), len(y) - 1)])


def _finite(name: str, values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64).ravel()
    if not len(array) or not np.isfinite(array).all():
        raise DataError(f"the errors of {name!r} must be finite numbers, at least one.")
    return array
