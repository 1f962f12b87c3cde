"""The skeleton heatmap of a landmark set (BRULÈ, Eq. 2): soft lines along the edges of its nearest-neighbour graph.

Two versions give the same map. :func:`skeleton_heatmap_plain` is the equation itself, a dense ``(B, E, H, W)`` tensor.
:func:`skeleton_heatmap` computes only the tiles that an edge reaches and has its gradient written out.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from brule.coordinates import check_points, image_box, pixel_centres, unit_to_pixels
from brule.errors import BruleError

_REACH = 6.0  # in σ: exp(-6²/2) = 1.5e-8 is lost, below the resolution of float32 beside 1
_TINY = 1e-12


def skeleton_heatmap(
    points: Tensor, *, size: int, sigma: float, edges: Tensor | None = None, k: int = 2, normalize: bool = True
) -> Tensor:
    r"""Draw landmarks as a soft skeleton.

    .. math:: L(q) = \sum_{(i, j) \in E} \exp\!\left(-\frac{d(q, [x_i, x_j])^2}{2 \sigma^2}\right)

    with ``d`` the distance from pixel ``q`` to the segment between the end points: Eq. (2) of BRULÈ (arXiv 2006.11643).

    Args:
        points: ``(B, N, 2)`` in the unit square.
        size: height and width of the map, in pixels.
        sigma: width of a line, in pixels of the map.
        edges: ``(E, 2)`` pairs of indices shared by the batch; by default the ``k``-nearest-neighbour graph of each set,
            each edge once.
        k: neighbours of each point in that graph; the paper has 2.
        normalize: make each map sum to one, as the cross-entropies need it.

    Returns:
        ``(B, 1, size, size)``. Differentiable in ``points`` (once); the choice of the edges carries no gradient.

    Raises:
        BruleError: on points of another shape, a size or a sigma that isn't positive, edges out of range.

    Notes:
        Contributions beyond 6 σ of an edge (below 2e-8) are left out. Against the plain version this saves the work on
        the large empty part of the image, and the memory of all intermediate ``(B, E, H, W)`` tensors.
    """
    segments, active = _segments(points, size, sigma, edges=edges, k=k)
    maps: Tensor = _TiledSkeleton.apply(segments, active, size, sigma)
    return _normalized(maps, normalize)


def skeleton_heatmap_plain(
    points: Tensor, *, size: int, sigma: float, edges: Tensor | None = None, k: int = 2, normalize: bool = True
) -> Tensor:
    """The reference for :func:`skeleton_heatmap`: the same arguments and values, dense, with autograd's gradient."""
    segments, active = _segments(points, size, sigma, edges=edges, k=k)
    start, end = segments[:, :, None, :2], segments[:, :, None, 2:]  # (B, E, 1, 2)
    pixels = _pixel_positions(size, points).view(1, 1, size * size, 2)
    along = end - start
    share = ((pixels - start) * along).sum(-1, keepdim=True) / along.square().sum(-1, keepdim=True).clamp_min(_TINY)
    nearest = start + share.clamp(0, 1) * along  # (B, E, HW, 2)
    lines = torch.exp(-(pixels - nearest).square().sum(-1) / (2 * sigma**2)) * active[..., None]
    return _normalized(lines.sum(1).view(-1, 1, size, size), normalize)


