"""``python -m benchmarks``: time and memory of every part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from brule.cli.options import Device, Many, checked_device
from brule.cli.output import note, say, say_rows
from brule.errors import ConfigError

if TYPE_CHECKING:
    from benchmarks import Case, Plan, Profile, Record

_UNITS = ((1.0, "s"), (1e-3, "ms"), (0.0, "µs"))


def bench(
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    sizes: Annotated[list[int] | None, Many] = None,
    batches: Annotated[list[int] | None, Many] = None,
    points: Annotated[list[int] | None, Many] = None,
    only: Annotated[list[str] | None, Many] = None,
    profile: Annotated[bool, Parameter(negative="")] = False,
    against: Annotated[bool, Parameter(negative="")] = False,
    compare: Path | None = None,
    results: Path | None = None,
    preset: str = "cpu",
    set_: Annotated[list[str] | None, Parameter(name="--set", consume_multiple=True)] = None,
    repeats: int = 20,
    seconds: float = 5.0,
    threads: int = 0,
    quick: Annotated[bool, Parameter(negative="")] = False,
    device: Device = None,
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
) -> int:
    """Measure time and memory of every part: transport, R_b, heatmap, warps, networks, reading, an iteration, prediction.

    Each figure is the median of repeated runs after a warm-up, beside the most memory that was taken and the share of the
    machine's own peak (a large matrix product, a large copy) that was reached. Measure with nothing else running, and
    compare only figures of one machine. `docs/bench.md` defines every figure.

    **Examples**

        python -m benchmarks -o today.json

        python -m benchmarks --only barycenter_regularizer skeleton_heatmap --sizes 256 --points 68

        python -m benchmarks --compare yesterday.json -o today.json

        python -m benchmarks --against --sizes 256 --points 68

        python -m benchmarks --preset gpu --device cuda --sizes 128 256 --batches 8 64 -o gpu.json

        python -m benchmarks --profile --preset gpu --device cuda -o gpu-profile.json

    Args:
        output: The JSON file to write: figures, device, threads, versions.
        sizes: Sides of images in pixels; by default 64 128 256.
        batches: Images at a time; by default 8.
        points: Landmarks; by default 5 68 200. The networks take 68, or the first.
        only: Names of parts; by default all.
        against: Time what people would run instead, beside ours: R_b by geomloss and POT, warps an image at a time, the dense
            heatmap with autograd. What isn't installed is skipped.
        profile: Take an iteration of the preset apart instead: which operations take its time, how long a GPU waits.
        compare: An earlier file, to print how many times faster each part is now.
        results: Take the figures of this file rather than measure, to compare two files.
        preset: Where the networks' settings come from; `iteration` is measured at its own size and batch.
        set_: Settings that differ from the preset, `key=value`.
        repeats: Repetitions at most.
        seconds: Seconds after which no further repetition of a part begins; at least three are made.
        threads: PyTorch's threads; 0 = its own choice.
        quick: To see that everything runs: no warm-up, a rough peak, one repetition. No figures to report.
        list_: List the parts and end.
    """
    from benchmarks import PARTS, Record, run_benchmarks, run_profile

    if profile and (only or against):
        raise ConfigError("bench: --profile takes an iteration apart and times no parts; leave out --only and --against")
    if list_:
        _table(("part", "what is timed", "depends on"), ((p.name, p.about, ", ".join(p.axes)) for p in PARTS.values()))
        return 0
    old = None if compare is None else Record.read(compare)
    if results is not None:
        record = Record.read(results)
    else:
        axes = (sizes or [64, 128, 256], batches or [8], points or [5, 68, 200])
        plan = _plan(axes, preset, set_ or [], repeats=repeats, seconds=seconds, threads=threads, quick=quick, device=device)
        record = run_profile(plan) if profile else run_benchmarks(plan, only=only or (), against=against, say=note)
    _print_record(record)
    if output is not None:
        record.write(output)
        say(f"written: {output}")
    if old is not None:
        _print_changes(old, record, str(compare))
    return 0


def _plan(
    axes: tuple[list[int], list[int], list[int]],
    preset: str,
    settings: list[str],
    *,
    repeats: int,
    seconds: float,
    threads: int,
    quick: bool,
    device: str | None,
) -> Plan:
    import torch

    from benchmarks import Plan
    from brule.training.config import parse_overrides

    for name, values, least in zip(("--sizes", "--batches", "--points"), axes, (16, 1, 3), strict=True):
        if min(values) < least:
            raise ConfigError(f"{name}: expected {least} or more, got {min(values)}")
    for name, value, least in (("--repeats", repeats, 1), ("--seconds", seconds, 0), ("--threads", threads, 0)):
        if value < least:
            raise ConfigError(f"{name}: expected {least} or more, got {value:g}")
    if threads:
        torch.set_num_threads(threads)
    chosen = checked_device(device) or ("cuda" if torch.cuda.is_available() else "cpu")
    overrides = parse_overrides(settings) | ({"threads": str(threads)} if threads else {})
    repeats, seconds = (1, 0.0) if quick else (repeats, seconds)
    return Plan(
        sizes=tuple(axes[0]),
        batches=tuple(axes[1]),
        points=tuple(axes[2]),
        device=torch.device(chosen),
        preset=preset,
        overrides=overrides,
        repeats=repeats,
        seconds=seconds,
        quick=quick,
    )


def _print_record(record: Record) -> None:
    machine = record.machine
    say(f"{machine['name']}, {machine['threads']} threads, torch {machine['torch']}")
    if record.peaks is not None:
        peaks = record.peaks
        rates = f"{peaks.float32 / 1e9:.0f} GFLOP/s in float32, {peaks.bfloat16 / 1e9:.0f} in bfloat16"
        say(f"peaks: {rates}, {peaks.bandwidth / 1e9:.1f} GB/s\n")
    if record.results:
        rows = (
            (
                *_place(one.case),
                _time(one.timing.median),
                _time(one.timing.p99),
                _size(one.memory),
                _share(one.share, one.bound),
            )
            for one in record.results
        )
        _table((*_PLACE, "median", "p99", "memory", "of the peak"), rows)
    if record.against:
        _table(
            (*_PLACE, "against", "ours", "theirs", "times faster", "values differ by"),
            (
                (
                    *_place(one.case),
                    one.baseline,
                    _time(one.ours.median),
                    _time(one.theirs.median),
                    f"{one.factor:.1f}",
                    "–" if one.difference is None else f"{one.difference:.1g}",
                )
                for one in record.against
            ),
        )
    if record.profile is not None:
        _print_profile(record.profile, on_device=machine["device"] != "cpu")
    for line in record.skipped:
        note(f"skipped: {line}")


def _print_profile(profile: Profile, *, on_device: bool) -> None:
    whole = max(profile.wall, profile.busy)
    say(f"an iteration: {_time(profile.wall)} under the profiler\n")

    def row(name: str, seconds: float) -> tuple[str, str, str]:
        return name, _time(seconds), f"{100 * seconds / whole:.1f} %"

    kinds = [row(name, seconds) for name, seconds in profile.kinds.items()]
    rest = profile.wall - profile.busy
    if rest > 0:
        kinds.append(row("the device waits" if on_device else "outside of PyTorch's operations", rest))
    _table(("kind of work", "time", "share"), kinds)
    say("")
    longest, others = profile.operations[:_MAX_LISTED_OPERATIONS], profile.operations[_MAX_LISTED_OPERATIONS:]
    rows = [(*row(one.name.removeprefix("aten::"), one.seconds), f"{one.calls:g}") for one in longest]
    if others:
        seconds, calls = (sum(getattr(one, name) for one in others) for name in ("seconds", "calls"))
        rows.append((*row(f"{len(others)} others", seconds), f"{calls:g}"))
    _table(("operation", "time", "share", "calls"), rows)


def _print_changes(old: Record, new: Record, name: str) -> None:
    from benchmarks import changes, differing_conditions

    for line in differing_conditions(old, new):
        note(f"not measured alike: {line}")
    found = changes(old, new)
    if not found:
        note(f"{name} has no case in common with these figures")
        return
    say("")
    rows = ((*_place(c.case), _time(c.before), _time(c.after), f"{c.factor:.2f}") for c in found)
    _table((*_PLACE, "before", "now", "times faster"), rows)


_MAX_LISTED_OPERATIONS = 20  # operations of a profile that are printed
_PLACE = ("part", "size", "B", "N")


def _place(case: Case) -> tuple[str, str, str, str]:
    size, points = ("" if value is None else str(value) for value in (case.size, case.points))
    return case.part, size, str(case.batch), points


def _time(seconds: float) -> str:
    unit, name = next((unit or 1e-6, name) for unit, name in _UNITS if seconds >= unit)
    return f"{seconds / unit:.3g} {name}"


def _size(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.0f} MB"


def _share(share: float | None, bound: str | None) -> str:
    return "" if share is None else f"{100 * share:.0f} % ({bound})"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    say_rows(header, rows, keys=len(_PLACE) if tuple(header[: len(_PLACE)]) == _PLACE else 1)
