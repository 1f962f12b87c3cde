"""Predicting millions of images: in parts, on one machine or many; each part is done once and kept.

``brule predict --engine ray`` uses it. In a pipeline of your own on Ray Data, :class:`PredictBatches` is the class for
``map_batches``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brule.lazy import exports

if TYPE_CHECKING:
    from brule.bulk.batches import PredictBatches
    from brule.bulk.places import Place
    from brule.bulk.plan import Part, Plan, plan_parts
    from brule.bulk.running import Outcome, predict_parts
    from brule.bulk.work import fingerprint, predict_part

__all__ = [
    "Outcome",
    "Part",
    "Place",
    "Plan",
    "PredictBatches",
    "fingerprint",
    "plan_parts",
    "predict_part",
    "predict_parts",
]

if not TYPE_CHECKING:  # type checkers know the names from above, and nothing else is there
    __getattr__, __dir__ = exports(
        __name__,
        {
            "batches": ("PredictBatches",),
            "places": ("Place",),
            "plan": ("Part", "Plan", "plan_parts"),
            "running": ("Outcome", "predict_parts"),
            "work": ("fingerprint", "predict_part"),
        },
    )
