"""Images redrawn from landmarks and styles: pictures, edits by hand, the grid, and how good the decoder is.

Nothing outside this package and its command needs it.
"""

from brule.redrawing.edits import between, interpolated, moved, scaled, turned
from brule.redrawing.grid import style_grid
from brule.redrawing.recipe import Recipe
from brule.redrawing.redrawer import Redrawer, at_size
from brule.redrawing.scores import DecoderScores, evaluate_decoder
from brule.redrawing.styles import interpolated_styles, mixed

__all__ = [
    "DecoderScores",
    "Recipe",
    "Redrawer",
    "at_size",
    "between",
    "evaluate_decoder",
    "interpolated",
    "interpolated_styles",
    "mixed",
    "moved",
    "scaled",
    "style_grid",
    "turned",
]
