"""Pictures and curves from arrays: no models, no files read.

Two families: figures (matplotlib, the extra ``plot``; each function returns a :class:`matplotlib.figure.Figure` that no
global pyplot state knows about) and fast overlays with NumPy and Pillow alone (:func:`draw_landmarks`,
:func:`preview_sheet`, :func:`style_grid`). Both colour a landmark by its index, so that a swapped or shuffled order shows.
"""

from brule.plots.colours import index_colours
from brule.plots.drawing import contact_sheet, draw_landmarks, preview_sheet
from brule.plots.figures import barycenter_figure, ced_figure, loss_curves, overlay_grid, training_curve
from brule.plots.grids import style_grid
from brule.plots.saving import save_figure

__all__ = [
    "barycenter_figure",
    "ced_figure",
    "contact_sheet",
    "draw_landmarks",
    "index_colours",
    "loss_curves",
    "overlay_grid",
    "preview_sheet",
    "save_figure",
    "style_grid",
    "training_curve",
]
