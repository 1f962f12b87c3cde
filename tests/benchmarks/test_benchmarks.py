"""What is timed, counted and compared; the times themselves are nobody's business here."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import (
    BASELINES,
    PARTS,
    Case,
    Plan,
    Record,
    Result,
    changes,
    differing_conditions,
    measuring,
    networks,
    run_benchmarks,
    run_profile,
)
from benchmarks.baselines import largest_relative_difference
from benchmarks.roofline import Counts, Peaks, count, roofline
from benchmarks.timing import Timing, free_memory, peak_memory, time_call
from brule.errors import ConfigError, DataError
from brule.training.run import build_model

CPU = torch.device("cpu")
SMALL = {
    "encoder.width": 8,
    "encoder.depth": 2,
    "decoder.image_size": 16,
    "decoder.width": 4,
    "decoder.max_width": 8,
    "decoder.style_dim": 8,
    "decoder.noise_dim": 8,
    "decoder.mapping_depth": 2,
    "crop.image_size": 32,
    "batch_size": 4,
    "threads": 1,
    "gan.enabled": True,
    "gan.every": 2,
    "gan.penalty_every": 1,
}
PLAN = Plan(sizes=(16,), batches=(4,), points=(5,), overrides=SMALL, repeats=1, seconds=0.0, quick=True)


def test_operations_and_bytes_by_hand() -> None:
    a, b = torch.ones(3, 4), torch.ones(4, 5)
    assert count(lambda: a @ b) == Counts(2 * 3 * 4 * 5, 4 * (12 + 20 + 15))
    assert count(lambda: a.t().view(2, 2, 3)[0].T) == Counts(0, 0)  # views are free
    assert count(lambda: a.t().contiguous()) == Counts(0, 4 * (12 + 12))
    assert count(lambda: a.add_(1)) == Counts(0, 4 * (12 + 12))
    assert count(lambda: np.ones(3)) == Counts(0, 0)


def test_backward_counts_too() -> None:
    x, w = torch.ones(2, 3), torch.ones(3, 4, requires_grad=True)
    assert count(lambda: (x @ w).sum().backward()).flops == 2 * (2 * 2 * 3 * 4)  # forward, and the gradient in w


def test_the_longer_of_two_least_durations_is_the_bound() -> None:
    peaks = Peaks(float32=100.0, bfloat16=400.0, bandwidth=10.0)
    line = roofline(Counts(200, 10), 4.0, peaks, precision="float32")  # 2 s for the operations, 1 s for the bytes
    assert line is not None and (line.share, line.bound) == (0.5, "operations")
    line = roofline(Counts(200, 10), 4.0, peaks, precision="bfloat16")  # half a second for the operations
    assert line is not None and (line.share, line.bound) == (0.25, "bytes")
    assert roofline(Counts(0, 0), 1.0, peaks, precision="float32") is None


def test_runs_are_repeated_as_asked() -> None:
    def calls(**keywords: float) -> int:
        done: list[int] = []
        timing = time_call(lambda: done.append(1), CPU, **keywords)  # type: ignore[arg-type]
        assert timing.low <= timing.median <= timing.high <= timing.p99
        return len(done)

    assert calls(repeats=7, seconds=60, warm_up=2) == 9
    assert calls(repeats=7, seconds=0, warm_up=1) == 1 + 3
    assert calls(repeats=1, seconds=0, warm_up=0) == 1
    assert Timing.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Timing(3.0, 2.0, 4.0, pytest.approx(4.96), 5)


def test_the_peak_of_memory_is_measured_though_it_is_given_back() -> None:
    size = 64 * 2**20
    found = peak_memory(lambda: np.ones(size, dtype=np.uint8).sum(), CPU)
    if found is None:
        pytest.skip("this system doesn't say how much memory a process takes")
    assert size * 0.9 < found < size * 2
    free = free_memory(CPU)
    assert free is None or free > 0


@pytest.mark.parametrize("name", [name for name in PARTS if name != "onnxruntime"])
def test_every_part_runs(name: str) -> None:
    record = run_benchmarks(PLAN, only=[name])
    assert not record.skipped
    (result,) = record.results
    assert result.case.part == name and result.timing.median > 0
    networks = name in ("encoder", "generator", "discriminator", "gradient_penalty", "iteration")
    assert result.flops or not networks
    assert result.precision == ("bfloat16" if networks else "float32")


@pytest.mark.slow
def test_the_exported_detector_runs() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"exports need {package}: pip install 'brule-landmarks[export]'")
    record = run_benchmarks(PLAN, only=["onnxruntime"])
    assert not record.skipped and [result.case.batch for result in record.results] == [1]


def test_an_iteration_is_the_mean_of_its_cycle() -> None:
    part = PARTS["iteration"]
    (case,) = part.cases(PLAN)
    assert (case.size, case.batch) == (32, 4)  # the preset's own, not the plan's
    work = part.build(case, PLAN)
    assert work.per_run == 2 and work.clock is not None
    durations = work.clock(2, 60.0)
    assert len(durations) == 2 and min(durations) > 0


def test_a_training_that_was_stopped_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training ends in order on SIGTERM and Ctrl-C, after an iteration or two: no measurement."""
    genuine = networks.train
    monkeypatch.setattr(networks, "train", lambda *given, **named: replace(genuine(*given, **named), finished=False))
    part = PARTS["iteration"]
    with pytest.raises(KeyboardInterrupt):
        part.build(part.cases(PLAN)[0], PLAN).clock(2, 60.0)


