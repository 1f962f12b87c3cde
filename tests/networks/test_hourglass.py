"""The stacked hourglass: shapes, stacks, and the reach of its gradients."""

from __future__ import annotations

import pytest
import torch

from brule.errors import ConfigError
from brule.networks import StackedHourglass
from brule.networks.hourglass import Hourglass


@pytest.mark.parametrize("stem_stride", [1, 2, 4])
@pytest.mark.parametrize("stacks", [1, 2])
def test_every_stack_gives_maps_of_the_wanted_size(stem_stride: int, stacks: int) -> None:
    network = StackedHourglass(5, channels=3, width=8, stacks=stacks, depth=2, stem_stride=stem_stride)
    maps = network(torch.rand(2, 3, 32, 32))
    assert [tuple(one.shape) for one in maps] == [(2, 5, 32 // stem_stride, 32 // stem_stride)] * stacks


@pytest.mark.parametrize("channels", [1, 4])
def test_images_need_not_have_three_channels(channels: int) -> None:
    network = StackedHourglass(5, channels=channels, width=8, stacks=1, depth=1, stem_stride=2)
    assert network(torch.rand(1, channels, 16, 16))[0].shape == (1, 5, 8, 8)


def test_an_hourglass_goes_as_deep_as_asked() -> None:
    depths, inner = 0, Hourglass(3, 8)
    while isinstance(inner, Hourglass):
        depths, inner = depths + 1, inner.inner
    assert depths == 3
    assert Hourglass(3, 8)(torch.rand(1, 8, 16, 24)).shape == (1, 8, 16, 24)


def test_the_last_stack_reaches_every_parameter() -> None:
    network = StackedHourglass(5, channels=3, width=8, stacks=2, depth=2, stem_stride=2)
    network(torch.randn(2, 3, 32, 32))[-1].square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_every_place_sees_the_whole_image() -> None:
    """The bottom of the hourglass brings the far corner to every map position."""
    network = StackedHourglass(1, channels=1, width=8, stacks=1, depth=3, stem_stride=2).eval()
    image = torch.randn(1, 1, 32, 32, requires_grad=True)
    network(image)[0][0, 0, 0, 0].backward()
    assert image.grad[0, 0, -8:, -8:].any()


def test_another_stem_is_refused() -> None:
    with pytest.raises(ConfigError, match="stem_stride"):
        StackedHourglass(5, channels=3, width=8, stacks=1, depth=1, stem_stride=3)
