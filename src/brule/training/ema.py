"""Accumulation of the weights over the iterations (§4 of the paper)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def accumulate_weights(average: nn.Module, model: nn.Module, *, decay: float) -> None:
    r"""Move the average one step towards the model: ``θ̄ ← decay · θ̄ + (1 - decay) · θ``.

    BRULÈ (arXiv 2006.11643), §4.

    Args:
        average: holds ``θ̄``; its parameters and floating-point buffers (those of the batch norms) are changed in place.
        model: holds ``θ``; of the same architecture.
        decay: share of the old average that is kept.
    """
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
    pairs = list(zip(average.buffers(), model.buffers(), strict=True))
    if means := [pair for pair in pairs if pair[0].is_floating_point()]:
        torch._foreach_lerp_([kept for kept, _ in means], [own for _, own in means], 1 - decay)
    for kept, own in pairs:
        if not kept.is_floating_point():
            kept.copy_(own)


def warmed_decay(decay: float, iteration: int) -> float:
    """A decay that starts low, so that the untrained weights are forgotten: ``min(decay, (1 + t) / (10 + t))``."""
    return min(decay, (1 + iteration) / (10 + iteration))


class MeanPredictions(nn.Module):
    """Running means of the landmarks over the training images: those of the encoder, and those of its average.

    Attributes:
        encoder: ``(N, 2)`` in the unit square of the crop.
        ema: the same of the averaged encoder.
        shift: ``(N, 2)``, from the mean of the annotated shapes to that of all, as far as it is known.
        corrected: 1 once it was found out; 2 once edges have been asked as well, beside annotated images.
    """

    SHARE = 0.03  # of a batch in the mean: it looks back over about 30 batches

    encoder: Tensor
    ema: Tensor
    shift: Tensor
    corrected: Tensor

    def __init__(self, barycenter: Tensor) -> None:
        super().__init__()
        self.register_buffer("encoder", barycenter.float().clone())
        self.register_buffer("ema", barycenter.float().clone())
        self.register_buffer("shift", torch.zeros_like(barycenter, dtype=torch.float32))
        self.register_buffer("corrected", torch.zeros((), dtype=torch.uint8))
