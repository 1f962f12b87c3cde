"""The figures as rows of text, for a terminal and for a page."""

from __future__ import annotations

from typing import NamedTuple

from brule.evaluation.evaluate import FLOOR_NAMES, Evaluation
from brule.evaluation.intervals import Estimate
from brule.evaluation.scores import FIGURES, Scores

LABELS = {
    "nme": "NME",
    "w1": "W₁, free of indices",
    "auc_8": "AUC at 8 %",
    "fr_8": "failures above 8 %",
    "auc_10": "AUC at 10 %",
    "fr_10": "failures above 10 %",
}


class Row(NamedTuple):
    """One figure: what it is, the detector's value with its interval, and those of the two floors (empty without one)."""

    label: str
    detector: str
    barycenter: str
    mean_shape: str


HEADER = Row("(95 % interval)", "this detector", *FLOOR_NAMES)


def figure_rows(evaluation: Evaluation) -> list[Row]:
    """The figures of CONTRIBUTING, "Measuring honestly", as text, each beside its floors."""
    return [
        Row(
            LABELS[name],
            "  ".join(shown(evaluation.scores, name)),
            shown(evaluation.barycenter, name)[0],
            shown(evaluation.mean_shape, name)[0],
        )
        for name in FIGURES
    ]


def shown(scores: Scores | None, name: str) -> tuple[str, str]:
    """A figure and its interval as text; empty where there are no scores."""
    return ("", "") if scores is None else estimate_text(name, scores.estimate(name))


def estimate_text(name: str, figure: Estimate) -> tuple[str, str]:
    """An estimate of a figure as text: the value with its unit, and the interval in the same unit without it."""
    factor, digits, unit = (
        (100.0, 1, " %") if name.startswith("fr") else (1.0, 3, "") if name.startswith("auc") else (1.0, 2, " %")
    )
    value, low, high = (signed(factor * v, digits) for v in figure)
    return f"{value}{unit}", f"({low} to {high})"


def signed(value: float, digits: int = 2, *, plus: bool = False) -> str:
    """A number with a minus that is as wide as a plus, and the plus too if wanted."""
    return f"{value:{'+' if plus else ''}.{digits}f}".replace("-", "−")
