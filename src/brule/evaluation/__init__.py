"""How good predicted landmarks are: NME, W₁, AUC and failure rate, always beside those of a constant prediction (the floor)."""

from brule.evaluation.comparison import PairedDifference, compare_errors, holm
from brule.evaluation.confidence import RiskCoverage, rank_correlation, risk_coverage
from brule.evaluation.distances import fitting_kinds, normaliser
from brule.evaluation.evaluate import CropPredictions, evaluate, evaluate_points
from brule.evaluation.intervals import Estimate, bootstrap_interval, estimate, mean_estimates
from brule.evaluation.measurement import Measurement
from brule.evaluation.metrics import (
    area_under_ced,
    cumulative_error_distribution,
    failure_rate,
    landmark_errors,
    normalized_mean_error,
    region_errors,
    wasserstein1_error,
)
from brule.evaluation.regions import contours, landmark_regions, read_regions
from brule.evaluation.result import Evaluation
from brule.evaluation.scores import ImageErrors, Scores, measure, score, summarise

__all__ = [
    "CropPredictions",
    "Estimate",
    "Evaluation",
    "ImageErrors",
    "Measurement",
    "PairedDifference",
    "RiskCoverage",
    "Scores",
    "area_under_ced",
    "bootstrap_interval",
    "compare_errors",
    "contours",
    "cumulative_error_distribution",
    "estimate",
    "evaluate",
    "evaluate_points",
    "failure_rate",
    "fitting_kinds",
    "holm",
    "landmark_errors",
    "landmark_regions",
    "mean_estimates",
    "measure",
    "normaliser",
    "normalized_mean_error",
    "rank_correlation",
    "read_regions",
    "region_errors",
    "risk_coverage",
    "score",
    "summarise",
    "wasserstein1_error",
]
