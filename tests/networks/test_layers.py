"""The building blocks keep their shapes."""

from __future__ import annotations

import pytest
import torch

from brule.networks.layers import Residual, conv_block


@pytest.mark.parametrize(("channels_in", "channels_out"), [(8, 8), (8, 12)])
def test_a_residual_block_keeps_the_place_and_changes_the_channels(channels_in: int, channels_out: int) -> None:
    assert Residual(channels_in, channels_out)(torch.rand(2, channels_in, 5, 7)).shape == (2, channels_out, 5, 7)


def test_a_residual_block_whose_last_layer_is_zero_is_its_way_past() -> None:
    block = Residual(8, 8)
    torch.nn.init.zeros_(block.body[-1].weight)
    torch.nn.init.zeros_(block.body[-1].bias)
    x = torch.rand(2, 8, 5, 7)
    assert torch.equal(block(x.clone()), x)


def test_the_input_is_not_changed() -> None:
    x = torch.randn(2, 8, 5, 7)
    kept = x.clone()
    Residual(8, 8)(x)
    assert torch.equal(x, kept)


@pytest.mark.parametrize(("stride", "expected"), [(1, (9, 8)), (2, (5, 4))])
def test_a_convolution_block_halves_rounding_up(stride: int, expected: tuple[int, int]) -> None:
    shown = conv_block(3, 6, 3, stride=stride)(torch.rand(2, 3, 9, 8))
    assert shown.shape == (2, 6, *expected)
    assert (shown >= 0).all()
