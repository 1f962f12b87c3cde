"""Pictures and charts from arrays: no models, no files read.

Overlays are Pillow images (:func:`draw_landmarks`, :func:`preview_sheet`, …), charts are SVG text (:mod:`brule.plots.svg`).
Both colour a landmark by its index, so that a swapped or shuffled order shows.
"""

from brule.plots.colours import index_colours
from brule.plots.drawing import contact_sheet, draw_landmarks, draw_objects, landmark_pictures, preview_sheet, titled_sheets
from brule.plots.overlays import barycenter_picture, overlay_grid, with_name
from brule.plots.saving import save_picture

__all__ = [
    "barycenter_picture",
    "contact_sheet",
    "draw_landmarks",
    "draw_objects",
    "index_colours",
    "landmark_pictures",
    "overlay_grid",
    "preview_sheet",
    "save_picture",
    "titled_sheets",
    "with_name",
]