@torch.no_grad()
def nearest_neighbour_edges(points: Tensor, k: int = 2) -> tuple[Tensor, Tensor]:
    """The undirected ``k``-nearest-neighbour graph of each set.

    Args:
        points: ``(B, N, 2)``.
        k: number of neighbours of each point.

    Returns:
        Edges ``(B, N·k, 2)`` from every point to its neighbours, and a mask ``(B, N·k)`` that holds each edge only once:
        of two points that choose each other, the edge counts from the lower index. A single point has one edge ``(B, 1, 2)``,
        to itself: it is drawn as a dot.
    """
    batch, n = points.shape[:2]
    k = min(k, n - 1)
    if k < 1:
        own = int(n == 1)  # from the single point to itself
        return points.new_zeros((batch, own, 2), dtype=torch.long), points.new_ones((batch, own), dtype=torch.bool)
    # Near neighbours lose their digits in the matrix form that cdist takes for larger sets.
    distance = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    distance.diagonal(dim1=1, dim2=2).fill_(math.inf)
    neighbour = distance.topk(k, largest=False).indices  # (B, N, k)
    origin = torch.arange(n, device=points.device)[None, :, None].expand_as(neighbour)
    chosen = torch.zeros_like(distance, dtype=torch.bool).scatter_(2, neighbour, True)
    mutual = chosen & chosen.transpose(1, 2)
    kept = ~mutual.gather(2, neighbour) | (origin < neighbour)
    return torch.stack([origin, neighbour], -1).flatten(1, 2), kept.flatten(1)


class _TiledSkeleton(torch.autograd.Function):
    """``(B, E, 4)`` segments in pixels → ``(B, 1, S, S)``: every edge is drawn on the tiles within its reach alone."""

    @staticmethod
    def forward(ctx: Any, segments: Tensor, active: Tensor, size: int, sigma: float) -> Tensor:
        tile, count = _tiling(size)
        batch = segments.shape[0]
        sample, edge, ty, tx = _tiles_in_reach(segments, active, tile, count=count, reach=_REACH * sigma)
        value, share, rx, ry = _draw(segments[sample, edge], ty, tx, tile=tile, sigma=sigma)
        canvas = segments.new_zeros(batch * count * count, tile * tile)
        target = (sample * count + ty) * count + tx
        canvas.index_add_(0, target, value)
        ctx.save_for_backward(value, share, rx, ry, sample * segments.shape[1] + edge, target)
        ctx.shape, ctx.tile, ctx.count, ctx.size, ctx.sigma = segments.shape, tile, count, size, sigma
        return _untile(canvas, batch, count, tile=tile)[:, None, :size, :size].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        value, share, rx, ry, edge, target = ctx.saved_tensors
        padding = ctx.tile * ctx.count - ctx.size
        tiles = _tile(torch.nn.functional.pad(grad[:, 0], (0, padding, 0, padding)), ctx.count, ctx.tile)
        # ∂v/∂x_i = v (1-τ) r / σ² and ∂v/∂x_j = v τ r / σ², with r from the nearest point of the segment to the pixel.
        pull = tiles[target].mul_(value).div_(ctx.sigma**2)
        pull_end = pull * share
        x, x_end = torch.linalg.vecdot(pull, rx), torch.linalg.vecdot(pull_end, rx)
        y, y_end = torch.linalg.vecdot(pull, ry), torch.linalg.vecdot(pull_end, ry)
        per_tile = torch.stack([x - x_end, y - y_end, x_end, y_end], -1)  # (K, 4)
        out = grad.new_zeros(ctx.shape[0] * ctx.shape[1], 4).index_add_(0, edge, per_tile)
        return out.view(ctx.shape), None, None, None


