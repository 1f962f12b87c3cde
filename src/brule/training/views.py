"""Drawing what a step learns from: an image and its moved copy, annotated images moved together with their points."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from brule.geometry import AugmentedPair, ShapeModel, ShapePrior, SynchronizedWarp, flipped_where
from brule.training.augmentation import augment
from brule.training.config import TrainingConfig
from brule.training.distributed import SINGLE, Distributed


def draw_augmented_pair(
    images: Tensor,
    shape_model: ShapeModel,
    config: TrainingConfig,
    *,
    generator: torch.Generator,
    both: bool = True,
    distributed: Distributed = SINGLE,
) -> AugmentedPair:
    """Draw ``g`` for every image and make both views.

    Args:
        images: ``(B, C, W, W)`` in ``[-1, 1]``, ``crop.context`` times as wide as the crop that the encoder sees.
        shape_model: with a mirror permutation, half of the images of either view are mirrored; where ``warp.bends`` asks for
            deformations like those of the annotated shapes, its prior draws them.
        config: its sections ``crop``, ``warp`` and ``augmentation`` are read.
        generator: the source of all randomness, on the CPU.
        both: whether the first view is mirrored and recoloured too; else it is ``I`` unchanged.
        distributed: the images are this process's rows of the batch that maps and colours are drawn for.
    """
    device, batch, mirror = images.device, len(images) * distributed.count, shape_model.mirror
    warp = distributed.rows(draw_warp(config, batch, generator=generator, prior=shape_model.prior)).to(device)
    flipped, first, second = None, images, images
    if mirror is not None:
        of_first, of_second = (distributed.rows(which).to(device) for which in torch.rand(2, batch, generator=generator) < 0.5)
        of_first = of_first & both
        first, second = flipped_where(images, of_first), flipped_where(images, of_second)
        flipped = of_first ^ of_second
    size = config.crop.image_size
    clean1 = central_crop(first, config)
    recolour = partial(augment, strength=config.augmentation, generator=generator, distributed=distributed)
    view1 = recolour(clean1) if both else clean1
    clean2 = warp.image(second, size=size, context=second.shape[-1] / size)
    return AugmentedPair(view1, recolour(clean2), clean1, clean2, warp, flipped, mirror)


def draw_moved(
    images: Tensor, config: TrainingConfig, *, generator: torch.Generator, distributed: Distributed = SINGLE
) -> Tensor:
    """Images ``(B, C, W, W)``, each rotated, scaled and shifted at random with the strengths of ``warp``, for ``warp.both``.

    Args:
        images: ``crop.context`` times as wide as the crop that the encoder sees, and so is the result.
        config: its sections ``crop`` and ``warp`` are read.
        generator: the source of all randomness, on the CPU.
        distributed: the images are this process's rows of the batch that maps are drawn for.
    """
    warp, stored = config.warp, images.shape[-1]
    maps = SynchronizedWarp.sample(
        len(images) * distributed.count, size=stored, generator=generator, rotation=warp.rotation, scale=warp.scale,
        translation=warp.translation * config.crop.image_size / stored, elastic=0.0,
    )  # fmt: skip
    return distributed.rows(maps).to(images.device).image(images)


def draw_labelled(
    images: Tensor,
    points: Tensor,
    shape_model: ShapeModel,
    *,
    config: TrainingConfig,
    generator: torch.Generator,
    distributed: Distributed = SINGLE,
) -> tuple[Tensor, Tensor]:
    """Move annotated images by random maps ``g``, as :func:`draw_augmented_pair` does, and their landmarks with them.

    Args:
        images: ``(B, C, W, W)``, as for :func:`draw_augmented_pair`.
        points: ``(B, N, 2)`` in the unit square of the crop itself, NaN where a landmark is missing.
        shape_model: as for :func:`draw_augmented_pair`.
        config: as for :func:`draw_augmented_pair`.
        generator: as for :func:`draw_augmented_pair`.
        distributed: as for :func:`draw_augmented_pair`.

    Returns:
        Images ``(B, C, S, S)``, and points ``(B, N, 2)`` in their unit square, NaN where a landmark is missing.
    """
    views = draw_augmented_pair(images, shape_model, config, generator=generator, both=False, distributed=distributed)
    missing = ~points.isfinite().all(-1, keepdim=True)  # (B, N, 1)
    moved = views.move(points.nan_to_num(0.5))
    if views.flipped is not None and views.mirror is not None:
        missing = torch.where(views.flipped[:, None, None], missing[:, views.mirror], missing)
    return views.view2, moved.masked_fill(missing, float("nan"))


def central_crop(images: Tensor, config: TrainingConfig) -> Tensor:
    """The crop itself, from images that show ``crop.context`` times as much."""
    size, stored = config.crop.image_size, images.shape[-1]
    if (stored - size) % 2:  # no whole number of pixels on each side
        identity = SynchronizedWarp.identity(len(images)).to(images.device)
        return identity.image(images, size=size, context=stored / size)
    start = (stored - size) // 2
    return images[..., start : start + size, start : start + size]


def draw_warp(config: TrainingConfig, batch: int, *, generator: torch.Generator, prior: ShapePrior | None) -> SynchronizedWarp:
    """Random maps ``g`` of the section ``warp``, on the CPU."""
    strengths, factor = config.warp.strengths(), config.warp.bends
    bends = prior.sample_field(batch, strength=factor, generator=generator) if prior is not None and factor else None
    return SynchronizedWarp.sample(batch, size=config.crop.image_size, generator=generator, bends=bends, **strengths)
