"""Runs through the parts and the baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from typing import TypeVar

import torch

from benchmarks import geometry, networks
from benchmarks.baselines import BASELINES, Baseline, largest_relative_difference
from benchmarks.profiling import profile_iteration
from benchmarks.record import Against, Record, Result, machine_facts
from benchmarks.roofline import Peaks, count, measure_peaks, roofline
from benchmarks.timing import Timing, free_memory, peak_memory, time_call
from benchmarks.work import Case, Part, Plan, Work
from brule.errors import BruleError, ConfigError

PARTS: dict[str, Part] = {part.name: part for part in (*geometry.PARTS, *networks.PARTS)}
Say = Callable[[str], object]
Measured = TypeVar("Measured")


def run_benchmarks(plan: Plan, *, only: Sequence[str] = (), against: bool = False, say: Say = lambda line: None) -> Record:
    """Measure parts of the library.

    Args:
        plan: what, and how long.
        only: names of parts; all by default.
        against: run what people would use instead beside ours, rather than the parts alone.
        say: called with what comes next.

    Returns:
        What was measured, and what was skipped and why.

    Raises:
        ConfigError: a name is unknown, or the settings are.
    """
    chosen = _chosen(only)
    record = _empty_record(plan, peaks=not against)
    if against:
        baselines = [baseline for baseline in BASELINES if baseline.part in chosen]
        record.against.extend(_every(_comparisons(baselines, plan), record.skipped, say))
    elif record.peaks is not None:
        tasks = (
            (case, _measuring(part, case, plan, peaks=record.peaks)) for part in chosen.values() for case in part.cases(plan)
        )
        record.results.extend(_every(((str(case), task) for case, task in tasks), record.skipped, say))
    return record


def run_profile(plan: Plan) -> Record:
    """Take an iteration of the plan's preset apart, see :func:`benchmarks.profile_iteration`."""
    return replace(_empty_record(plan, peaks=True), profile=profile_iteration(plan))


def _empty_record(plan: Plan, *, peaks: bool) -> Record:
    config = plan.config()  # says now what is wrong with the settings
    settings = {"preset": plan.preset, "overrides": dict(plan.overrides), "precision": config.precision}
    limits = {"repeats": plan.repeats, "seconds": plan.seconds, "quick": plan.quick}
    measured = measure_peaks(plan.device, quick=plan.quick) if peaks else None
    return Record(machine_facts(plan.device), settings | limits, measured)


def _chosen(only: Sequence[str]) -> dict[str, Part]:
    for name in only:
        if name not in PARTS:
            raise ConfigError(f"--only: {name!r} is none of the parts: {', '.join(PARTS)}")
    return {name: PARTS[name] for name in only or PARTS}


def _every(tasks: Iterator[tuple[str, Callable[[], Measured]]], skipped: list[str], say: Say) -> Iterator[Measured]:
    """Run one after the other; what can't be run is noted, and the rest goes on."""
    for name, task in tasks:
        say(name)
        try:
            yield task()
        except (BruleError, torch.OutOfMemoryError, MemoryError) as error:
            skipped.append(f"{name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")


def _measuring(part: Part, case: Case, plan: Plan, *, peaks: Peaks) -> Callable[[], Result]:
    def measure() -> Result:
        work = part.build(case, plan)
        _check_room(work.needs, plan)
        timing = _time(work, plan)
        result = Result(case, timing, work.precision, memory=peak_memory(work.run, plan.device))
        if not work.roofline:
            return result
        counts = count(work.countable or work.run)
        flops, moved = counts.flops // work.per_run, counts.bytes // work.per_run
        line = roofline(replace(counts, flops=flops, bytes=moved), timing.median, peaks, precision=work.precision)
        return replace(result, flops=flops, bytes=moved, **({} if line is None else asdict(line)))

    return measure


def _time(work: Work, plan: Plan) -> Timing:
    if work.clock is not None:
        return Timing.of(work.clock(plan.repeats, plan.seconds))
    repeats = max(plan.repeats, 0 if plan.quick else work.repeats)
    return time_call(work.run, plan.device, repeats=repeats, seconds=plan.seconds, warm_up=0 if plan.quick else 2)


def _check_room(needs: int, plan: Plan) -> None:
    free = free_memory(plan.device)
    if free is not None and needs > free / 2:
        raise ConfigError(f"it takes about {needs / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")


def _comparisons(baselines: Sequence[Baseline], plan: Plan) -> Iterator[tuple[str, Callable[[], Against]]]:
    for baseline in baselines:
        part = Part(baseline.part, baseline.name, baseline.axes, PARTS[baseline.part].build)
        for case in part.cases(plan):
            yield f"{case}, against {baseline.name}", _comparison(baseline, case, plan)


def _comparison(baseline: Baseline, case: Case, plan: Plan) -> Callable[[], Against]:
    def fight() -> Against:
        missing = [name for name in baseline.packages if find_spec(name) is None]
        if missing:
            raise ConfigError(f"needs {' and '.join(missing)}, not installed here")
        try:
            return _compared(baseline, case, plan)
        except BruleError:
            raise
        except Exception as error:  # of somebody else's library, whose next version may want something else
            raise ConfigError(f"{baseline.name} failed: {type(error).__name__}: {error}") from error

    return fight


def _compared(baseline: Baseline, case: Case, plan: Plan) -> Against:
    comparison = baseline.build(case, plan)
    _check_room(comparison.needs, plan)
    difference = largest_relative_difference(comparison.ours(), comparison.theirs())
    ours, theirs = (
        time_call(run, plan.device, repeats=plan.repeats, seconds=plan.seconds, warm_up=0 if plan.quick else 1)
        for run in (comparison.ours, comparison.theirs)
    )
    return Against(case, baseline.name, ours, theirs, difference)
