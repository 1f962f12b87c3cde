"""The discriminator, and that it can be differentiated twice."""

from __future__ import annotations

import pytest
import torch

from brule.errors import ConfigError
from brule.networks import Discriminator
from brule.networks.discriminator import minibatch_deviation


def tiny(size: int = 16, channels: int = 3) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(size, channels, width=4, max_width=8)


@pytest.mark.parametrize("size", [32, 64, 128, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_logit_an_image(size: int, channels: int) -> None:
    logits = tiny(size, channels)(torch.randn(4, channels, size, size), torch.rand(4, 1, size, size))
    assert logits.shape == (4,)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="power of two"):
        tiny(40)


def test_it_judges_by_image_and_heatmap() -> None:
    judge, image, heatmap = tiny(), torch.randn(2, 3, 16, 16, requires_grad=True), torch.rand(2, 1, 16, 16, requires_grad=True)
    judge(image, heatmap).sum().backward()
    assert image.grad is not None
    assert heatmap.grad is not None
    assert image.grad.abs().sum() > 0
    assert heatmap.grad.abs().sum() > 0


def test_the_penalty_has_a_gradient() -> None:
    """Second derivatives against finite differences, in float64, through every layer."""
    judge = tiny(8, 1).double()
    heatmap = torch.rand(2, 1, 8, 8, dtype=torch.double)
    image = torch.randn(2, 1, 8, 8, dtype=torch.double, requires_grad=True)
    weights = [p for p in judge.parameters() if p.ndim == 4][:2]

    def penalty() -> torch.Tensor:
        (gradient,) = torch.autograd.grad(judge(image, heatmap).sum(), image, create_graph=True)
        return gradient.square().sum()

    for weight in weights:
        (gradient,) = torch.autograd.grad(penalty(), weight)
        index, step = tuple(0 for _ in weight.shape), 1e-5
        with torch.no_grad():
            weight[index] += step
        above = penalty().item()
        with torch.no_grad():
            weight[index] -= 2 * step
        below = penalty().item()
        with torch.no_grad():
            weight[index] += step
        assert gradient[index].item() == pytest.approx((above - below) / (2 * step), rel=1e-3, abs=1e-7)


def test_minibatch_deviation_by_hand() -> None:
    x = torch.zeros(2, 1, 1, 1)
    x[1] = 2.0  # mean 1, deviation 1
    assert torch.allclose(minibatch_deviation(x), torch.ones(2, 1, 1, 1))
    same = torch.ones(8, 3, 2, 2)
    assert minibatch_deviation(same).shape == (8, 1, 2, 2)
    assert minibatch_deviation(same).max() < 1e-3


def test_groups_of_four() -> None:
    """Samples i, i + 2, i + 4, i + 6 of eight are one group."""
    x = torch.zeros(8, 1, 1, 1)
    x[1::2] = torch.tensor([0.0, 2.0, 0.0, 2.0])[:, None, None, None]
    found = minibatch_deviation(x).flatten()
    assert found[::2].max() < 1e-3
    assert torch.allclose(found[1::2], torch.ones(4), atol=1e-3)


def test_it_runs_in_bfloat16_near_float32() -> None:
    judge, image, heatmap = tiny(), torch.randn(4, 3, 16, 16), torch.rand(4, 1, 16, 16)
    exact = judge(image, heatmap)
    with torch.autocast("cpu", torch.bfloat16):
        rough = judge(image, heatmap)
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().max() < 0.1 * exact.abs().max()
