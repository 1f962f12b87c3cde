"""Time and memory of every part of the library, beside what the machine can do and what people would run instead."""

from brule.benchmarks.measuring import PARTS, run_benchmarks
from brule.benchmarks.record import Against, Change, Record, Result, changes, differing_conditions
from brule.benchmarks.rivals import RIVALS
from brule.benchmarks.work import Case, Plan

__all__ = [
    "PARTS",
    "RIVALS",
    "Against",
    "Case",
    "Change",
    "Plan",
    "Record",
    "Result",
    "changes",
    "differing_conditions",
    "run_benchmarks",
]
