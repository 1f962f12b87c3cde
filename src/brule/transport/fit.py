"""How a barycenter fits predicted landmarks: all of ``R_b`` that carries no gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from brule.transport.affine import affine_from_plan, translation_to
from brule.transport.coupling import Coupling
from brule.transport.plan import paired, transport_plan


@dataclass(frozen=True, eq=False)
class BarycenterFit:
    """The shift, the affine map and the plans by which landmarks go to the barycenter. BRULÈ (arXiv 2006.11643).

    Attributes:
        shift: ``T``, ``(B, 2)``.
        map: ``A`` of Eq. (1), ``(B, 2, 2)``, applied from the right to centred landmarks.
        bent: between the centred landmarks and their image under ``A``.
        rest: between that image and the centred barycenter.
    """

    shift: Tensor
    map: Tensor
    bent: Coupling
    rest: Coupling

    def to(self, device: torch.device | str) -> BarycenterFit:
        """The same on another device."""
        return BarycenterFit(self.shift.to(device), self.map.to(device), self.bent.to(device), self.rest.to(device))


@torch.no_grad()
def fit_barycenter(points: Tensor, barycenter: Tensor) -> BarycenterFit:
    """Solve the three transport problems of ``R_b``.

    They are solved on the CPU, wherever the points are: these travel there once, and the answer, a few numbers per landmark,
    comes back. Training calls this in a thread of its own, so that a GPU can compute other terms in the meantime.

    Args:
        points: ``X``, ``(B, N, 2)``.
        barycenter: ``X̄``, ``(B, M, 2)`` or ``(1, M, 2)``.

    Returns:
        The fit, on the device of the points.

    Raises:
        BruleError: if a coordinate isn't finite, or the batches don't match.
    """
    device = points.device
    points, barycenter = paired(points.cpu(), barycenter.to("cpu", points.dtype))
    centred, target = (one - one.mean(1, keepdim=True) for one in (points, barycenter))
    map_ = affine_from_plan(centred, target, transport_plan(centred, target))
    image = centred @ map_
    fit = BarycenterFit(
        translation_to(points, barycenter), map_, Coupling.between(centred, image), Coupling.between(image, target)
    )
    return fit.to(device)
