"""A Gaussian prior over shapes, learnt from the few that are annotated: which deformations are likely, and how far."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from brule.coordinates import pixel_centres
from brule.errors import BruleError
from brule.geometry.symmetry import mirrored

_JITTER = 0.004  # of the crop: keeps the factor regular where ten shapes span no direction
_FIELD_SIZE = 17  # control points per side; the kernel below is smoother than their spacing
_FIELD_LENGTH = 0.15  # length scale of the kernel that carries displacements from points to the grid, in units of the crop
_RIDGE = 1e-2


@dataclass(frozen=True)
class ShapePrior:
    r"""The Gaussian ``N(μ, Σ)`` over landmark sets of one object, in the unit square of its crop.

    .. math:: \Sigma = S + \sum_a \tau_a^2\, a a^\top + \kappa^2 K \otimes I_2 + \sigma^2 I

    ``S`` is the sample covariance of the annotated shapes. Ten shapes span few directions, so three broad families are
    added: affine maps ``a`` of the mean, smooth bends (``K``, a squared-exponential kernel over the mean's points, as a
    Gaussian process has it), and noise of each landmark on its own.

    This is what takes the place of the barycenter regulariser in the ``cpu`` preset. ``R_b`` charges every departure from
    the affine images of the barycenter alike; the prior knows from the ten shapes that a mouth opens and a head turns.
    The mean of the indices, not a transport plan, pairs the points, so shapes must have one index order.

    Attributes:
        mean: ``μ``, ``(N, 2)``.
        precision: ``Σ⁻¹``, ``(2N, 2N)``, coordinates as ``x₀, y₀, x₁, …``.
        factor: ``F`` with ``F Fᵀ = S + κ² K ⊗ I₂``, ``(2N, 2N)``: the deformations proper, without affine part and noise.
        count: annotated shapes that it was learnt from, without their mirror images.
    """

    mean: Tensor
    precision: Tensor
    factor: Tensor
    count: int = 1

    @classmethod
    def fit(
        cls,
        shapes: Tensor,
        *,
        mirror: Tensor | None = None,
        affine: float = 0.08,
        translation: float = 0.03,
        bend: float = 0.015,
        bend_length: float = 0.12,
        noise: float = 0.01,
    ) -> ShapePrior:
        """Learn the prior.

        Args:
            shapes: ``(K, N, 2)`` annotated shapes, each in the unit square of its crop, in one index order.
            mirror: the permutation of :func:`mirror_permutation`; given, each shape's mirror image counts too.
            affine: ``τ`` of the four linear maps of the mean (no unit: a scaling by 8 % is one standard deviation).
            translation: ``τ`` of the two shifts, in units of the crop.
            bend: ``κ``, in units of the crop.
            bend_length: length scale of the kernel ``K``, in units of the crop.
            noise: ``σ``, in units of the crop.

        Raises:
            BruleError: if there is no shape, or a coordinate isn't finite.
        """
        if shapes.ndim != 3 or shapes.shape[-1] != 2 or len(shapes) == 0 or not torch.isfinite(shapes).all():
            raise BruleError(f"shape prior: expected finite shapes (K, N, 2), K ≥ 1, got {tuple(shapes.shape)}")
        count, shapes = len(shapes), shapes.double().cpu()
        if mirror is not None:
            shapes = torch.cat([shapes, mirrored(shapes, mirror)])
        mean = shapes.mean(0)
        apart = (shapes - mean).flatten(1)
        covariance = apart.T @ apart / max(1, len(shapes) - 1)
        kernel = torch.exp(-torch.cdist(mean, mean).square() / (2 * bend_length**2))
        covariance += bend**2 * torch.kron(kernel, torch.eye(2).double())
        factor = torch.linalg.cholesky(covariance + _JITTER**2 * torch.eye(len(covariance)).double())
        directions = _affine_directions(mean)
        covariance += directions.T @ torch.diag(torch.tensor([affine] * 4 + [translation] * 2).double() ** 2) @ directions
        covariance += noise**2 * torch.eye(len(covariance)).double()
        return cls(mean.float(), torch.linalg.inv(covariance).float(), factor.float(), count)

    def energy(self, points: Tensor) -> Tensor:
        r"""``(X - μ)ᵀ Σ⁻¹ (X - μ) / 2N`` for points ``(B, N, 2)``: ``(B,)``; one on average for shapes of this Gaussian."""
        apart = (points - self.mean.to(points.dtype)).flatten(1)
        return torch.einsum("bi,ij,bj->b", apart, self.precision.to(points.dtype), apart) / apart.shape[1]

    def denoise(self, points: Tensor, *, noise: float) -> Tensor:
        r"""The likeliest shape behind noisy landmarks: ``μ + Σ (Σ + ν² I)⁻¹ (X - μ)``, the posterior mean.

        Args:
            points: ``(B, N, 2)``, a shape of this Gaussian plus independent noise.
            noise: ``ν``, the noise's standard deviation along one axis, in units of the crop.

        Returns:
            ``(B, N, 2)``: unlikely deformations fade, likely ones stay.
        """
        apart = (points - self.mean.to(points.dtype)).flatten(1)
        return self.mean.to(points.dtype) + (apart @ self.smoothing(noise).to(points.dtype).T).view_as(points)

    def smoothing(self, noise: float) -> Tensor:
        r"""What :meth:`denoise` multiplies deviations from the mean by: ``Σ (Σ + ν² I)⁻¹``, ``(2N, 2N)``.

        Args:
            noise: ``ν``, in units of the crop.
        """
        identity = torch.eye(len(self.precision), dtype=self.precision.dtype, device=self.precision.device)
        return torch.linalg.inv(identity + noise**2 * self.precision)

    def sample(self, batch: int, *, strength: float, generator: torch.Generator | None = None) -> Tensor:
        """Random deformations as the prior has them, their shift taken away, scaled by a factor uniform in ``0 … strength``.

        Args:
            batch: how many.
            strength: largest factor.
            generator: the source of randomness, on the CPU.

        Returns:
            ``(B, N, 2)`` displacements of the landmarks, units of the square.
        """
        factor = self.factor.cpu()
        size = strength * torch.rand(batch, 1, 1, generator=generator)
        drawn = torch.randn(batch, len(factor), generator=generator) @ factor.T
        drawn = size * drawn.view(batch, -1, 2)
        return (drawn - drawn.mean(1, keepdim=True)).to(self.mean.device)

    def sample_field(self, batch: int, *, strength: float, generator: torch.Generator | None = None) -> Tensor:
        r"""Random smooth displacements of the whole square that deform the mean like shapes drawn from the prior.

        A deformation of :meth:`sample` is carried from the mean's points to a grid by kernel regression.

        Args:
            batch: how many.
            strength: largest factor; more than one asks for deformations beyond those seen, so that warps outweigh the
                differences between the images themselves.
            generator: the source of randomness, on the CPU.

        Returns:
            ``(B, 2, G, G)`` control values for :meth:`brule.geometry.SynchronizedWarp.sample`, units of the square.
        """
        mean = self.mean.cpu()
        drawn = self.sample(batch, strength=strength, generator=generator).cpu()
        grid = pixel_centres(_FIELD_SIZE, _FIELD_SIZE).view(-1, 2)
        inner = _kernel(mean, mean) + _RIDGE * torch.eye(len(mean))
        carried = _kernel(grid, mean) @ torch.linalg.solve(inner, drawn)  # (B, G², 2)
        return carried.transpose(1, 2).reshape(batch, 2, _FIELD_SIZE, _FIELD_SIZE)

    def moved(self, shift: Tensor) -> ShapePrior:
        """The same deformations about another mean, ``shift`` ``(N, 2)`` away."""
        return replace(self, mean=self.mean + shift)

    def to(self, device: torch.device | str) -> ShapePrior:
        """The same prior on another device."""
        return replace(self, mean=self.mean.to(device), precision=self.precision.to(device), factor=self.factor.to(device))


def _affine_directions(mean: Tensor) -> Tensor:
    """The six directions ``(6, 2N)`` in which affine maps move the mean: four linear, two shifts."""
    centred, one = mean - mean.mean(0), torch.ones(len(mean)).double()
    sources = [centred[:, 0], centred[:, 1], centred[:, 0], centred[:, 1], one, one]
    axes = [0, 0, 1, 1, 0, 1]
    directions = torch.zeros(6, len(mean), 2).double()
    for direction, source, axis in zip(directions, sources, axes, strict=True):
        direction[:, axis] = source
    return directions.flatten(1)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return torch.exp(-torch.cdist(a, b).square() / (2 * _FIELD_LENGTH**2))
