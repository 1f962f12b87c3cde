"""A stranger's detector: whatever is wrong with its files is found before memory is spent on it, and named."""

from __future__ import annotations

import json
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from brule import LandmarkDetector
from brule.data.synthetic import synthetic_faces
from brule.errors import CheckpointError

FACES = synthetic_faces(8, size=48)
TINY: dict[str, Any] = {"encoder.width": 8, "encoder.depth": 2, "crop.image_size": 32, "batch_size": 4, "iterations": 1}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    LandmarkDetector(quiet=True, split=1, threads=1, **TINY).fit(FACES.images, shapes=FACES.points[:4]).save(folder)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved, tmp_path / "detector")
    return tmp_path / "detector"


def change_settings(folder: Path, section: str, key: str, value: object) -> None:
    path = folder / "detector.json"
    description = json.loads(path.read_text())
    description["config"][section][key] = value
    path.write_text(json.dumps(description))


def change_tensors(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def first_weight(tensors: dict[str, Tensor]) -> str:
    return next(name for name in sorted(tensors) if name.startswith("encoder.") and name.endswith("weight"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t["barycenter"].fill_(float("nan")), "'barycenter' holds numbers that aren't finite"),
        (lambda t: t[first_weight(t)].view(-1)[:1].fill_(float("inf")), "aren't finite"),
        (lambda t: t["shapes"].view(-1)[:1].fill_(float("nan")), "'shapes' holds numbers"),
        (lambda t: t.update(shapes=torch.rand(4, 7, 2)), r"expected shapes \(K, 68, 2\) of float32, found \(4, 7, 2\)"),
        (lambda t: t.update(barycenter=torch.rand(68, 3)), r"expected a barycenter \(N, 2\)"),
        (lambda t: t.update(barycenter=torch.rand(0, 2)), r"expected a barycenter \(N, 2\)"),
        (lambda t: t.update(barycenter=t["barycenter"].double()), "of float32, found .* float64"),
        (lambda t: t.pop("barycenter"), r"expected a barycenter \(N, 2\)"),
        (lambda t: t["order"].fill_(3), "'order' isn't a permutation"),
        (lambda t: t["order"][:1].fill_(10**9), "'order' isn't a permutation"),
        (lambda t: t.update(order=t["order"].double()), "'order' should be .* int64 and is .* float64"),
        (lambda t: t.update(extra=torch.zeros(1)), "'extra' should be absent"),
        (lambda t: t.pop(first_weight(t)), "and is absent"),
        (lambda t: t.update({first_weight(t): t[first_weight(t)].half()}), "float32 and is .* float16"),
    ],
)
def test_wrong_tensors_are_named(copy: Path, change: Callable[[dict[str, Tensor]], object], named: str) -> None:
    change_tensors(copy, change)
    with pytest.raises(CheckpointError, match=named) as error:
        LandmarkDetector.load(copy)
    assert "model.safetensors" in str(error.value)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("encoder", "width", 4096), ("encoder", "width", 10**6), ("encoder", "depth", 10**9), ("crop", "image_size", 10**9)],
)
def test_sizes_that_the_file_does_not_hold_cost_no_memory(copy: Path, section: str, key: str, value: int) -> None:
    """An encoder of width 4096 has gigabytes of weights; the file has some kilobytes."""
    change_settings(copy, section, key, value)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError):
        LandmarkDetector.load(copy)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown / (1 if sys.platform == "darwin" else 1 / 1024) < 200 * 2**20


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        "9" * 5000,
        '{"format": "brule-detector-1", "progress": {"iteration": 1e400, "elapsed": 0}}',
        "\ud800",
        "null",
        "",
    ],
)
def test_a_description_that_is_none_is_refused_by_name(copy: Path, content: str) -> None:
    (copy / "detector.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(CheckpointError, match=r"detector\.json"):
        LandmarkDetector.load(copy)


def test_a_sound_detector_is_read(copy: Path) -> None:
    assert LandmarkDetector.load(copy).predict(FACES.images[:1]).points.shape == (1, 68, 2)
