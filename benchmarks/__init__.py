"""Time and memory of every part of the library, beside what the machine can do and what people would run instead."""

from benchmarks.baselines import BASELINES
from benchmarks.measuring import PARTS, run_benchmarks, run_profile
from benchmarks.profiling import Operation, Profile, profile_iteration
from benchmarks.record import Against, Change, Record, Result, changes, differing_conditions
from benchmarks.work import Case, Plan

__all__ = [
    "BASELINES",
    "PARTS",
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
