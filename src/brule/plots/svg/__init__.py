"""Charts as SVG text, from arrays: a few kilobytes each, sharp at any size.

Placed in a page they take its colours (CSS variables ``--ink``, ``--soft``, ``--line``, ``--card``, ``--series-1`` …), so that
they follow its light and dark scheme; on their own they are drawn for a light background.
"""

from brule.plots.svg.bars import Triple, ablation_chart, difference_chart, region_chart
from brule.plots.svg.canvas import captioned
from brule.plots.svg.curves import ced_chart, risk_coverage_chart
from brule.plots.svg.points import confidence_chart, landmark_map, landmark_overlay, two_shapes_chart
from brule.plots.svg.studies import learning_curves_chart, sample_size_chart, sweep_chart

__all__ = [
    "Triple",
    "ablation_chart",
    "captioned",
    "ced_chart",
    "confidence_chart",
    "difference_chart",
    "landmark_map",
    "landmark_overlay",
    "learning_curves_chart",
    "region_chart",
    "risk_coverage_chart",
    "sample_size_chart",
    "sweep_chart",
    "two_shapes_chart",
]
