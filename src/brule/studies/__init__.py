"""The paper's studies: barycenters of few shapes, and runs that differ in one thing, told as a table and a plot."""

from brule.studies.ablation import ablation_arms, tell_ablation
from brule.studies.barycenter_report import PowerLaw, SizeLaws, fit_power_law, tell_barycenter_size
from brule.studies.barycenter_size import Draw, SizeStudy, run_barycenter_size
from brule.studies.runs import Arm, Score, StudyMaterial, run_arm, run_arms
from brule.studies.sweep import Sweep, resolve_sweep, tell_sweep

__all__ = [
    "Arm",
    "Draw",
    "PowerLaw",
    "Score",
    "SizeLaws",
    "SizeStudy",
    "StudyMaterial",
    "Sweep",
    "ablation_arms",
    "fit_power_law",
    "resolve_sweep",
    "run_arm",
    "run_arms",
    "run_barycenter_size",
    "tell_ablation",
    "tell_barycenter_size",
    "tell_sweep",
]
