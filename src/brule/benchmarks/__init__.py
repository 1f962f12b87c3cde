"""Time and memory of every part of the library, beside what the machine can do and what people would run instead."""

from brule.benchmarks.baselines import RIVALS
from brule.benchmarks.measuring import PARTS, run_benchmarks, run_profile
from brule.benchmarks.profiling import Operation, Profile, profile_iteration
from brule.benchmarks.record import Against, Change, Record, Result, changes, differing_conditions
from brule.benchmarks.work import Case, Plan

__all__ = [
    "PARTS",
    "RIVALS",
    "Against",
    "Case",
    "Change",
    "Operation",
    "Plan",
    "Profile",
    "Record",
    "Result",
    "changes",
    "differing_conditions",
    "profile_iteration",
    "run_benchmarks",
    "run_profile",
]
