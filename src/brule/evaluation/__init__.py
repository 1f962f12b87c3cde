"""How good predicted landmarks are: NME, W₁, AUC and failure rate, always beside the floor."""

from brule.evaluation.evaluate import Evaluation, evaluate
from brule.evaluation.metrics import (
    Scores,
    area_under_ced,
    bootstrap_interval,
    cumulative_error_distribution,
    failure_rate,
    normaliser,
    normalized_mean_error,
    per_landmark_error,
    score,
    wasserstein1_error,
)

__all__ = [
    "Evaluation",
    "Scores",
    "area_under_ced",
    "bootstrap_interval",
    "cumulative_error_distribution",
    "evaluate",
    "failure_rate",
    "normaliser",
    "normalized_mean_error",
    "per_landmark_error",
    "score",
    "wasserstein1_error",
]
