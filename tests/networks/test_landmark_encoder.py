"""Both heads: they start at the barycenter, learn with all their parameters, and know where things are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from brule.data.synthetic import synthetic_faces
from brule.errors import BruleError, ConfigError
from brule.networks import LandmarkEncoder
from brule.networks.landmark_encoder import SoftmaxHead

HEADS = ["convolution", "softmax"]


def barycenter(n: int = 7) -> Tensor:
    return 0.1 + 0.8 * torch.rand(n, 2, generator=torch.Generator().manual_seed(0))


def encoder(head: str, **changes: object) -> LandmarkEncoder:
    settings = {"image_size": 32, "head": head, "width": 8, "stacks": 2, "depth": 2, "stem_stride": 2}
    torch.manual_seed(0)
    return LandmarkEncoder(barycenter(), **(settings | changes))


def images(n: int = 3, size: int = 32) -> Tensor:
    return torch.as_tensor(synthetic_faces(n, size=size).images).permute(0, 3, 1, 2) / 127.5 - 1


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("head", HEADS)
def test_it_starts_at_the_barycenter(head: str, mode: str) -> None:
    output = getattr(encoder(head), mode)()(images())
    for stage in output.stages:
        assert torch.allclose(stage, barycenter().expand(3, -1, -1), atol=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_and_in_half_precision_too(head: str) -> None:
    """Coordinates of eight bits would be off by a tenth of a pixel of 64: the heads have to stay in float32."""
    network = encoder(head)
    with torch.autocast("cpu", torch.bfloat16):
        output = network(images())
    assert output.points.dtype == torch.float32
    assert torch.allclose(output.points, barycenter().expand(3, -1, -1), atol=1e-5)


def test_a_landmark_at_the_border_starts_there_too() -> None:
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.5], [0.5, 1.0]])
    network = LandmarkEncoder(corners, image_size=32, head="softmax", width=8, stacks=1, depth=2, stem_stride=2)
    assert torch.allclose(network(images()).points, corners.expand(3, -1, -1), atol=1e-6)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("size", "stride", "depth"), [(32, 2, 3), (64, 4, 2), (24, 1, 3), (16, 4, 2), (48, 4, 2)])
def test_shapes(head: str, size: int, stride: int, depth: int) -> None:
    output = encoder(head, image_size=size, stem_stride=stride, depth=depth)(images(2, size))
    assert output.points.shape == (2, 7, 2)
    assert output.spread.shape == (2, 7)
    assert output.points is output.stages[-1]
    assert (output.spread > 0).all()
    assert (output.spread < 1).all()


@pytest.mark.parametrize(("size", "stride", "depth"), [(30, 4, 2), (32, 2, 5), (40, 4, 2)])
def test_sizes_that_cannot_be_halved_are_refused(size: int, stride: int, depth: int) -> None:
    with pytest.raises(ConfigError, match=f"multiple of {stride * 2**depth}"):
        encoder("softmax", image_size=size, stem_stride=stride, depth=depth)


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(ConfigError, match="convolution, softmax"):
        encoder("dense")


def test_a_barycenter_of_another_shape_is_refused() -> None:
    with pytest.raises(BruleError, match="barycenter"):
        LandmarkEncoder(torch.rand(7, 3), image_size=32)


@pytest.mark.parametrize("head", HEADS)
def test_the_gradient_reaches_every_parameter(head: str) -> None:
    """Once the layers that start at zero have left it."""
    network = encoder(head)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    goal = torch.rand(4, 7, 2)
    output = network(images(4))
    sum((stage - goal).square().sum() for stage in output.stages).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize(("head", "rate"), [("convolution", 1e-3), ("softmax", 1e-2)])
def test_it_can_leave_the_barycenter(head: str, rate: float) -> None:
    network = encoder(head)
    optimizer = torch.optim.Adam(network.parameters(), rate)
    goal = barycenter() + 0.1
    start = 0.01  # the square of that
    for _ in range(20):
        optimizer.zero_grad()
        loss = (network(images(4)).points - goal).square().mean()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.5 * start


def test_the_softmax_head_reads_the_place_of_a_peak() -> None:
    """A score that outweighs all others is where the landmark is; its spread is next to nothing."""
    centre = torch.tensor([[0.5, 0.5]])
    head = SoftmaxHead(centre, 16)
    scores = torch.zeros(1, 1, 16, 16)
    scores[0, 0, 3, 12] = 200.0
    points, spread = head(scores)
    # The prior's border correction is nothing in the middle, by symmetry.
    assert torch.allclose(points, torch.tensor([[[12.5 / 16, 3.5 / 16]]]), atol=1e-4)
    assert float(spread.detach()) < 1e-3


def test_the_spread_of_the_softmax_head_is_a_standard_deviation() -> None:
    """Two equal peaks, along x only: half their distance, averaged in square with 0 along y."""
    scores = torch.zeros(1, 1, 16, 16)
    scores[0, 0, 8, 4] = scores[0, 0, 8, 11] = 500.0
    _, spread = SoftmaxHead(torch.tensor([[0.5, 0.5]]), 16)(scores)
    assert float(spread.detach()) == pytest.approx((((11 - 4) / 2 / 16) ** 2 / 2) ** 0.5, rel=1e-3)
