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
    """The encoder in the barycenter's order, copied to the CPU in a form that can be exported."""

    order: Tensor

    def __init__(self, model: BruleModel) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(model.encoder).cpu().float().eval()
        self.register_buffer("order", model.order.detach().cpu().clone())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Crops ``(B, C, S, S)`` in ``[-1, 1]`` → points ``(B, N, 2)`` and spread ``(B, N)`` in the unit square."""
        output = self.encoder(images)
        return output.points[:, self.order], output.spread[:, self.order]


def cut(image: Tensor, corner: Tensor, side: Tensor, *, size: int) -> Tensor:
    """Cut a square out of an image and bring it to ``size × size``, antialiased by Lanczos' filter as Pillow does it.

    Args:
        image: ``(H, W, C)`` bytes; beside it its edge is repeated.
        corner: ``(2,)``, the square's upper left corner counted from the image's corner, in pixels.
        side: of the square, in pixels.
        size: of the result.

    Returns:
        ``(size, size, C)`` from 0 to 255, whole numbers: rounded after each axis, as Pillow does.
    """
    across, columns = _resampling(corner[0], side, image.shape[1], size=size)
    down, rows = _resampling(corner[1], side, image.shape[0], size=size)
    part = image[rows][:, columns].float()
    squeezed = torch.einsum("sx,yxc->ysc", across, part).clamp(0, 255).round()
    return torch.einsum("sy,yxc->sxc", down, squeezed).clamp(0, 255).round()


def _resampling(start: Tensor, side: Tensor, length: int, *, size: int) -> tuple[Tensor, Tensor]:
    """Along one axis: weights ``(size, K)`` of the ``K`` pixels that matter, and which pixels these are."""
    step = side / size
    width = step.clamp_min(1.0)  # of the filter: it is stretched where the image shrinks
    first = torch.floor(start - _LOBES * width)
    count: Any = (torch.ceil(start + side + _LOBES * width) - first).to(torch.int64).item()  # open in an export
    torch._check(count >= 1)  # a box has a side; the export can't know
    pixels = first + torch.arange(count)
    centres = start + (torch.arange(size) + 0.5) * step
    away = (pixels + 0.5 - centres[:, None]) / width
    weights = torch.sinc(away) * torch.sinc(away / _LOBES) * (away.abs() < _LOBES)
    return weights / weights.sum(1, keepdim=True), pixels.to(torch.int64).clamp(0, length - 1)
