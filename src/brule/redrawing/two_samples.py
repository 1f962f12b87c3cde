"""How similar two sets of images are, by their patches: without a trained network, and without downloads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from brule.errors import DataError
from brule.redrawing.similarity import check_images, to_unit

PATCH = 7  # pixels, at every level
MIN_LEVEL_SIDE = 16  # side of the pyramid's last level
PATCHES_PER_IMAGE = 128
MAX_PATCHES = 2**16  # of a set and a level: what is sorted, once for each direction
DIRECTIONS = 128
THOUSANDTHS = 1000.0


@dataclass(frozen=True)
class PatchDistance:
    """The distance of two sets of images.

    Attributes:
        mean: over the levels, in thousandths of the first set's standard deviation.
        levels: side in pixels → distance at that level; the largest side holds the finest detail.
    """

    mean: float
    levels: dict[int, float]


def patch_distance(real: ArrayLike, other: ArrayLike, *, seed: int = 0) -> PatchDistance:
    """Sliced Wasserstein distance between the patches of two sets of images (Karras et al. 2018, §5).

    Every image becomes a Laplacian pyramid down to 16 × 16; from every level of it, up to 128 patches of 7 × 7 pixels are
    taken; the distance of a level is :func:`sliced_wasserstein` between the patches of the two sets, in all channels.

    Args:
        real: ``(B, S, S, C)`` or ``(B, S, S)``, uint8, S a power of two from 8 on.
        other: as many images of that size.
        seed: of places and directions.

    Returns:
        The distance, 0 for the same set. It falls with the number of images even where the two sets are of one kind, so
        it says something beside that of two real sets of the same size only.

    Raises:
        DataError: if the sets don't fit each other, or can't be halved down to 16 pixels.

    Notes:
        Patches are standardised, channel by channel, with mean and standard deviation *of the real ones*; the paper's
        authors use those of each set, which would forgive a loss of contrast. Both sets are cut at the same places.
    """
    first, second = check_images(real, other)
    generator = torch.Generator().manual_seed(seed)
    levels: dict[int, float] = {}
    pyramids = [laplacian_pyramid(to_unit(images).float(), MIN_LEVEL_SIDE) for images in (first, second)]
    for x, y in zip(*pyramids, strict=True):
        places = _places(len(x), x.shape[-1], generator)
        a, b = _patches(x, places), _patches(y, places)  # (P, C, 49)
        mean, deviation = a.mean((0, 2), keepdim=True), a.std((0, 2), correction=0, keepdim=True)
        a, b = (((patches - mean) / deviation.clamp(min=1e-6)).flatten(1) for patches in (a, b))
        directions = F.normalize(torch.randn(DIRECTIONS, a.shape[1], generator=generator), dim=1)
        levels[x.shape[-1]] = THOUSANDTHS * float(sliced_wasserstein(a, b, directions))
    return PatchDistance(sum(levels.values()) / len(levels), levels)


def sliced_wasserstein(x: Tensor, y: Tensor, directions: Tensor) -> Tensor:
    """The mean over directions of the W₁ distance between the two sets' projections.

    Args:
        x: ``(P, D)`` points.
        y: ``(P, D)``, as many.
        directions: ``(K, D)``, unit vectors.

    Returns:
        A scalar; for ``y = x + t`` it is the mean of ``|⟨t, θ⟩|`` over the directions θ.
    """
    costs = [
        ((x @ part.T).sort(dim=0).values - (y @ part.T).sort(dim=0).values).abs().mean(0)  # (k,)
        for part in directions.split(16)
    ]
    return torch.cat(costs).mean()


def laplacian_pyramid(images: Tensor, smallest: int) -> list[Tensor]:
    """What is lost at each halving, largest first, and the smallest image at the end.

    Args:
        images: ``(B, C, S, S)``.
        smallest: side of the last level; images below twice that size have one level.

    Returns:
        ``(B, C, S, S)``, ``(B, C, S/2, S/2)``, …: the images are the sum of all levels brought up to their size.

    Raises:
        DataError: if the images aren't square, or smaller than a patch, or can't be halved.
    """
    side = images.shape[-1]
    levels = []
    while images.shape[-1] >= 2 * smallest and images.shape[-1] % 2 == 0:
        smaller = _halved(images)
        levels.append(images - _doubled(smaller))
        images = smaller
    if images.shape[-1] != images.shape[-2] or not PATCH <= images.shape[-1] < 2 * smallest:
        raise DataError(f"patches: expected square images of 8, 16, 32, … pixels, got {images.shape[-2]} × {side}")
    return [*levels, images]


def _halved(images: Tensor) -> Tensor:
    """Blurred with the binomial window (1, 4, 6, 4, 1)² / 256, every second pixel kept."""
    return _blurred(images)[..., ::2, ::2]


def _doubled(images: Tensor) -> Tensor:
    """Zeros between the pixels, then the same window, four times as high."""
    wide = images.new_zeros(*images.shape[:2], 2 * images.shape[2], 2 * images.shape[3])
    wide[..., ::2, ::2] = images
    return 4 * _blurred(wide)


def _blurred(images: Tensor) -> Tensor:
    weights = images.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    padded = F.pad(images, (2, 2, 2, 2), mode="reflect").flatten(0, 1)[:, None]  # (B·C, 1, H + 4, W + 4)
    blurred = F.conv2d(F.conv2d(padded, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))
    return blurred[:, 0].unflatten(0, images.shape[:2])


def _places(count: int, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Which image, which row and which column each patch starts at, ``(P,)`` each."""
    each = max(1, min(PATCHES_PER_IMAGE, MAX_PATCHES // count))
    image = torch.arange(count).repeat_interleave(each)
    row, column = torch.randint(side - PATCH + 1, (2, len(image)), generator=generator)
    return image, row, column


def _patches(images: Tensor, places: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """``(B, C, S, S)`` → ``(P, C, 49)``."""
    image, row, column = places
    window = torch.arange(PATCH)
    rows = (row[:, None, None] + window[:, None]).expand(-1, PATCH, PATCH)
    columns = (column[:, None, None] + window).expand(-1, PATCH, PATCH)
    cut = images.permute(0, 2, 3, 1)[image[:, None, None], rows, columns]  # (P, 7, 7, C)
    return cut.flatten(1, 2).transpose(1, 2)
