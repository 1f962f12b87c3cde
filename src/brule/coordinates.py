"""The three frames a landmark can live in, and the maps between them.

* **pixels**: ``(x, y)`` with the *centre* of the first pixel at ``(0, 0)``; an image of width ``W`` spans ``-0.5 … W-0.5``.
* **unit square**: ``(x, y)`` in ``[0, 1]²``; 0 is the left / upper *edge* of the image (or of a crop), 1 the opposite edge.
* **sampling grid**: ``[-1, 1]²`` as :func:`torch.nn.functional.grid_sample` reads it with ``align_corners=False``.

This is the only file that knows about pixel centres and ``align_corners``: everybody else calls it. The functions work on
NumPy arrays and on tensors alike; the last axis holds ``(x, y)``.
"""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from brule.errors import BruleError

Points = TypeVar("Points")  # a NumPy array or a tensor, (..., 2)

ALIGN_CORNERS = False


def pixels_to_unit(points: Points, box: tuple[float, float, float, float]) -> Points:
    """Pixels → unit square of a box.

    Args:
        points: ``(..., 2)`` in pixels.
        box: ``(left, top, right, bottom)`` in pixels; :func:`image_box` gives that of a whole image.
    """
    left, top, right, bottom = box
    return (points - _like(points, (left, top))) / _like(points, (right - left, bottom - top))  # type: ignore[operator]


def unit_to_pixels(points: Points, box: tuple[float, float, float, float]) -> Points:
    """Unit square of a box → pixels; the inverse of :func:`pixels_to_unit`."""
    left, top, right, bottom = box
    return points * _like(points, (right - left, bottom - top)) + _like(points, (left, top))  # type: ignore[operator]


def image_box(width: int, height: int) -> tuple[float, float, float, float]:
    """The box ``(left, top, right, bottom)`` of a whole image, in pixels: from edge to edge, so it starts at -0.5."""
    return (-0.5, -0.5, width - 0.5, height - 0.5)


def box_edges(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """A box in pixels → the same box counted from the image's corner, as Pillow's ``resize(box=…)`` and ``crop`` count."""
    left, top, right, bottom = box
    return (left + 0.5, top + 0.5, right + 0.5, bottom + 0.5)


def box_from_edges(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """A box counted from the image's corner → the same box in pixels; the inverse of :func:`box_edges`."""
    left, top, right, bottom = box
    return (left - 0.5, top - 0.5, right - 0.5, bottom - 0.5)


def from_corner(points: Points) -> Points:
    """Points counted from the corner of the image, where the first pixel spans 0 … 1 → pixels, its centre at 0."""
    return points - 0.5  # type: ignore[operator, return-value]


def to_corner(points: Points) -> Points:
    """Pixels → counted from the corner of the image; the inverse of :func:`from_corner`."""
    return points + 0.5  # type: ignore[operator, return-value]


def from_lower_corner(points: Points, height: int) -> Points:
    """Points counted from the lower left corner of an image, with y pointing up → pixels.

    Args:
        points: ``(..., 2)``.
        height: of the image, in pixels.
    """
    return from_corner(points * _like(points, (1.0, -1.0)) + _like(points, (0.0, float(height))))  # type: ignore[operator]


def to_lower_corner(points: Points, height: int) -> Points:
    """Pixels → counted from the lower left corner; the inverse of :func:`from_lower_corner`."""
    return to_corner(points) * _like(points, (1.0, -1.0)) + _like(points, (0.0, float(height)))  # type: ignore[operator]


def unit_to_grid(points: Points) -> Points:
    """Unit square → sampling grid."""
    return 2.0 * points - 1.0  # type: ignore[operator, return-value]


def pixel_centres(height: int, width: int, *, device: torch.device | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """The centres of all pixels in the unit square, ``(H, W, 2)``."""
    x = (torch.arange(width, device=device, dtype=dtype) + 0.5) / width
    y = (torch.arange(height, device=device, dtype=dtype) + 0.5) / height
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)


def sample_at(maps: Tensor, points: Tensor, *, mode: str = "bilinear", padding: str = "border") -> Tensor:
    """Read maps at points of the unit square.

    Args:
        maps: ``(B, C, H, W)``.
        points: ``(B, h, w, 2)`` in the unit square: where each output pixel looks.
        mode: ``bilinear``, ``bicubic`` or ``nearest``.
        padding: values outside: ``border``, ``zeros`` or ``reflection``.

    Returns:
        ``(B, C, h, w)``.
    """
    return F.grid_sample(maps, unit_to_grid(points), mode=mode, padding_mode=padding, align_corners=ALIGN_CORNERS)


def resize(maps: Tensor, size: int) -> Tensor:
    """Maps ``(B, C, H, W)`` → ``(B, C, size, size)``, bilinear, antialiased when they shrink."""
    if maps.shape[-2:] == (size, size):
        return maps
    return F.interpolate(maps, (size, size), mode="bilinear", align_corners=ALIGN_CORNERS, antialias=maps.shape[-1] > size)


def _like(points: object, pair: tuple[float, float]) -> object:
    if isinstance(points, Tensor):
        return torch.tensor(pair, device=points.device, dtype=points.dtype)
    return pair


def check_points(points: Tensor, name: str = "points") -> Tensor:
    """Return ``points`` if they are a batch ``(B, N, 2)`` of floating-point landmarks; raise an error otherwise.

    Raises:
        BruleError: if the shape or the type is another.
    """
    if not isinstance(points, Tensor):
        raise BruleError(f"{name}: expected a tensor of shape (B, N, 2), got {type(points).__name__}; use torch.as_tensor")
    if points.ndim != 3 or points.shape[-1] != 2 or points.shape[1] == 0:
        raise BruleError(
            f"{name}: expected shape (B, N, 2), batch × landmarks × (x, y), got {tuple(points.shape)}; "
            "add the batch axis with points[None] if there is one set"
        )
    if not points.is_floating_point():
        raise BruleError(f"{name}: expected floating-point coordinates, got {points.dtype}; use points.float()")
    return points
