"""The figures as rows of text, for a terminal and for a page."""

from __future__ import annotations

from typing import NamedTuple

from brule.evaluation.intervals import Estimate
from brule.evaluation.measurement import Measurement
from brule.evaluation.result import Evaluation
from brule.evaluation.scores import Scores

LABELS = {
    "nme": "mean error (NME)",
    "median_nme": "median error",
    "nme_px": "mean error in pixels",
    "nme_mm": "mean error in millimetres",
    "found": "found (better than floor)",
    "w1": "W₁, in any order",
    "auc_8": "AUC at 8 %",
    "fr_8": "failures above 8 %",
    "auc_10": "AUC at 10 %",
    "fr_10": "failures above 10 %",
    "auc_floor": "AUC up to the floor",
}


class Row(NamedTuple):
    """One figure: what it is, its value and interval in each evaluation, and the floor's value (empty where it has none)."""

    label: str
    values: tuple[tuple[str, str], ...]
    floor: str


def figure_rows(found: Evaluation | Measurement) -> list[Row]:
    """The figures of CONTRIBUTING, "Measuring honestly", as text, each beside that of the floor (a constant prediction)."""
    measured = Measurement.of(found)
    floor = measured.first.floor_scores
    return [
        Row(
            LABELS[name],
            tuple(shown(one.scores, name) for one in measured.evaluations.values()),
            "" if name in ("found", "auc_floor") else shown(floor, name)[0],
        )
        for name in measured.first.scores.figures
    ]


def shown(scores: Scores | None, name: str) -> tuple[str, str]:
    """A figure and its interval as text; empty if there is no such figure."""
    return ("", "") if scores is None or name not in scores.figures else estimate_text(name, scores.estimate(name))


def estimate_text(name: str, figure: Estimate) -> tuple[str, str]:
    """An estimate of a figure as text: the value with its unit, and the interval in the same unit without it."""
    factor, digits, unit = 1.0, 2, " %"
    if name.startswith("fr") or name == "found":
        factor, digits = 100.0, 1
    elif name.startswith("auc"):
        digits, unit = 3, ""
    elif name.endswith("_px"):
        unit = " px"
    elif name.endswith("_mm"):
        digits, unit = 3, " mm"
    value, low, high = (signed(factor * v, digits) for v in figure)
    return f"{value}{unit}", f"({low} to {high})"


def signed(value: float, digits: int = 2, *, plus: bool = False) -> str:
    """A number with a minus that is as wide as a plus, and the plus too if wanted."""
    return f"{value:{'+' if plus else ''}.{digits}f}".replace("-", "−")