def test_cases_are_all_combinations() -> None:
    plan = Plan(sizes=(16, 32), batches=(1, 2), points=(3, 68, 5))
    assert len(PARTS["skeleton_heatmap"].cases(plan)) == 2 * 2 * 3
    assert PARTS["transport_plan"].cases(plan)[0] == Case("transport_plan", None, 1, 3)
    assert {case.points for case in PARTS["encoder"].cases(plan)} == {68}
    assert str(Case("x", 16, 2, None)) == "x, 16 px, B=2"


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.name)
def test_baselines_give_what_ours_gives(baseline) -> None:
    for package in baseline.packages:
        if find_spec(package) is None:
            pytest.skip(f"{baseline.name} needs {package}")
    comparison = baseline.build(Case(baseline.part, 24, 3, 7), PLAN)
    difference = largest_relative_difference(comparison.ours(), comparison.theirs())
    exact = not {"geomloss", "cv2", "albumentations"} & set(baseline.packages)
    assert (difference is not None and difference < 1e-3) or not exact


def test_differences_are_relative_and_the_largest_counts() -> None:
    ours = (torch.tensor([2.0, -4.0]), torch.tensor([1.0]))
    theirs = (torch.tensor([2.0, -5.0]), torch.tensor([1.5]))
    assert largest_relative_difference(ours, theirs) == 0.5
    assert largest_relative_difference(ours, None) is None


def test_what_cannot_be_run_is_skipped_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "free_memory", lambda device: 1000)
    record = run_benchmarks(PLAN, only=["skeleton_heatmap_plain", "warp_images"])
    assert [result.case.part for result in record.results] == ["warp_images"]
    assert len(record.skipped) == 1 and record.skipped[0].startswith("skeleton_heatmap_plain, 16 px, B=4, N=5: ")
    record = run_benchmarks(replace(PLAN, sizes=(24,)), only=["generator"])  # not a power of two
    assert not record.results and "power of two" in record.skipped[0]
    monkeypatch.setattr(measuring, "find_spec", lambda name: None)
    record = run_benchmarks(PLAN, only=["barycenter_regularizer"], against=True)
    assert not record.against and "needs geomloss and ot" in record.skipped[0]


def test_a_baseline_that_fails_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: Case, plan: Plan) -> None:
        raise TypeError("unexpected keyword 'blur'")

    baselines = [replace(BASELINES[-1], name="broken", build=broken), BASELINES[-1]]
    monkeypatch.setattr(measuring, "BASELINES", baselines)
    record = run_benchmarks(PLAN, against=True)
    assert len(record.against) == 1
    (line,) = record.skipped
    assert line.endswith("against broken: broken failed: TypeError: unexpected keyword 'blur'")


def test_names_are_checked() -> None:
    with pytest.raises(ConfigError, match="'warps' is none of the parts: transport_plan"):
        run_benchmarks(PLAN, only=["warps"])


def made_up(**seconds: float) -> Record:
    timings = {part: Timing(median, median, median, median, 3) for part, median in seconds.items()}
    results = [Result(Case(part, None, 8, 68), timing, memory=5) for part, timing in timings.items()]
    return Record({"device": "cpu", "threads": 2, "brule": "1"}, {"preset": "cpu"}, Peaks(1.0, 2.0, 3.0), results)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = run_benchmarks(PLAN, only=["warp_images"], against=True)
    assert record.against
    for one in (record, made_up(a=1.0)):
        one.write(tmp_path / "record.json")
        assert Record.read(tmp_path / "record.json") == one


def test_two_records_compared() -> None:
    old, new = made_up(a=6.0, b=1.0, gone=1.0), made_up(new=1.0, b=4.0, a=3.0)
    assert [(change.case.part, change.factor) for change in changes(old, new)] == [("b", 0.25), ("a", 2.0)]
    other = replace(new, machine={"device": "cpu", "threads": 1, "brule": "2"})
    assert differing_conditions(old, other) == ["threads: was 2, is 1"]
    assert differing_conditions(old, new) == []


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    made_up(a=1.0).write(path)
    whole = json.loads(path.read_text())
    damaged = ["{", "[]", "{}", json.dumps(whole | {"results": [{}]}), json.dumps({k: whole[k] for k in ("format", "peaks")})]
    for text in damaged:
        path.write_text(text)
        with pytest.raises(DataError) as raised:
            Record.read(path)
        assert str(raised.value).startswith(str(path))
    with pytest.raises(DataError, match="can't read it"):
        Record.read(tmp_path / "nowhere.json")


def test_an_iteration_is_taken_apart(tmp_path: Path) -> None:
    """Convolutions run forward and backward in a known number, and no time is counted twice."""
    record = run_profile(PLAN)
    profile = record.profile
    assert profile is not None and record.results == []
    encoder = build_model(torch.rand(5, 2), PLAN.config(**{"gan.enabled": False})).encoder
    layers = sum(isinstance(module, torch.nn.Conv2d) for module in encoder.modules())
    calls = {operation.name: operation.calls for operation in profile.operations}
    assert calls["aten::convolution"] >= 2 * layers  # the teacher's and the encoder's; the decoder has its own
    assert calls["aten::convolution_backward"] >= layers
    assert 0 < profile.busy <= profile.wall
    assert sum(profile.kinds.values()) == pytest.approx(profile.busy)
    seconds = [operation.seconds for operation in profile.operations]
    assert seconds == sorted(seconds, reverse=True)
    record.write(tmp_path / "profile.json")
    assert Record.read(tmp_path / "profile.json") == record
