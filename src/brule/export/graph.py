"""What is exported: the encoder with everything before and after it, as modules that ``torch.export`` can follow.

The numbers of images and of pixels stay open. Pillow's resampling is written as two matrix products, because ONNX has no
operator that cuts out a box given as a value and antialiases it as Pillow does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from brule.coordinates import from_corner, to_corner
from brule.model import BruleModel
from brule.tensors import to_input

Find = Callable[[Tensor], tuple[Tensor, Tensor]]  # (B, C, S, S) in [-1, 1] → points (B, N, 2), spread (B, N)

_LOBES = 3  # of Lanczos' window, as Pillow has it
BLOCKS = 4  # pixels of the result's size, at least, that are left after averaging blocks, as in cut_square
EDGE = 2  # pixels: as far beside the square the image's edge is repeated, as in cut_square


class CropDetector(nn.Module):
    """Crops in, landmarks out.

    Args:
        find: from the network's input to landmarks in the unit square, in the barycenter's order.
    """

    def __init__(self, find: Find) -> None:
        super().__init__()
        self.find = find

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Bytes ``(B, S, S, 3)`` → points ``(B, N, 2)`` and spread ``(B, N)`` in the unit square of each crop."""
        return self.find(to_input(images))


class ImageDetector(nn.Module):
    """An image of any size and the box of the object in, landmarks in its pixels out.

    Args:
        find: as for :class:`CropDetector`.
        size: side of the detector's crops, in pixels.
        scale: side of a crop over the longer side of the box.
    """

    def __init__(self, find: Find, *, size: int, scale: float) -> None:
        super().__init__()
        self.find, self.size, self.scale = find, size, scale

    def forward(self, image: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        """Find the landmarks of one object.

        Args:
            image: ``(H, W, 3)`` bytes.
            box: ``(4,)`` float32, ``(left, top, right, bottom)`` of the object in pixels, before the margin of the crop
                rule; one without area means the whole image.

        Returns:
            Points ``(N, 2)`` and spread ``(N,)``, in pixels of the image.
        """
        corner, side = self.crop(image, box)
        shown = cut(image, corner, side, size=self.size) / 127.5 - 1
        points, spread = self.find(shown.permute(2, 0, 1)[None])
        return from_corner(corner + points[0] * side), spread[0] * side

    def crop(self, image: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        """The square that is cut out: its upper left corner ``(2,)``, counted from the image's corner, and its side."""
        # float() would fix the sizes at those of the example.
        whole = torch.stack([torch.full((), 1.0 * image.shape[1]), torch.full((), 1.0 * image.shape[0])])
        given = to_corner(box.view(2, 2))
        known = (box[2:] > box[:2]).all()
        start, end = torch.where(known, given[0], torch.zeros(2)), torch.where(known, given[1], whole)
        # All of an image of which nothing is known is shown, as in prediction; the crop rule's margin is for boxes.
        side = (end - start).amax(0) * torch.where(known, self.scale, 1.0)
        return (start + end) / 2 - side / 2, side


class Finder(nn.Module):
    """The encoder in the barycenter's order and what ends a prediction, copied to the CPU in a form that can be exported."""

    order: Tensor

    def __init__(self, model: BruleModel) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(model.encoder).cpu().float().eval()
        self.register_buffer("order", model.order.detach().cpu().clone())
        self.final = copy.deepcopy(model.final).cpu() if model.final is not None else None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Crops ``(B, C, S, S)`` in ``[-1, 1]`` → points ``(B, N, 2)`` and spread ``(B, N)`` in the unit square."""
        output = self.encoder(images)
        points, spread = output.points[:, self.order], output.spread[:, self.order]
        return points if self.final is None else self.final(points, images), spread


def cut(image: Tensor, corner: Tensor, side: Tensor, *, size: int) -> Tensor:
    """Cut a square out of an image and bring it to ``size × size``, antialiased as :func:`brule.data.cutting.cut_square` does.

    Blocks of pixels are averaged first where the square is much larger than the result, then Lanczos' filter is applied.

    Args:
        image: ``(H, W, C)`` bytes; beside it its edge is repeated.
        corner: ``(2,)``, the square's upper left corner counted from the image's corner, in pixels.
        side: of the square, in pixels.
        size: of the result.

    Returns:
        ``(size, size, C)`` from 0 to 255, whole numbers: rounded after the averaging and after each axis, as Pillow does.
    """
    block: Any = torch.floor(side / (BLOCKS * size)).clamp_min(1.0).to(torch.int64).item()  # open in an export
    torch._check(block >= 1)
    corner, side = corner / block, side / block
    height, width = ((length + block - 1) // block for length in image.shape[:2])  # ONNX divides towards zero
    # The filter sees nothing beyond the image, or beyond its repeated edge where the square reaches outside.
    outside = ((corner < 0) | (corner + side > torch.stack([torch.full((), 1.0 * width), torch.full((), 1.0 * height)]))).any()
    across, columns = _resampling(corner[0], side, width, size=size, outside=outside)
    down, rows = _resampling(corner[1], side, height, size=size, outside=outside)
    averaged = _block_means(image, rows, columns, block=block)
    squeezed = _rounded(torch.einsum("sx,yxc->ysc", across, averaged))
    return _rounded(torch.einsum("sy,yxc->sxc", down, squeezed))


def _block_means(image: Tensor, rows: Tensor, columns: Tensor, *, block: int) -> Tensor:
    """Means ``(R, K, C)`` of blocks of pixels, for the given rows and columns of blocks; the last block may be smaller."""
    inside = torch.arange(block)
    y, x = rows[:, None] * block + inside, columns[:, None] * block + inside
    down, across = (y < image.shape[0]).float(), (x < image.shape[1]).float()
    part = image[y.clamp(max=image.shape[0] - 1).reshape(-1)][:, x.clamp(max=image.shape[1] - 1).reshape(-1)].float()
    part = part.view(y.shape[0], block, x.shape[0], block, image.shape[2])  # (R, block, K, block, C)
    total = torch.einsum("ri,rikjc,kj->rkc", down, part, across).to(torch.int64)
    count = (down.sum(1)[:, None, None] * across.sum(1)[:, None]).to(torch.int64)
    # Pillow multiplies by an inverse of 24 bits, which rounds a little less often up than a division does.
    return (((total + count // 2) * (torch.full_like(count, 2**24) // count)) // 2**24).float()


def _rounded(grey: Tensor) -> Tensor:
    return torch.floor(grey.clamp(0, 255) + 0.5)


def _resampling(start: Tensor, side: Tensor, length: int, *, size: int, outside: Tensor) -> tuple[Tensor, Tensor]:
    """Along one axis: weights ``(size, K)`` of the ``K`` pixels that matter, and which pixels these are."""
    step = side / size
    width = step.clamp_min(1.0)  # of the filter: it is stretched where the image shrinks
    first = torch.floor(start - _LOBES * width)
    count: Any = (torch.ceil(start + side + _LOBES * width) - first).to(torch.int64).item()  # open in an export
    torch._check(count >= 1)  # a box has a side; the export can't know
    pixels = first + torch.arange(count)
    centres = start + (torch.arange(size) + 0.5) * step
    away = (pixels + 0.5 - centres[:, None]) / width
    low = torch.where(outside, torch.floor(start) - EDGE, torch.zeros(()))
    high = torch.where(outside, torch.ceil(start + side) + EDGE, torch.full((), 1.0 * length))
    inside = (away.abs() < _LOBES) & (pixels >= low) & (pixels < high)
    weights = torch.sinc(away) * torch.sinc(away / _LOBES) * inside
    return weights / weights.sum(1, keepdim=True), pixels.to(torch.int64).clamp(0, length - 1)
