"""Layers with an equalised learning rate, and resampling that blurs."""

from __future__ import annotations

import pytest
import torch

from brule.networks import equalized
from brule.networks.equalized import EqualConv2d, EqualLinear, downsample, leaky, upsample


def test_outputs_have_the_variance_of_the_inputs() -> None:
    torch.manual_seed(0)
    assert EqualLinear(512, 4096)(torch.randn(8, 512)).std().item() == pytest.approx(1, abs=0.05)
    inner = EqualConv2d(64, 256, 3)(torch.randn(4, 64, 16, 16))[..., 1:-1, 1:-1]
    assert inner.std().item() == pytest.approx(1, abs=0.05)
    x = torch.randn(100_000)
    assert leaky(x).square().mean().item() == pytest.approx(1 + 0.2**2, abs=0.03)  # half of each sign, times √2


def test_the_multiplier_slows_learning_and_nothing_else() -> None:
    torch.manual_seed(1)
    layer = EqualLinear(256, 4096, multiplier=0.01, bias=1.0)
    out = layer(torch.randn(64, 256))
    assert out.std().item() == pytest.approx(1, abs=0.05)
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    out.sum().backward()
    assert torch.allclose(layer.bias.grad, torch.full((4096,), 64 * 0.01))


@pytest.mark.parametrize("resample", [upsample, downsample])
def test_constants_stay(resample) -> None:
    x = torch.full((1, 3, 8, 8), 0.7)
    assert torch.allclose(resample(x), torch.full_like(resample(x), 0.7))


def test_downsampling_weighs_four_pixels_as_1331() -> None:
    x = torch.zeros(1, 1, 1, 8)
    x[..., 3] = 1
    x = x.expand(1, 1, 8, 8)
    assert torch.allclose(downsample(x)[0, 0, 1], torch.tensor([0.0, 3, 1, 0]) / 8)  # pixels 1…4 and 3…6


def test_what_gpus_compute_is_what_cpus_do() -> None:
    """GPUs take means for the convolution; the discriminator's penalty differentiates them twice."""
    x = torch.randn(2, 3, 8, 12, dtype=torch.double)
    assert torch.allclose(equalized._by_means(x), equalized._by_convolution(x))
    assert torch.autograd.gradgradcheck(equalized._by_means, x[:1, :1, :4, :4].requires_grad_())


def test_upsampling_weighs_as_1331_inside() -> None:
    x = torch.zeros(1, 1, 4, 4)
    x[..., 1] = 1
    assert torch.allclose(upsample(x)[0, 0, 3], torch.tensor([0, 1, 3, 3, 1, 0, 0, 0]) / 4)


def test_ramps_stay_in_place() -> None:
    """Neither direction shifts the image: a ramp in the unit square stays that ramp inside."""
    ramp = ((torch.arange(16) + 0.5) / 16).expand(1, 1, 16, 16)
    half, twice = ((torch.arange(n) + 0.5) / n for n in (8, 32))
    assert torch.allclose(downsample(ramp)[0, 0, 3, 1:-1], half[1:-1])
    assert torch.allclose(upsample(ramp)[0, 0, 3, 1:-1], twice[1:-1])
