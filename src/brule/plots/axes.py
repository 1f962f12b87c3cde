"""The look that all figures share: colours, grid, legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brule.errors import BruleError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#22262b"
MUTED = "#8a929c"
GRID = "#e6e8eb"
LINES = ("#3b6fd4", "#e0692f", "#2a9d74", "#a24fc0", "#c9a117", "#d2456f")  # told apart in grey and by the colour-blind


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, on a canvas that no screen knows.

    Raises:
        BruleError: matplotlib isn't installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BruleError("figures need matplotlib: install it with `pip install 'brule[plot]'`.") from error
    figure = Figure(figsize=(width, height), dpi=130, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def curve_axes(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    """A figure for one plot, its axes named."""
    figure = new_figure(6.4, 4.2)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    style_axes(axes)
    axes.set_xlabel(xlabel, color=INK, fontsize=10)
    axes.set_ylabel(ylabel, color=INK, fontsize=10)
    return figure, axes


def style_axes(axes: Axes) -> None:
    """Light grid, no frame, muted ticks."""
    axes.grid(True, color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=8.5, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(MUTED)


def legend(axes: Axes) -> None:
    """The names of the curves, above the axes, where they can't hide one."""
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), frameon=False, fontsize=9.5, labelcolor=INK, handlelength=1.6)
