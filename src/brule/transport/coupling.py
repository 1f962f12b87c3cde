"""Optimal plans that are held constant while a cost is differentiated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from brule.transport.plan import assignment, paired, transport_plan


@dataclass(frozen=True, eq=False)
class Coupling:
    """The optimal plan between uniform sets of points, in its shortest form.

    Attributes:
        partner: ``(B, N)`` integers, where the sets have one size: the index of each point's partner.
        plan: ``(B, N, M)``, where they haven't.
        power: of the distance in the cost.
    """

    partner: Tensor | None
    plan: Tensor | None
    power: int

    @classmethod
    def between(cls, x: Tensor, y: Tensor, *, power: int = 2) -> Coupling:
        """The best one for ``x`` ``(B, N, 2)`` and ``y`` ``(B, M, 2)`` or ``(1, M, 2)``; no gradient."""
        x, y = paired(x, y)
        if x.shape[1] == y.shape[1]:
            return cls(assignment(x, y, power=power), None, power)
        return cls(None, transport_plan(x, y, power=power), power)

    def cost(self, x: Tensor, y: Tensor) -> Tensor:
        r"""``Σ_ij P_ij ‖x_i - y_j‖^power`` for any points of these numbers, ``(B,)``; differentiable in both."""
        x, y = paired(x, y)
        if self.partner is not None:
            return _power(x - y.gather(1, self.partner[..., None].expand(-1, -1, 2)), self.power).mean(-1)
        assert self.plan is not None
        return (self.plan * _power(x[:, :, None] - y[:, None], self.power)).sum((1, 2))

    def to(self, device: torch.device | str) -> Coupling:
        """The same on another device."""
        partner, plan = (None if held is None else held.to(device) for held in (self.partner, self.plan))
        return Coupling(partner, plan, self.power)


def _power(difference: Tensor, power: int) -> Tensor:
    squared = difference.square().sum(-1)
    if power == 2:
        return squared
    # The root has no gradient at zero; there the sub-gradient 0 is taken.
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)
