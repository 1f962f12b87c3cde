"""Reports of an evaluation: rows of a table, pages that need no network, files for other programs."""

from brule.evaluation.reports.comparison import COMPARISON_FILE, Candidate, ComparisonReport, comparison_page, write_comparison
from brule.evaluation.reports.evaluation import Shown, evaluation_page, write_evaluation
from brule.evaluation.reports.files import StoredEvaluation, read_evaluation
from brule.evaluation.reports.rows import Row, figure_rows

__all__ = [
    "COMPARISON_FILE",
    "Candidate",
    "ComparisonReport",
    "Row",
    "Shown",
    "StoredEvaluation",
    "comparison_page",
    "evaluation_page",
    "figure_rows",
    "read_evaluation",
    "write_comparison",
    "write_evaluation",
]
