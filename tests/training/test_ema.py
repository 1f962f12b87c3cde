"""The accumulation of weights in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from brule.training.ema import accumulate_weights, warmed_decay


def network(value: float) -> nn.Module:
    built = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with torch.no_grad():
        for tensor in [*built.parameters(), *built.buffers()]:
            tensor.fill_(value)
    return built


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_towards_constant_weights(decay: float) -> None:
    """``θ̄_t = θ + decay^t (θ̄_0 - θ)``, parameters and batch-norm statistics alike."""
    average, model = network(1.0), network(3.0)
    for _ in range(7):
        accumulate_weights(average, model, decay=decay)
    expected = 3.0 + decay**7 * (1.0 - 3.0)
    for name, tensor in average.state_dict().items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor, torch.full_like(tensor, expected)), name


def test_counters_are_copied_and_the_model_stays() -> None:
    average, model = network(1.0), network(3.0)
    accumulate_weights(average, model, decay=0.9)
    assert int(average[1].num_batches_tracked) == 3
    assert all(torch.equal(tensor, torch.full_like(tensor, 3)) for tensor in model.state_dict().values())


def test_no_gradient_flows() -> None:
    average, model = network(1.0), network(3.0)
    accumulate_weights(average, model, decay=0.9)
    assert all(parameter.grad_fn is None and parameter.requires_grad for parameter in average.parameters())


def test_the_first_iterations_forget_fast() -> None:
    assert warmed_decay(0.99, 0) == pytest.approx(0.1)
    values = [warmed_decay(0.99, t) for t in range(2000)]
    assert values == sorted(values)
    assert values[-1] == 0.99
