"""Muon: what an orthogonalised step is, and which parameters it moves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from brule.networks import LandmarkEncoder
from brule.training.checkpoint import load_checkpoint, save_checkpoint
from brule.training.muon import Muon, dense_convolutions, orthogonalized
from brule.training.state import Progress


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (12, 12)])
def test_singular_values_become_about_one_and_directions_stay(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    matrix = u @ torch.diag(torch.linspace(0.05, 1, len(s))) @ v
    found = orthogonalized(matrix)
    assert float(torch.linalg.svdvals(found).min()) > 0.6 and float(torch.linalg.svdvals(found).max()) < 1.3
    in_its_directions = u.T @ found @ v.T
    assert torch.allclose(in_its_directions, torch.diag(in_its_directions.diagonal()), atol=1e-4)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1))


def optimizer_of(own: nn.Module, lr: float = 0.01) -> Muon:
    matrices = dense_convolutions(own)
    others = [p for p in own.parameters() if all(p is not one for one in matrices)]
    return Muon(matrices, torch.optim.AdamW(others, lr=0.001), lr=lr)


def step(own: nn.Module, optimizer: torch.optim.Optimizer, seed: int = 0) -> None:
    optimizer.zero_grad()
    own(torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(seed))).square().mean().backward()
    optimizer.step()


def test_colours_and_landmarks_stay_with_adam() -> None:
    own = network()
    assert [tuple(one.shape) for one in dense_convolutions(own)] == [(8, 8, 3, 3)]
    encoder = LandmarkEncoder(torch.rand(5, 2), backbone="compact", width=8, depth=2, stem_stride=2, stacks=1, image_size=32)
    found = dense_convolutions(encoder.hourglass)
    assert found and all(one.shape[2] > 1 and one.shape[1] != 3 for one in found)


def test_a_step_has_the_length_of_its_rate() -> None:
    own = network()
    before = own.get_parameter("1.weight").detach().clone()
    step(own, optimizer_of(own, lr=0.01))
    moved = (own.get_parameter("1.weight").detach() - before).square().mean().sqrt()
    # 0.2 · rate, as a step of Adam has; the rate alone for a weight of Adam, whose first step is the sign.
    assert 0.7 * 0.2 * 0.01 < float(moved) < 1.3 * 0.2 * 0.01


def test_the_rates_of_its_groups_are_those_of_a_schedule() -> None:
    own = network()
    optimizer = optimizer_of(own)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = {name: value.clone() for name, value in own.named_parameters()}
    step(own, optimizer)
    assert all(torch.equal(before[name], value) for name, value in own.named_parameters())


def test_a_checkpoint_brings_its_state_back(tmp_path: Path) -> None:
    own, other = network(), network()
    first, second = optimizer_of(own), optimizer_of(other)
    for seed in range(3):
        step(own, first, seed)
    save_checkpoint(tmp_path / "c", progress=Progress(3, 1.0), modules={"model": own}, optimizers={"encoder": first})
    load_checkpoint(tmp_path / "c", modules={"model": other}, optimizers={"encoder": second})
    for one, optimizer in ((own, first), (other, second)):
        step(one, optimizer, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(own.parameters(), other.parameters(), strict=True))
    assert not torch.equal(own.get_parameter("1.weight"), network().get_parameter("1.weight"))
