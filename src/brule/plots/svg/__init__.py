"""Charts as SVG text, from arrays: no matplotlib, a few kilobytes each, sharp at any size.

Placed in a page they take its colours (CSS variables ``--ink``, ``--soft``, ``--line``, ``--card``, ``--series-1`` …), so that
they follow its light and dark scheme; on their own they are drawn for a light background.
"""

from brule.plots.svg.bars import Triple, difference_chart, region_chart
from brule.plots.svg.curves import ced_chart, risk_coverage_chart
from brule.plots.svg.points import confidence_chart, landmark_map, landmark_overlay

__all__ = [
    "Triple",
    "ced_chart",
    "confidence_chart",
    "difference_chart",
    "landmark_map",
    "landmark_overlay",
    "region_chart",
    "risk_coverage_chart",
]
