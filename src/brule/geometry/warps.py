"""Random warps that move an image and its landmarks together: the ``g`` of BRULÈ's geometric regulariser."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from brule.coordinates import check_points, pixel_centres, sample_at
from brule.errors import BruleError

_FOLD_LIMIT = 0.2  # the elastic map's Jacobian determinant stays above this: no folds, and a quick inverse
_SLOPE_LIMIT = 0.9
_FOLD_STEPS = 20
_INVERSION_STEPS = 50
_INVERSION_TOLERANCE = 1e-7


@dataclass(frozen=True)
class SynchronizedWarp:
    r"""One random map ``g`` of the unit square for every element of a batch, applied to images and to points alike.

    ``g = affine ∘ elastic``, given by its inverse, which is what drawing an image needs:

    .. math:: g^{-1}(q) = s + u(s), \qquad s = A^{-1}(q - c - t) + c

    with ``c`` the centre of the square. The picture at ``q`` shows what was at ``g^{-1}(q)``; a point at ``p`` goes to
    ``g(p)``, found by fixed-point iteration. BRULÈ (arXiv 2006.11643).

    Attributes:
        inverse: ``(B, 2, 2)``, ``A^{-1}``, applied to column vectors.
        shift: ``(B, 2)``, ``t``, in units of the square.
        field: ``(B, 2, G, G)``, control values of the smooth displacement ``u``, in units of the square.

    Example:
        >>> warp = SynchronizedWarp.sample(1, size=64, generator=torch.Generator().manual_seed(0))
        >>> warp.image(torch.zeros(1, 3, 64, 64)).shape, warp.points(torch.rand(1, 68, 2)).shape
        (torch.Size([1, 3, 64, 64]), torch.Size([1, 68, 2]))
    """

    inverse: Tensor
    shift: Tensor
    field: Tensor

    @classmethod
    def sample(
        cls,
        batch: int,
        *,
        size: int,
        generator: torch.Generator | None = None,
        rotation: float = 15.0,
        scale: float = 0.1,
        translation: float = 0.0625,
        elastic: float = 0.0095,
        elastic_scale: float = 0.039,
        bends: Tensor | None = None,
    ) -> SynchronizedWarp:
        """Draw a warp for every element of a batch.

        Args:
            batch: how many.
            size: of the images, in pixels: the grid on which folds are looked for.
            generator: the source of randomness, on the CPU.
            rotation: largest angle, in degrees; uniform in ± that.
            scale: largest change of size: the factor is uniform in ``exp(± log(1 + scale))``.
            translation: largest shift along each axis, in units of the square.
            elastic: standard deviation of the displacement, in units of the square.
            elastic_scale: the Gaussian smoothing length of the displacement, in units of the square.
            bends: ``(B, 2, G, G)``, further displacements to add, such as :meth:`ShapePrior.sample_field` draws.

        Raises:
            BruleError: if a strength is negative.

        Notes:
            The defaults are the paper's authors' strengths at 256 px: rotation ± 15°, and white noise in ± 150 px smoothed
            by a Gaussian of 10 px, whose standard deviation is 2.4 px. A displacement that comes near to folding the image
            is reduced until it doesn't; at the defaults this takes away a seventh of the mean strength.
        """
        if min(rotation, scale, translation, elastic) < 0 or elastic_scale <= 0 or batch < 1:
            raise BruleError(
                "warp: expected batch ≥ 1, strengths ≥ 0 and elastic_scale > 0, got "
                f"{batch=}, {rotation=}, {scale=}, {translation=}, {elastic=}, {elastic_scale=}"
            )

        def uniform(*shape: int) -> Tensor:
            return 2 * torch.rand(*shape, generator=generator) - 1

        angle = math.radians(rotation) * uniform(batch)
        factor = torch.exp(math.log1p(scale) * uniform(batch))
        cosine, sine = angle.cos() / factor, angle.sin() / factor
        inverse = torch.stack([cosine, sine, -sine, cosine], -1).view(batch, 2, 2)
        shift = translation * uniform(batch, 2)
        field = _smooth_field(batch, elastic, elastic_scale, generator=generator)
        if bends is not None:
            grid = pixel_centres(*bends.shape[-2:]).expand(batch, -1, -1, -1)
            field = bends + sample_at(field, grid, mode="bicubic")
        field = _unfolded(field, size)
        return cls(inverse, shift, field)

    @classmethod
    def identity(cls, batch: int) -> SynchronizedWarp:
        """The warp that moves nothing."""
        return cls(torch.eye(2).expand(batch, 2, 2), torch.zeros(batch, 2), torch.zeros(batch, 2, 4, 4))

    def __getitem__(self, rows: slice) -> SynchronizedWarp:
        return SynchronizedWarp(self.inverse[rows], self.shift[rows], self.field[rows])

    def to(self, device: torch.device | str) -> SynchronizedWarp:
        """The same warp on another device."""
        return SynchronizedWarp(self.inverse.to(device), self.shift.to(device), self.field.to(device))

    def image(self, images: Tensor, *, size: int | None = None, context: float = 1.0, padding: str = "border") -> Tensor:
        """Images as ``g`` moves them, bilinear.

        Args:
            images: ``(B, C, H, W)``.
            size: side of the result; by default as the images.
            context: the images show this many unit squares across, about the centre of the one that the points live in:
                more than one, and warps bring in real surroundings.
            padding: what is shown outside the images: ``border``, ``zeros`` or ``reflection``.

        Returns:
            ``(B, C, size, size)``: the moved unit square.
        """
        if images.ndim != 4 or images.shape[0] != self.inverse.shape[0]:
            raise BruleError(f"warp: expected images ({self.inverse.shape[0]}, C, H, W), got {tuple(images.shape)}")
        height, width = (size, size) if size else images.shape[-2:]
        centres = pixel_centres(height, width, device=images.device).view(1, -1, 2)
        source = self._inverse_map(centres.expand(images.shape[0], -1, -1)).view(-1, height, width, 2)
        source = (source - 0.5) / context + 0.5
        return sample_at(images, source.to(images.dtype), padding=padding)

    def heatmap(self, heatmaps: Tensor) -> Tensor:
        """Heatmaps ``(B, C, H, W)`` as ``g`` moves them: zero from outside, and each channel keeps its sum."""
        moved = self.image(heatmaps, padding="zeros")
        return moved * (heatmaps.sum((2, 3), keepdim=True) / moved.sum((2, 3), keepdim=True).clamp_min(1e-12))

    def points(self, points: Tensor) -> Tensor:
        """Where ``g`` carries points ``(B, N, 2)`` of the unit square; differentiable in the points."""
        self._check_batch(points)
        source = points.detach()
        before = self._invert_elastic(source)
        # The iteration ran without gradient. One Newton step from its end, s* + J⁻¹ (p - s* - u(s*)) with J the Jacobian
        # of s + u(s) at s*, has the value and the derivative.
        residual = points - (before + self._displacement(before))
        before = before + torch.linalg.solve(self._elastic_jacobian(before), residual[..., None])[..., 0]
        forward = torch.linalg.inv(self.inverse).to(points.dtype)
        return torch.einsum("bij,bnj->bni", forward, before - 0.5) + 0.5 + self.shift[:, None].to(points.dtype)

    def inverse_points(self, points: Tensor) -> Tensor:
        """Where ``g`` took points ``(B, N, 2)`` of its result from: ``g⁻¹``, in closed form; differentiable."""
        self._check_batch(points)
        return self._inverse_map(points)

    def _check_batch(self, points: Tensor) -> None:
        check_points(points)
        if len(points) != len(self.inverse):
            raise BruleError(f"warp: it was drawn for {len(self.inverse)} sets of points, got {len(points)}")

    def _inverse_map(self, points: Tensor) -> Tensor:
        inverse, shift = self.inverse.to(points.dtype), self.shift.to(points.dtype)
        straight = torch.einsum("bij,bnj->bni", inverse, points - 0.5 - shift[:, None]) + 0.5
        return straight + self._displacement(straight)

    def _displacement(self, points: Tensor) -> Tensor:
        field = self.field.to(points.dtype)
        return sample_at(field, points[:, None], mode="bicubic")[:, :, 0].transpose(1, 2)  # (B, N, 2)

    @torch.no_grad()
    def _invert_elastic(self, points: Tensor) -> Tensor:
        """Solve ``s + u(s) = p``; ``u`` is a contraction wherever the map doesn't come near to folding."""
        solution = points
        for _ in range(_INVERSION_STEPS):
            following = points - self._displacement(solution)
            change = (following - solution).abs().max()
            solution = following
            if change < _INVERSION_TOLERANCE:
                break
        return solution

    @torch.no_grad()
    def _elastic_jacobian(self, points: Tensor, step: float = 1e-4) -> Tensor:
        """``∂(s + u(s))/∂s`` at points, ``(B, N, 2, 2)``, by central differences (bicubic sampling is smooth)."""
        columns = []
        for axis in range(2):
            nudge = torch.zeros(2, dtype=points.dtype, device=points.device)
            nudge[axis] = step
            columns.append((self._displacement(points + nudge) - self._displacement(points - nudge)) / (2 * step))
        return torch.stack(columns, -1) + torch.eye(2, dtype=points.dtype, device=points.device)


