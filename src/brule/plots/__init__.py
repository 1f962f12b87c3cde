"""Pictures and curves from arrays: no models, no files read.

Three families: figures (matplotlib, the extra ``plot``; each function returns a :class:`matplotlib.figure.Figure` that no
global pyplot state knows about), fast overlays with NumPy and Pillow alone (:func:`draw_landmarks`, :func:`preview_sheet`,
:func:`style_grid`), and charts for pages as SVG text, which need neither (:mod:`brule.plots.svg`). All colour a landmark by its
index, so that a swapped or shuffled order shows.
"""

from brule.plots.colours import index_colours
from brule.plots.drawing import contact_sheet, draw_landmarks, preview_sheet, titled_sheets
from brule.plots.figures import ablation_figure, barycenter_figure, ced_figure, loss_curves, overlay_grid, training_curve
from brule.plots.grids import style_grid
from brule.plots.saving import save_figure
from brule.plots.studies import learning_curves_figure, sample_size_figure, sweep_figure, two_shapes_figure

__all__ = [
    "ablation_figure",
    "barycenter_figure",
    "ced_figure",
    "contact_sheet",
    "draw_landmarks",
    "index_colours",
    "learning_curves_figure",
    "loss_curves",
    "overlay_grid",
    "preview_sheet",
    "sample_size_figure",
    "save_figure",
    "style_grid",
    "sweep_figure",
    "titled_sheets",
    "training_curve",
    "two_shapes_figure",
]
