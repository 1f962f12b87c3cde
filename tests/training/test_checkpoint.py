"""Checkpoints: everything comes back, all or nothing is written, and damage is reported as such."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

import brule.tensors as tensors
from brule.errors import CheckpointError
from brule.tensors import write_safetensors
from brule.training.checkpoint import load_checkpoint, save_checkpoint
from brule.training.state import Progress


def trained(width: int = 4, steps: int = 3, seed: int = 0) -> tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    for _ in range(steps):
        network(torch.randn(2, 1, 5, 5)).square().sum().backward()
        optimizer.step()
    return {"model": network}, {"optimizer": optimizer}


def save(path: Path, **keywords: int) -> tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]:
    modules, optimizers = trained(**keywords)
    save_checkpoint(path, progress=Progress(3, 1.5), modules=modules, optimizers=optimizers)
    return modules, optimizers


def load(path: Path, **keywords: int) -> Progress:
    modules, optimizers = trained(**({"steps": 0, "seed": 1} | keywords))
    return load_checkpoint(path, modules=modules, optimizers=optimizers)


def test_everything_comes_back(tmp_path: Path) -> None:
    modules, optimizers = save(tmp_path / "c")
    others, their_optimizers = trained(steps=0, seed=1)
    assert load_checkpoint(tmp_path / "c", modules=others, optimizers=their_optimizers) == Progress(3, 1.5)
    for name, tensor in modules["model"].state_dict().items():
        assert torch.equal(others["model"].state_dict()[name], tensor), name
    ours, theirs = optimizers["optimizer"].state_dict()["state"], their_optimizers["optimizer"].state_dict()["state"]
    assert ours.keys() == theirs.keys()
    for index, state in ours.items():
        assert state.keys() == theirs[index].keys()
        assert all(torch.equal(value, theirs[index][key]) for key, value in state.items())


@pytest.mark.parametrize(("stated", "wanted"), [("a", "b"), (None, "b"), ("a", None)])
def test_the_checkpoint_of_another_run_is_refused(stated: str | None, wanted: str | None, tmp_path: Path) -> None:
    modules, optimizers = trained(steps=0)
    save_checkpoint(tmp_path / "c", progress=Progress(3, 1.5), modules=modules, optimizers=optimizers, run=stated)
    assert load_checkpoint(tmp_path / "c", modules=modules, optimizers=optimizers, run=stated).iteration == 3
    with pytest.raises(CheckpointError, match="belongs to another run"):
        load_checkpoint(tmp_path / "c", modules=modules, optimizers=optimizers, run=wanted)


def test_the_next_step_is_the_same(tmp_path: Path) -> None:
    pairs = [save(tmp_path / "c"), trained(steps=0, seed=1)]
    load_checkpoint(tmp_path / "c", modules=pairs[1][0], optimizers=pairs[1][1])
    image = torch.randn(2, 1, 5, 5)
    for modules, optimizers in pairs:
        modules["model"].zero_grad()
        modules["model"](image).square().sum().backward()
        optimizers["optimizer"].step()
    first, second = (modules["model"].state_dict() for modules, _ in pairs)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.mark.parametrize("where", ["save_file", "fsync", "replace"])
def test_an_interruption_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    path = tmp_path / "c"
    save(path)
    before = path.read_bytes()

    def torn(tensors: object, name: Path, *rest: object) -> None:
        Path(name).write_bytes(b"half")
        raise KeyboardInterrupt

    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    if where == "save_file":
        monkeypatch.setattr(tensors, "save_file", torn)
    elif where == "fsync":
        monkeypatch.setattr(os, "fsync", stopped)
    else:
        monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        save(path, seed=5)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["c"]  # no litter


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_file_cut_short_is_reported_as_such(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "c"
    save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=f"{path}: damaged"):
        load(path)


def test_a_file_of_garbage_is_reported_as_such(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(CheckpointError, match="damaged"):
        load(path)


def test_a_missing_file_is_reported_as_such(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is none"):
        load(tmp_path / "c")


def test_networks_of_another_architecture_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "c")
    with pytest.raises(CheckpointError, match="networks are not those"):
        load(tmp_path / "c", width=5)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "c", {"model/0.weight": torch.zeros(1)}, {"format": "other"})
    with pytest.raises(CheckpointError, match="format 'other'"):
        load(tmp_path / "c")
