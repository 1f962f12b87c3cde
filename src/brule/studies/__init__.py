"""The paper's studies: barycenters of few shapes, and runs that differ in one thing, reported as a table and a plot."""

from brule.studies.ablation import ablation_arms, report_ablation
from brule.studies.barycenter_report import PowerLaw, SizeLaws, fit_power_law, report_barycenter_size
from brule.studies.barycenter_size import Draw, SizeStudy, run_barycenter_size
from brule.studies.failures import Failure, Results
from brule.studies.labels import label_counts, report_labels, run_labels
from brule.studies.regularizer import CurvePoint, LearningCurve, report_regularizer, run_regularizer
from brule.studies.runs import Arm, Protocol, Score, run_arm, run_arms
from brule.studies.study_data import StudyData
from brule.studies.sweep import Sweep, report_sweep, resolve_sweep
from brule.studies.table import QUOTED, MeasuredRow, QuotedRow, measured_table, quoted_table, read_rows, report_table

__all__ = [
    "QUOTED",
    "Arm",
    "CurvePoint",
    "Draw",
    "Failure",
    "LearningCurve",
    "MeasuredRow",
    "PowerLaw",
    "Protocol",
    "QuotedRow",
    "Results",
    "Score",
    "SizeLaws",
    "SizeStudy",
    "StudyData",
    "Sweep",
    "ablation_arms",
    "fit_power_law",
    "label_counts",
    "measured_table",
    "quoted_table",
    "read_rows",
    "report_ablation",
    "report_barycenter_size",
    "report_labels",
    "report_regularizer",
    "report_sweep",
    "report_table",
    "resolve_sweep",
    "run_arm",
    "run_arms",
    "run_barycenter_size",
    "run_labels",
    "run_regularizer",
]
