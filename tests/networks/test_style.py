"""Both sources of style."""

from __future__ import annotations

import pytest
import torch

from brule.networks import StyleEncoder, StyleMapping, draw_noise


def test_noise_is_mixed_in_the_share_that_is_asked_for() -> None:
    noise = draw_noise(4000, 3, mixing=0.9, generator=torch.Generator().manual_seed(0))
    assert noise.shape == (4000, 2, 3)
    apart = (noise[:, 0] != noise[:, 1]).any(-1).float().mean().item()
    assert apart == pytest.approx(0.9, abs=0.02)  # 4 standard deviations
    same = draw_noise(50, 3, mixing=0, generator=torch.Generator().manual_seed(0))
    assert torch.equal(same[:, 0], same[:, 1])


def test_a_row_of_style_depends_on_its_row_of_noise_alone_and_not_on_its_length() -> None:
    torch.manual_seed(0)
    mapping = StyleMapping(5, 7, depth=3)
    noise = torch.randn(2, 2, 5)
    style = mapping(noise)
    assert style.shape == (2, 2, 7)
    changed = noise.clone()
    changed[:, 1] = torch.randn(2, 5)
    assert torch.equal(mapping(changed)[:, 0], style[:, 0])
    assert not torch.allclose(mapping(changed)[:, 1], style[:, 1])
    assert torch.allclose(mapping(10 * noise), style, atol=1e-4)


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (32, 3), (256, 3)])
def test_the_style_of_an_image(size: int, channels: int) -> None:
    encoder = StyleEncoder(size, channels, width=4, max_width=8, style_dim=5)
    images = torch.randn(2, channels, size, size, requires_grad=True)
    style = encoder(images)
    assert style.shape == (2, 2, 5)
    style.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
