"""The pair of pictures that a step compares: an image, and the same image moved by a random map ``g``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from brule.geometry import ShapePrior, SynchronizedWarp, mirrored
from brule.training.augmentation import augment
from brule.training.config import TrainingConfig
from brule.training.distributed import ALONE, Distributed


@dataclass(frozen=True)
class AugmentedPair:
    """An image ``I``, its moved copy ``gI``, and ``g``.

    Attributes:
        plain: ``I``, ``(B, C, S, S)``; black is -1 and white 1 before colours are changed.
        moved: ``gI``, likewise.
        clean1: ``I`` before its colours are changed: what a decoder is to redraw.
        clean2: ``gI``, likewise.
        warp: the warp in ``g``.
        flipped: ``(B,)``, whether ``g`` mirrors before it warps; ``None`` if none does.
        mirror: the permutation of the indices under mirroring, ``(N,)``.
    """

    plain: Tensor
    moved: Tensor
    clean1: Tensor
    clean2: Tensor
    warp: SynchronizedWarp
    flipped: Tensor | None = None
    mirror: Tensor | None = None

    def move(self, points: Tensor) -> Tensor:
        """``gX`` for landmarks ``(B, N, 2)`` of ``I``, in the unit square."""
        if self.flipped is not None and self.mirror is not None:
            points = torch.where(self.flipped[:, None, None], mirrored(points, self.mirror), points)
        return self.warp.points(points)

    def reorder(self, marks: Tensor) -> Tensor:
        """What is said of the landmarks of ``I``, ``(B, N)``, in the order that they have in ``gI``."""
        if self.flipped is not None and self.mirror is not None:
            marks = torch.where(self.flipped[:, None], marks[:, self.mirror], marks)
        return marks

    def move_back(self, points: Tensor) -> Tensor:
        """``g⁻¹Y`` for landmarks ``(B, N, 2)`` of ``gI``, in the unit square of ``I``; differentiable."""
        points = self.warp.inverse_points(points)
        if self.flipped is not None and self.mirror is not None:
            points = torch.where(self.flipped[:, None, None], mirrored(points, self.mirror), points)
        return points

    def move_heatmap(self, heatmaps: Tensor) -> Tensor:
        """``gL`` for heatmaps ``(B, 1, H, W)`` of ``I``; a heatmap knows no index, so mirroring just turns it over."""
        if self.flipped is not None:
            heatmaps = _flip(heatmaps, self.flipped)
        return self.warp.heatmap(heatmaps)


def draw_augmented_pair(
    images: Tensor,
    config: TrainingConfig,
    *,
    generator: torch.Generator,
    mirror: Tensor | None = None,
    prior: ShapePrior | None = None,
    both: bool = True,
    distributed: Distributed = ALONE,
) -> AugmentedPair:
    """Draw ``g`` for every image and make both views.

    Args:
        images: ``(B, C, W, W)`` in ``[-1, 1]``, ``crop.context`` times as wide as the crop that the encoder sees.
        config: its sections ``crop``, ``warp`` and ``augmentation`` are read.
        generator: the source of all randomness, on the CPU.
        mirror: the index permutation under mirroring; given, half of the images of either view are mirrored.
        prior: where ``warp.bends`` asks for deformations like those of the annotated shapes, they come from here.
        both: whether the plain view is mirrored and recoloured too; else it is ``I`` as it comes.
        distributed: the images are this process's rows of the batch that maps and colours are drawn for.
    """
    device, batch = images.device, len(images) * distributed.count
    warp = distributed.rows(_draw_warp(config, batch, generator, prior)).to(device)
    flipped, first, second = None, images, images
    if mirror is not None:
        of_first, of_second = (distributed.rows(which).to(device) for which in torch.rand(2, batch, generator=generator) < 0.5)
        of_first = of_first & both
        first, second = _flip(images, of_first), _flip(images, of_second)
        flipped = of_first ^ of_second
    size = config.crop.image_size
    clean1 = central_crop(first, config)
    recolour = partial(augment, strength=config.augmentation, generator=generator, distributed=distributed)
    plain = recolour(clean1) if both else clean1
    clean2 = warp.image(second, size=size, context=second.shape[-1] / size)
    moved = recolour(clean2)
    return AugmentedPair(plain, moved, clean1, clean2, warp, flipped, mirror)


@dataclass(frozen=True)
class LabelledBatch:
    """Annotated images, moved and recoloured together with their landmarks.

    Attributes:
        images: ``(B, C, S, S)``.
        points: ``(B, N, 2)`` in the unit square of the images, NaN where a landmark is missing.
    """

    images: Tensor
    points: Tensor


def draw_labelled(
    images: Tensor,
    points: Tensor,
    config: TrainingConfig,
    *,
    generator: torch.Generator,
    mirror: Tensor | None = None,
    prior: ShapePrior | None = None,
    distributed: Distributed = ALONE,
) -> LabelledBatch:
    """Move annotated images by random maps ``g``, as :func:`draw_augmented_pair` does, and their landmarks with them.

    Args:
        images: as for :func:`draw_augmented_pair`.
        points: ``(B, N, 2)`` in the unit square of the crop itself, NaN where a landmark is missing.
        config: likewise.
        generator: likewise.
        mirror: likewise.
        prior: likewise.
        distributed: likewise.
    """
    views = draw_augmented_pair(
        images, config, generator=generator, mirror=mirror, prior=prior, both=False, distributed=distributed
    )
    missing = ~points.isfinite().all(-1, keepdim=True)  # (B, N, 1)
    moved = views.move(points.nan_to_num(0.5))
    if views.flipped is not None and mirror is not None:
        missing = torch.where(views.flipped[:, None, None], missing[:, mirror], missing)
    return LabelledBatch(views.moved, moved.masked_fill(missing, float("nan")))


def central_crop(images: Tensor, config: TrainingConfig) -> Tensor:
    """The crop itself, from images that show ``crop.context`` times as much."""
    size, stored = config.crop.image_size, images.shape[-1]
    if (stored - size) % 2:  # no whole number of pixels on each side
        identity = SynchronizedWarp.identity(len(images)).to(images.device)
        return identity.image(images, size=size, context=stored / size)
    start = (stored - size) // 2
    return images[..., start : start + size, start : start + size]


def _draw_warp(config: TrainingConfig, batch: int, generator: torch.Generator, prior: ShapePrior | None) -> SynchronizedWarp:
    strength = config.warp.model_dump()
    factor = strength.pop("bends")
    bends = prior.sample_field(batch, strength=factor, generator=generator) if prior is not None and factor else None
    return SynchronizedWarp.sample(batch, size=config.crop.image_size, generator=generator, bends=bends, **strength)


def _flip(images: Tensor, which: Tensor) -> Tensor:
    return torch.where(which[:, None, None, None], images.flip(-1), images)
