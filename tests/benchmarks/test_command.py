"""``python -m benchmarks``: that it runs, prints what it found, and refuses what makes no sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import Record
from benchmarks.__main__ import main

QUICK = ("--quick", "--device", "cpu", "--sizes", 16, "--batches", 2, "--points", 5, "--threads", 1)


@dataclass
class Result:
    """What the command returned and printed."""

    code: int
    out: str
    err: str


Bench = Callable[..., Result]


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Run the command in this process with words that may be paths or numbers."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> Result:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Result(code, *capsys.readouterr())

    return run


def test_figures_are_printed_written_and_compared(bench, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    found = bench(*QUICK, "--only", "transport_plan", "warp_images", "-o", file)
    assert found.code == 0, found.err
    assert "GFLOP/s in float32" in found.out and "of the peak" in found.out
    content = json.loads(file.read_text())
    assert [result["case"]["part"] for result in content["results"]] == ["transport_plan", "warp_images"]
    assert content["machine"]["threads"] == 1 and content["machine"]["torch"]
    again = bench("--results", file, "--compare", file)
    assert again.code == 0 and "not measured alike" not in again.err
    lines = [line.split() for line in again.out.splitlines()]
    assert sum(line[-1:] == ["1.00"] for line in lines) == 2  # the same figures twice


def test_against_others(bench, tmp_path: Path) -> None:
    found = bench(*QUICK, "--against", "--only", "skeleton_heatmap", "-o", tmp_path / "against.json")
    assert found.code == 0 and "times faster" in found.out
    (comparison,) = json.loads((tmp_path / "against.json").read_text())["against"]
    assert comparison["difference"] < 1e-3


def test_an_iteration_is_taken_apart(bench, tmp_path: Path) -> None:
    small = ("crop.image_size=16", "encoder.width=8", "encoder.depth=1", "batch_size=4")
    found = bench(*QUICK, "--profile", "--set", *small, "-o", tmp_path / "profile.json")
    assert found.code == 0
    assert "convolutions" in found.out and "others" in found.out
    assert Record.read(tmp_path / "profile.json").profile is not None


@pytest.mark.parametrize("also", [("--only", "skeleton_heatmap"), ("--against",)])
def test_a_profile_has_no_parts_to_choose(bench, also: tuple[str, ...]) -> None:
    found = bench(*QUICK, "--profile", *also)
    assert found.code != 0 and "--profile" in found.err


def test_the_parts_are_listed(bench) -> None:
    found = bench("--list")
    assert found.code == 0 and "gradient_penalty" in found.out and "onnxruntime" in found.out


def test_what_is_wrong_is_said(bench, tmp_path: Path) -> None:
    for words, message in (
        (("--sizes", 0), "--sizes: expected 16 or more, got 0"),
        (("--repeats", 0), "--repeats: expected 1 or more, got 0"),
        (("--only", "warps"), "'warps' is none of the parts"),
        (("--set", "encoder.widht=3"), "encoder.width"),
        (("--compare", tmp_path / "nowhere.json"), "nowhere.json: expected timings"),
    ):
        found = bench("--quick", "--device", "cpu", *words)
        assert found.code == 2 and message in found.err, (words, found.err)
