"""The paper's studies: runs that differ in one thing, measured on the same images, told as a table and a plot."""

from brule.studies.ablation import ablation_arms, run_ablation, tell_ablation
from brule.studies.runs import Arm, Score, StudyMaterial, run_arm

__all__ = ["Arm", "Score", "StudyMaterial", "ablation_arms", "run_ablation", "run_arm", "tell_ablation"]