def _draw(segments: Tensor, ty: Tensor, tx: Tensor, *, tile: int, sigma: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Segments ``(K, 4)`` on one tile each → value, share τ along the segment and offset r, each ``(K, tile²)``."""
    offset = torch.arange(tile, device=segments.device, dtype=segments.dtype)
    px = (tx[:, None] * tile + offset)[:, None, :]  # (K, 1, t)
    py = (ty[:, None] * tile + offset)[:, :, None]  # (K, t, 1)
    x0, y0, x1, y1 = (c[:, None, None] for c in segments.unbind(-1))
    dx, dy = x1 - x0, y1 - y0
    scale = (dx.square() + dy.square()).clamp_min(_TINY).reciprocal()
    share = ((px - x0) * (dx * scale) + (py - y0) * (dy * scale)).clamp_(0, 1)
    rx = torch.addcmul(px - x0, share, dx, value=-1)
    ry = torch.addcmul(py - y0, share, dy, value=-1)
    value = torch.addcmul(rx.square(), ry, ry).mul_(-0.5 / sigma**2).exp_()
    return value.flatten(1), share.flatten(1), rx.flatten(1), ry.flatten(1)


def _tiles_in_reach(
    segments: Tensor, active: Tensor, tile: int, *, count: int, reach: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Indices (sample, edge, tile row, tile column) of the tiles with a pixel that may be nearer than ``reach``."""
    centre = torch.arange(count, device=segments.device, dtype=segments.dtype) * tile + (tile - 1) / 2
    px, py = centre[None, None, None, :], centre[None, None, :, None]
    x0, y0, x1, y1 = (c[..., None, None] for c in segments.unbind(-1))
    dx, dy = x1 - x0, y1 - y0
    share = (((px - x0) * dx + (py - y0) * dy) / (dx.square() + dy.square()).clamp_min(_TINY)).clamp(0, 1)
    squared = (px - x0 - share * dx).square() + (py - y0 - share * dy).square()
    radius = reach + (tile - 1) / 2 * math.sqrt(2)  # from the tile's centre to its corner pixel
    sample, edge, ty, tx = ((squared <= radius**2) & active[..., None, None]).nonzero(as_tuple=True)
    return sample, edge, ty, tx


def _tiling(size: int) -> tuple[int, int]:
    """Tile side and number of tiles per side: about twelve tiles across, the best of 8 … 16 tried at 64 and 256 px."""
    tile = max(4, round(size / 12))
    return tile, -(-size // tile)


def _tile(maps: Tensor, count: int, tile: int) -> Tensor:
    return maps.view(-1, count, tile, count, tile).transpose(2, 3).reshape(-1, tile * tile)


def _untile(canvas: Tensor, batch: int, count: int, *, tile: int) -> Tensor:
    return canvas.view(batch, count, count, tile, tile).transpose(2, 3).reshape(batch, count * tile, count * tile)


def _segments(points: Tensor, size: int, sigma: float, *, edges: Tensor | None, k: int) -> tuple[Tensor, Tensor]:
    """Points in the unit square → segments ``(B, E, 4)`` in pixels of the map, and which of them count ``(B, E)``."""
    check_points(points)
    if size < 1 or not sigma > 0 or k < 1:
        raise BruleError(f"skeleton heatmap: expected size ≥ 1, sigma > 0 and k ≥ 1, got {size=}, {sigma=}, {k=}")
    batch, n = points.shape[:2]
    if edges is None:
        pairs, active = nearest_neighbour_edges(points.detach(), k)
    else:
        inside = edges.numel() == 0 or bool(edges.min() >= 0 and edges.max() < n)
        if edges.is_floating_point() or edges.ndim != 2 or edges.shape[1] != 2 or not inside:
            raise BruleError(f"edges: expected (E, 2) indices in 0 … {n - 1}, got shape {tuple(edges.shape)}")
        pairs = edges.to(points.device)[None].expand(batch, -1, -1)
        active = torch.ones(pairs.shape[:2], dtype=torch.bool, device=points.device)
    pixels = unit_to_pixels(points, image_box(size, size))
    ends = pixels.gather(1, pairs.flatten(1)[..., None].expand(-1, -1, 2))  # (B, 2E, 2)
    return ends.view(batch, -1, 4), active


def _pixel_positions(size: int, like: Tensor) -> Tensor:
    centres = pixel_centres(size, size, device=like.device, dtype=like.dtype)
    return unit_to_pixels(centres, image_box(size, size))


def _normalized(maps: Tensor, normalize: bool) -> Tensor:
    return maps / maps.sum((2, 3), keepdim=True).clamp_min(_TINY) if normalize else maps