def _smooth_field(batch: int, std: float, length: float, *, generator: torch.Generator | None) -> Tensor:
    """Control values of a Gaussian random field of the given standard deviation and smoothing length (unit square)."""
    # Control points a smoothing length apart carry all of the field: it has next to no power at shorter waves.
    count = max(4, min(128, math.ceil(1 / length) + 3))
    sigma = length * count  # in control points
    radius = math.ceil(3 * sigma)
    noise = torch.randn(2 * batch, 1, count + 2 * radius, count + 2 * radius, generator=generator)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = kernel / kernel.square().sum().sqrt()  # unit variance after smoothing
    smooth = torch.nn.functional.conv2d(noise, kernel.view(1, 1, 1, -1))
    smooth = torch.nn.functional.conv2d(smooth, kernel.view(1, 1, -1, 1))
    return std * smooth.view(batch, 2, count, count)


def _unfolded(field: Tensor, size: int) -> Tensor:
    """Shrink the displacement of every element until its map has no fold."""
    side = min(size, 2 * field.shape[-1])  # between the control points the field is smooth
    shown = sample_at(field, pixel_centres(side, side).expand(len(field), -1, -1, -1), mode="bicubic")  # (B, 2, h, w)
    dx = (shown[..., :, 1:] - shown[..., :, :-1])[..., :-1, :] * side
    dy = (shown[..., 1:, :] - shown[..., :-1, :])[..., :, :-1] * side
    factor = torch.ones(len(field), 1, 1, 1)
    for _ in range(_FOLD_STEPS):
        (xx, yx), (xy, yy) = (factor * dx).unbind(1), (factor * dy).unbind(1)
        determinant = (1 + xx) * (1 + yy) - yx * xy
        # The fixed-point inverse needs more than no fold: a slope below one.
        slope = torch.maximum(xx.abs() + xy.abs(), yx.abs() + yy.abs())
        bad = (determinant.amin((1, 2)) < _FOLD_LIMIT) | (slope.amax((1, 2)) > _SLOPE_LIMIT)
        if not bad.any():
            return factor * field
        factor = torch.where(bad[:, None, None, None], 0.8 * factor, factor)
    raise BruleError("warp: the elastic displacement folds the image; choose a smaller elastic or a larger elastic_scale")
