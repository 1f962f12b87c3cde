"""The paper's studies: barycenters of few shapes, and runs that differ in one thing, told as a table and a plot."""

from brule.studies.ablation import ablation_arms, run_ablation, tell_ablation
from brule.studies.barycenter_report import PowerLaw, SizeLaws, fit_power_law, tell_barycenter_size
from brule.studies.barycenter_size import Draw, SizeStudy, run_barycenter_size
from brule.studies.runs import Arm, Score, StudyMaterial, run_arm

__all__ = [
    "Arm",
    "Draw",
    "PowerLaw",
    "Score",
    "SizeLaws",
    "SizeStudy",
    "StudyMaterial",
    "ablation_arms",
    "fit_power_law",
    "run_ablation",
    "run_arm",
    "run_barycenter_size",
    "tell_ablation",
    "tell_barycenter_size",
]
