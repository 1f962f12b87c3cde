"""What every backbone and every head has to do; a new one is tested as soon as it is registered."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from brule.errors import ConfigError
from brule.networks import BACKBONES, HEADS, LandmarkEncoder
from brule.tensors import load_module, read_safetensors, write_safetensors

BARYCENTER = 0.2 + 0.6 * torch.rand(7, 2, generator=torch.Generator().manual_seed(0))
every_encoder = pytest.mark.parametrize(("backbone", "head"), [(backbone, head) for backbone in BACKBONES for head in HEADS])


def encoder(backbone: str, head: str, seed: int = 0) -> LandmarkEncoder:
    torch.manual_seed(seed)
    return LandmarkEncoder(BARYCENTER, image_size=32, backbone=backbone, head=head, width=8, stacks=1, depth=2, stem_stride=2)


def shaken(network: LandmarkEncoder) -> LandmarkEncoder:
    """No layer at zero any more, as after some training."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def largest(backbone: str, head: str, stem_stride: int) -> LandmarkEncoder:
    """Of a backbone, with two stacks and maps of that size if it can have them; otherwise with one, and larger maps."""
    for stacks, stride in itertools.product((2, 1), (stem_stride, stem_stride // 2, 1)):
        size = {"width": 8, "stacks": stacks, "depth": 2, "stem_stride": stride}
        with contextlib.suppress(ConfigError):
            return LandmarkEncoder(BARYCENTER, image_size=16, backbone=backbone, head=head, **size)
    raise AssertionError(f"{backbone} can't be built")


def images(batch: int = 4) -> Tensor:
    return torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@every_encoder
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_untrained_it_finds_the_barycenter(backbone: str, head: str, mode: str) -> None:
    output = getattr(encoder(backbone, head), mode)()(images())
    assert output.points.shape == (4, 7, 2) and output.spread.shape == (4, 7)
    assert torch.allclose(output.points, BARYCENTER.expand(4, -1, -1), atol=1e-6)


@every_encoder
def test_the_gradient_reaches_every_parameter(backbone: str, head: str) -> None:
    network = shaken(encoder(backbone, head))
    output = network(images())
    sum((stage - 0.3).square().sum() for stage in output.stages).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@every_encoder
def test_in_evaluation_an_image_is_read_alone(backbone: str, head: str) -> None:
    network = shaken(encoder(backbone, head)).eval()
    together, alone = network(images()).points, network(images()[:1]).points
    assert torch.allclose(together[:1], alone, atol=1e-5)


@every_encoder
@pytest.mark.parametrize("stem_stride", [2, 4])
def test_landmarks_can_take_another_order(backbone: str, head: str, stem_stride: int) -> None:
    """All stages and spreads are the same in another order, also where the maps are as small as 4 × 4 or feed a next stack."""
    torch.manual_seed(3)
    network = shaken(largest(backbone, head, stem_stride)).eval()
    pictures = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    before = network(pictures)
    network.reorder(order)
    after = network(pictures)
    for one, other in zip(before.stages, after.stages, strict=True):
        assert torch.allclose(other, one[:, order], atol=1e-5)
    assert torch.allclose(after.spread, before.spread[:, order], atol=1e-5)
    assert not torch.allclose(after.points, before.points, atol=1e-2)


@every_encoder
def test_its_deepest_layer_gives_its_smallest_maps(backbone: str, head: str) -> None:
    network, deep, sides = encoder(backbone, head).eval(), [], []
    hooks = [
        layer.register_forward_hook(lambda _layer, _given, maps: sides.append(maps.shape[-1]))
        for layer in network.hourglass.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    hooks.append(network.deepest.register_forward_hook(lambda _layer, _given, maps: deep.append(maps.shape)))
    network(images())
    assert len(hooks) > 2 and len(deep) == 1 and len(deep[0]) == 4
    assert deep[0][-1] == min(sides) == 4


@every_encoder
def test_it_is_saved_and_loaded(backbone: str, head: str, tmp_path: Path) -> None:
    network, other = shaken(encoder(backbone, head)).eval(), encoder(backbone, head, seed=1).eval()
    write_safetensors(tmp_path / "weights.safetensors", dict(network.state_dict()), {})
    load_module(other, read_safetensors(tmp_path / "weights.safetensors")[0], tmp_path)
    assert torch.equal(network(images()).points, other(images()).points)


@pytest.mark.parametrize(("what", "known"), [("backbone", BACKBONES), ("head", HEADS)])
def test_an_unknown_one_is_refused(what: str, known: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"{what}: expected one of {', '.join(known)}, got 'resnet'"):
        LandmarkEncoder(BARYCENTER, image_size=32, **{what: "resnet"})
