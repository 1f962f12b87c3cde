"""Muon: the 3 × 3 convolutions are updated by their orthogonalised momentum, all other parameters by AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of a quintic that takes singular values from (0, 1] to about 1 in five steps
_STEPS = 5
_RMS = 0.2  # root mean square of an orthogonalised step over the learning rate, about that of Adam


class Muon(torch.optim.Optimizer):
    """AdamW for most parameters, and orthogonalised momentum for the weights of dense convolutions.

    Such a weight is seen as a matrix, outputs × (inputs · taps). All singular values of its steps are near one: rare directions
    move as far as frequent ones. Jordan et al., Muon (2024). A step is scaled as by Liu et al. (arXiv 2502.16982), so that
    learning rates of Adam and Muon compare.

    Args:
        matrices: weights ``(O, I, k, k)``, moved by Muon.
        adam: moves the other parameters; its groups and states become part of this optimizer's.
        lr: learning rate of Muon.
        momentum: share of the old mean of the gradient that is kept.
        weight_decay: decoupled, of the matrices.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        adam: torch.optim.AdamW,
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        self._adam = adam
        own = {"params": list(matrices), "lr": lr, "initial_lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__([own, *adam.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move all parameters that have a gradient."""
        if closure is not None:
            raise NotImplementedError("Muon: call step() without a closure")
        group, *others = self.param_groups
        for weight in group["params"]:
            if weight.grad is not None:
                self._move(weight, group)
        self._adam.param_groups, self._adam.state = others, self.state  # loading a state replaces ours
        self._adam.step()

    def _move(self, weight: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        mean = state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
        ahead = weight.grad.lerp(mean, group["momentum"])  # type: ignore[union-attr]  # Nesterov's
        direction = orthogonalized(ahead.flatten(1))
        size = _RMS * max(direction.shape) ** 0.5
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(direction.view(weight.shape), alpha=-group["lr"] * size)


def orthogonalized(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthonormal rows (or columns, where there are more rows), roughly: singular values 0.7 … 1.2.

    Five steps of a Newton–Schulz iteration with the coefficients of Jordan et al. (2024).

    Args:
        matrix: ``(M, N)``.
    """
    a, b, c = _COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    # X ← (a + b G + c G²) X with G = X Xᵀ: all five factors are polynomials of the first G, so only it is multiplied with
    # itself, M × M, and X once at the end. That takes half of the arithmetic.
    gram, product = x @ x.T, None
    for step in range(_STEPS):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if product is None else factor @ product
        if step < _STEPS - 1:
            gram = factor @ gram @ factor
    x = product @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


def dense_convolutions(module: nn.Module) -> list[Tensor]:
    """The weights of a backbone that Muon is for: those of convolutions larger than 1 × 1 between features.

    The first convolution, which sees colours, stays with Adam.
    """
    return [
        own.weight
        for own in module.modules()
        if isinstance(own, nn.Conv2d) and own.kernel_size != (1, 1) and own.in_channels > 4 and own.groups == 1
    ]
