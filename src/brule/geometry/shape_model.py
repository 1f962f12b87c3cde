"""The shape model of an object: barycenter, Gaussian prior, mirror permutation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from brule.geometry.shape_prior import ShapePrior


@dataclass(frozen=True)
class ShapeModel:
    """What the annotated shapes teach about the shape of an object.

    Attributes:
        barycenter: ``(1, N, 2)`` in the unit square of the crop.
        prior: the Gaussian over shapes; ``None`` if the shapes have different numbers of points, or it isn't needed.
        mirror: the index permutation under mirroring ``(N,)``; ``None`` without a symmetry, or if training mirrors nothing.
        indexed: whether the encoder learns which landmark is which, from the prior or from annotated images; transport to
            the barycenter can't teach that.
        others: ``(k, M, 2)``, the barycenters that ``R_b`` compares with instead: several, or of another number of points.
    """

    barycenter: Tensor
    prior: ShapePrior | None = None
    mirror: Tensor | None = None
    indexed: bool = False
    others: Tensor | None = None

    @property
    def references(self) -> Tensor:
        """The barycenters that ``R_b`` compares landmarks with: ``(k, M, 2)``."""
        return self.barycenter if self.others is None else self.others

    @classmethod
    def fit(cls, barycenter: Tensor, shapes: Tensor | None, *, mirror: Tensor | None = None) -> ShapeModel:
        """The model of a barycenter ``(N, 2)`` and, where there are, annotated shapes ``(K, N, 2)``: these make the prior."""
        prior = None if shapes is None else ShapePrior.fit(shapes, mirror=mirror)
        return cls(barycenter[None].float(), prior, mirror)

    def moved(self, shift: Tensor) -> ShapeModel:
        """The same with another mean of the prior, ``shift`` ``(N, 2)`` away."""
        return self if self.prior is None else replace(self, prior=self.prior.moved(shift))

    def to(self, device: torch.device | str) -> ShapeModel:
        """The same on another device."""
        prior = None if self.prior is None else self.prior.to(device)
        mirror = None if self.mirror is None else self.mirror.to(device)
        others = None if self.others is None else self.others.to(device)
        return replace(self, barycenter=self.barycenter.to(device), prior=prior, mirror=mirror, others=others)
