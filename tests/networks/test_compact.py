"""The compact backbone: shapes, the reach of its gradients, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from brule.errors import ConfigError
from brule.networks import CompactHourglass, LandmarkEncoder


@pytest.mark.parametrize(("stride", "depth"), [(1, 1), (2, 3), (2, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_stack_of_maps(stride: int, depth: int, channels: int) -> None:
    network = CompactHourglass(5, channels=channels, width=8, stacks=1, depth=depth, stem_stride=stride)
    (maps,) = network(torch.rand(2, channels, 32, 32))
    assert maps.shape == (2, 5, 32 // stride, 32 // stride)


def test_every_parameter_is_reached() -> None:
    network = CompactHourglass(5, channels=3, width=8, stacks=1, depth=3, stem_stride=2)
    network(torch.randn(4, 3, 32, 32))[0].square().sum().backward()
    still = [name for name, parameter in network.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert not still


def test_the_encoder_starts_at_the_barycenter_with_it() -> None:
    barycenter = 0.2 + 0.6 * torch.rand(7, 2)
    settings = {"image_size": 32, "backbone": "compact", "width": 8, "stacks": 1, "depth": 2, "stem_stride": 2}
    for head in ("softmax", "convolution"):
        points = LandmarkEncoder(barycenter, head=head, **settings)(torch.rand(3, 3, 32, 32)).points
        assert torch.allclose(points, barycenter.expand(3, -1, -1), atol=1e-6)


def test_what_it_cannot_be() -> None:
    with pytest.raises(ConfigError, match="stem_stride: expected 1 or 2"):
        CompactHourglass(5, channels=3, width=8, stacks=1, depth=2, stem_stride=4)
    with pytest.raises(ConfigError, match="stacks: expected 1"):
        LandmarkEncoder(torch.rand(5, 2), image_size=32, backbone="compact", stacks=2, stem_stride=2, depth=2)
