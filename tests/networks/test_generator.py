"""The generator and what its blocks are made of."""

from __future__ import annotations

import pytest
import torch

from brule.errors import BruleError, ConfigError
from brule.networks import Generator
from brule.networks.generator import ModulatedConv2d, block_sizes, widths_of


def tiny(size: int = 16, channels: int = 3) -> Generator:
    torch.manual_seed(0)
    return Generator(size, channels, width=4, max_width=8, style_dim=6, heatmap_width=4)


def test_sizes_and_widths() -> None:
    assert block_sizes(64) == [4, 8, 16, 32, 64]
    assert widths_of([4, 8, 16, 32, 64], 16, 100) == [100, 100, 64, 32, 16]


@pytest.mark.parametrize("size", [4, 48, 0])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(ConfigError, match="power of two"):
        block_sizes(size)


@pytest.mark.parametrize("size", [32, 64, 128, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_size(size: int, channels: int) -> None:
    image = tiny(size, channels)(torch.rand(1, 1, size, size), torch.randn(1, 2, 6))
    assert image.shape == (1, channels, size, size)


@pytest.mark.parametrize("demodulate", [True, False])
def test_modulation_is_that_of_the_weights(demodulate: bool) -> None:
    """Scaling inputs and outputs gives what a convolution with a weight for every sample gives."""
    torch.manual_seed(3)
    layer = ModulatedConv2d(5, 7, 3, style_dim=4, demodulate=demodulate)
    x, style = torch.randn(2, 5, 6, 6), torch.randn(2, 4)
    weights = layer.weight * layer.scale * layer.style(style)[:, None, :, None, None]  # (B, out, in, 3, 3)
    if demodulate:
        weights = weights / (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    expected = torch.cat([torch.nn.functional.conv2d(x[i : i + 1], weights[i], padding=1) for i in range(2)])
    assert torch.allclose(layer(x, style), expected, atol=1e-5)


def test_demodulated_outputs_have_unit_variance_whatever_the_style() -> None:
    torch.manual_seed(4)
    layer = ModulatedConv2d(32, 64, 3, style_dim=4)
    for strength in (0.1, 10.0):
        out = layer(torch.randn(8, 32, 16, 16), strength * torch.randn(8, 4))[..., 1:-1, 1:-1]
        assert out.std().item() == pytest.approx(1, abs=0.1)


def test_the_second_row_of_the_style_rules_from_16_on() -> None:
    """Row 1 reaches every size through the blocks below 16×16; without those sizes, only row 2 would count."""
    generator = tiny(32)
    rows: dict[int, list[torch.Tensor]] = {}
    for side, block in zip(generator.sizes, generator.first, strict=True):
        block.register_forward_pre_hook(lambda _, inputs, side=side: rows.setdefault(side, []).append(inputs[1]))
    style = torch.randn(1, 2, 6)
    generator(torch.rand(1, 1, 32, 32), style)
    for side, (row,) in rows.items():
        assert torch.equal(row, style[:, 0] if side < 16 else style[:, 1])


def test_every_block_sees_the_heatmap() -> None:
    generator, heatmap = tiny(32), torch.rand(1, 1, 32, 32)
    means: list[torch.Tensor] = []
    for block in generator.first:
        block.register_forward_pre_hook(lambda _, inputs: means.append(inputs[0][:, -4:].mean((0, 2, 3)).detach()))
    generator(heatmap, torch.zeros(1, 2, 6))
    first, means[:] = list(means), []
    generator(2 * heatmap, torch.zeros(1, 2, 6))
    assert len(first) == len(generator.sizes)
    assert all(torch.allclose(2 * a, b, atol=1e-5) for a, b in zip(first, means, strict=True))  # leaky units are homogeneous


def test_the_image_follows_heatmap_style_and_noise() -> None:
    generator = tiny()
    for block in [*generator.first, *generator.second]:
        torch.nn.init.constant_(block.noise_strength, 0.5)
    heatmap, style = torch.rand(1, 1, 16, 16, requires_grad=True), torch.randn(1, 2, 6, requires_grad=True)
    noise = generator.draw_noise(1, torch.Generator().manual_seed(0))
    image = generator(heatmap, style, noise)
    again = generator(heatmap, style, generator.draw_noise(1, torch.Generator().manual_seed(0)))
    assert torch.equal(image, again)
    assert not torch.allclose(image, generator(heatmap, style))
    image.square().sum().backward()
    assert heatmap.grad is not None
    assert heatmap.grad.abs().min() > 0  # the landmarks get a gradient from everywhere
    assert style.grad is not None
    assert (style.grad.abs().sum(-1) > 0).all()


def test_it_runs_in_bfloat16_near_float32() -> None:
    generator, heatmap, style = tiny(), torch.rand(2, 1, 16, 16), torch.randn(2, 2, 6)
    exact = generator(heatmap, style)
    with torch.autocast("cpu", torch.bfloat16):
        rough = generator(heatmap, style)
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()


def test_a_heatmap_of_another_size_is_refused() -> None:
    with pytest.raises(BruleError, match=r"expected heatmaps \(B, 1, 16, 16\)"):
        tiny()(torch.rand(1, 1, 8, 8), torch.randn(1, 2, 6))
