"""What a detector is given, in any of its forms: images, shapes, annotated images."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from brule import data  # the readers of annotation files are imported when files are given
from brule.data import CROP_SCALE, BadFiles, Box, CropCache, SampleList, build_cache, cache_from_arrays, turn_about
from brule.data.names import samples_in_order
from brule.detector.items import as_boxes, in_memory, kept_in_memory, recognised, samples_of
from brule.detector.progress import Progress
from brule.errors import BruleError, DataError
from brule.geometry import complete_shapes

if TYPE_CHECKING:
    from brule.data import Shapes
    from brule.training.batches import LabelledImages
    from brule.training.sections import Crop

_WHOLE_SHAPES = 10  # of annotated images: with this many complete ones, those that lack points aren't needed


@dataclass(frozen=True)
class Annotated:
    """Annotated images, as they were given.

    Attributes:
        images: samples with points, or images in memory.
        points: of images in memory, pixels; ``None`` where the samples hold them.
        bad: files that were left out.
        angles: of images in memory: by how many degrees each object is turned; ``None``: not at all.
    """

    images: Any
    points: list[np.ndarray] | None
    bad: BadFiles
    angles: Sequence[float] | None = None

    @property
    def sources(self) -> list[Any]:
        """The images as a locator takes them: paths, or the images themselves."""
        return [sample.path for sample in self.images] if self.points is None else list(self.images)

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the landmarks, where the annotations have them."""
        return self.images.layout.names if isinstance(self.images, SampleList) else None

    def in_order(self, names: tuple[str, ...] | None) -> Annotated:
        """The same with the landmarks in the order of these names.

        Raises:
            DataError: names don't match.
        """
        if not isinstance(self.images, SampleList):
            return self
        return replace(self, images=samples_in_order(self.images, names, reference="the shapes"))

    def landmark_sets(self) -> list[tuple[str, np.ndarray, Box | None]]:
        """Names, landmarks ``(N, 2)`` in pixels (turned objects: turned upright), and the object's box if it is annotated."""
        if self.points is not None:
            angles = [0.0] * len(self.points) if self.angles is None else self.angles
            turned = [turn_about(own, (0.0, 0.0), -angle) for own, angle in zip(self.points, angles, strict=True)]
            return [(f"image {index}", points, None) for index, points in enumerate(turned)]
        return [(one.name, one.in_frame(one.points, (0.0, 0.0)), one.box) for one in self.images if one.points is not None]


def as_annotated(labelled: Any, skip_bad: bool) -> Annotated:
    """Annotated images in any of their forms.

    Raises:
        DataError: if there are none, or one lacks its landmarks.
    """
    pair = isinstance(labelled, tuple) and len(labelled) == 2 and not isinstance(labelled[0], (str, Path))
    if pair:
        images, points = labelled
        if not in_memory(images) or len(images) != len(points):
            raise DataError(
                f"labelled: expected (images, points), one (N, 2) array for each image, got {len(images)} images and "
                f"{len(points)} sets of points"
            )
        sets = [_as_points(one, f"labelled: the points of image {index}") for index, one in enumerate(points)]
        for index, one in enumerate(sets):
            if one.ndim != 2 or one.shape[1] != 2 or one.shape != sets[0].shape:
                raise DataError(f"labelled: expected {sets[0].shape} points each, those of image {index} are {one.shape}")
        return Annotated(kept_in_memory(images), sets, BadFiles())
    if not isinstance(labelled, SampleList) and in_memory(labelled):
        raise DataError("labelled: expected a folder, files, or a pair (images, points), got images without points")
    samples: SampleList = recognised(labelled)[1]
    if not isinstance(samples, SampleList):
        samples = data.read_samples(samples, require_points=True, skip_bad=skip_bad)
    without = next((sample.path for sample in samples if sample.points is None), None)
    if without is not None or not samples:
        raise DataError(f"{without or 'labelled'}: expected an annotated image, found no landmarks; put them beside the image")
    return Annotated(samples, None, samples.bad)


def shapes_of(annotated: Annotated, scale: float) -> Shapes:
    """The shapes that annotated images show: the whole ones if there are ten, else all with at least three landmarks.

    Raises:
        DataError: if no image has three landmarks, or all of a smaller set.
    """
    named = annotated.landmark_sets()
    present = [int(np.isfinite(points).all(axis=1).sum()) for _, points, _ in named]
    chosen = [own for own, count in zip(named, present, strict=True) if count == len(own[1])]
    if len(chosen) < _WHOLE_SHAPES:
        usable = [count >= min(data.MIN_SHAPE_POINTS, len(own[1])) for own, count in zip(named, present, strict=True)]
        chosen = [own for own, enough in zip(named, usable, strict=True) if enough]
    if not chosen:
        raise DataError(f"labelled: no image has {data.MIN_SHAPE_POINTS} landmarks, so none shows a shape; give shapes")
    crops = [data.to_crop(points, scale=scale, box=box) for _, points, box in chosen]
    placed = frozenset(number for number, (_, _, box) in enumerate(chosen) if box is not None)
    edges = annotated.images.layout.edges if isinstance(annotated.images, SampleList) else ()
    return data.Shapes(crops, [name for name, _, _ in chosen], edges=edges, placed=placed, landmarks=annotated.names)


@dataclass(frozen=True, eq=False)
class ReadyShapes:
    """Annotated shapes as the barycenter and the statistics take them, each in the unit square of its crop.

    Attributes:
        sets: ``(N_i, 2)`` float64 each, NaN where a point is missing: the barycenter leaves it out.
        whole: ``(K, N, 2)`` float64, missing points completed; ``None`` if the shapes' numbers of points differ.
    """

    sets: list[Tensor]
    whole: Tensor | None


def ready_shapes(shapes: Shapes, *, scale: float = CROP_SCALE) -> ReadyShapes:
    """Complete shapes that lack points, and cut each to the crop that it then has.

    Args:
        shapes: as they were read. Where their numbers of points differ, nothing says which belong together: missing points
            are left out and never completed.
        scale: the crop rule's side over the longer side of the landmark box.

    Raises:
        DataError: a shape of a single point, a point that no shape has, or shapes that can't be completed
            (:func:`brule.geometry.complete_shapes`).
    """
    sets = [torch.from_numpy(np.asarray(points, dtype=np.float64)) for points in shapes.points]
    if any(len(own) < 2 for own in sets):
        raise DataError(
            "shapes: expected two landmarks or more, got one; a single point shows neither the size of the object nor its crop"
        )
    missing = shapes.missing
    if shapes.n_points is None:
        return ReadyShapes(sets, None)
    if not any(missing):
        return ReadyShapes(sets, torch.stack(sets))
    try:
        filled = complete_shapes(sets)
    except BruleError as error:
        raise DataError(str(error)) from None
    for k in np.flatnonzero(missing):
        gaps = torch.isnan(sets[k])
        if k not in shapes.placed:
            filled[k] = torch.from_numpy(data.to_crop(filled[k].numpy(), scale=scale))
        sets[k] = filled[k].masked_fill(gaps, torch.nan)
    return ReadyShapes(sets, filled)


@dataclass(frozen=True)
class Unlabelled:
    """Unlabelled images, as they were given.

    Attributes:
        images: samples, or images in memory.
        boxes: of images in memory: one for each, ``None`` where unknown; ``None`` where the samples hold them.
        angles: of images in memory: by how many degrees each object is turned; ``None``: not at all.
    """

    images: Any
    boxes: Sequence[Box | None] | None = None
    angles: Sequence[float] | None = None

    @classmethod
    def of(cls, images: Any, boxes: Any, *, skip_bad: bool) -> Unlabelled:
        """Those of :meth:`LandmarkDetector.fit`.

        Raises:
            ConfigError: boxes are given beside a folder or a glob.
            DataError: there isn't one for each image, or the images are none.
        """
        memory = in_memory(images)
        kind, given = recognised(images)
        known = None if boxes is None else list(as_boxes(boxes, single=len(given) == 1))
        if known is not None and len(known) != len(given):
            raise DataError(f"boxes: expected one for each of {len(given)} images, got {len(known)}; None where unknown")
        if memory:
            return cls(kept_in_memory(given), [None] * len(given) if known is None else known)
        return cls(given if kind == "samples" and known is None else samples_of(given, known, BadFiles(skip=skip_bad)))

    @property
    def boxless(self) -> np.ndarray:
        """Indices of the images without a box."""
        known = [sample.crop() for sample in self.images] if self.boxes is None else self.boxes
        return np.array([k for k, box in enumerate(known) if box is None], dtype=np.int64)

    @property
    def sources(self) -> list[Any]:
        """The images as a locator takes them: paths, or the images themselves."""
        return [sample.path for sample in self.images] if self.boxes is None else list(self.images)

    def boxed(self, found: Mapping[int, tuple[Box, float]], dropped: Container[int]) -> Unlabelled:
        """With boxes and angles for some of the images, by index, and without others."""
        kept = [k for k in range(len(self.images)) if k not in dropped]
        if self.boxes is not None:
            known = [found.get(k, (self.boxes[k], 0.0)) for k in kept]
            return Unlabelled([self.images[k] for k in kept], [box for box, _ in known], [angle for _, angle in known])
        placed = {k: replace(self.images[k], box=box, angle=angle) for k, (box, angle) in found.items()}
        return Unlabelled(self.images.replaced(placed.get(k, self.images[k]) for k in kept))


def unlabelled_crops(unlabelled: Unlabelled, crop: Crop, *, skip_bad: bool, progress: Progress | None) -> CropCache:
    """Crops of unlabelled images for training, ``crop.context`` times as wide as the encoder's input.

    Args:
        unlabelled: with the boxes that are known.
        crop: the settings.
        skip_bad: leave bad files out.
        progress: called while files are decoded.
    """
    size, context = _stored(crop)
    images = unlabelled.images
    if unlabelled.boxes is not None:
        return cache_from_arrays(
            images, unlabelled.boxes, size=size, scale=crop.scale, context=context, angles=unlabelled.angles
        )  # fmt: skip
    # Labels give the box for the crop and are dropped here: nothing behind this line can see them.
    stripped = images.unlabelled()
    cache = build_cache(stripped, size, scale=crop.scale, context=context, skip_bad=skip_bad, progress=progress)
    return replace(cache, bad=BadFiles([*images.bad, *cache.bad], skip=skip_bad))


def labelled_crops(annotated: Annotated, crop: Crop, *, skip_bad: bool, progress: Progress | None) -> CropCache:
    """The same of annotated images; ``points`` of the result lie in the unit square of the crop without its context."""
    size, context = _stored(crop)
    scale = crop.scale
    cache = (
        cache_from_arrays(
            annotated.images, None, annotated.points, size=size, scale=scale, context=context, angles=annotated.angles
        )
        if annotated.points is not None
        else build_cache(annotated.images, size, scale=scale, context=context, skip_bad=skip_bad, progress=progress)
    )
    assert cache.points is not None
    return replace(cache, points=(cache.points - 0.5) * context + 0.5)


def as_labels(cache: CropCache, landmarks: int) -> LabelledImages:
    """Crops of annotated images as training takes them.

    Raises:
        DataError: they have another number of landmarks than the shapes.
    """
    from brule.training.batches import LabelledImages

    points = torch.from_numpy(np.asarray(cache.points)).float()
    if points.shape[1] != landmarks:
        raise DataError(
            f"labelled: expected {landmarks} landmarks per image, as many as the shapes have, got {points.shape[1]}"
        )
    return LabelledImages(cache.images, points)


def _stored(crop: Crop) -> tuple[int, float]:
    """Side of the stored crops, and how many crops they show across: a whole number of pixels, the same everywhere."""
    size = round(crop.image_size * crop.context)
    return size, size / crop.image_size


def as_shapes(shapes: Any, scale: float, skip_bad: bool) -> Shapes:
    """Annotated shapes in any of their forms.

    Raises:
        DataError: if there are none, or they are nothing of the kind.
    """
    known = isinstance(shapes, (str, Path, data.Shapes, np.ndarray, Tensor, list, tuple))
    if not known or (not isinstance(shapes, (str, Path)) and len(shapes) == 0):
        raise DataError(
            "shapes: expected about ten annotated shapes (.pts files, a folder, a JSON file, or a list of (N, 2) arrays), got "
            f"{'none' if shapes is None or known else type(shapes).__name__}"
        )
    if isinstance(shapes, data.Shapes):
        return shapes
    if isinstance(shapes, (str, Path)) or isinstance(shapes[0], (str, Path)):
        return data.read_shapes(shapes, scale=scale, skip_bad=skip_bad)
    return _shapes_from_arrays([_as_points(points, f"shapes: shape {index}") for index, points in enumerate(shapes)], scale)


def _as_points(points: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{what}: expected numbers, (N, 2), got something else ({error})") from None


def _shapes_from_arrays(arrays: list[np.ndarray], scale: float) -> Shapes:
    for index, points in enumerate(arrays):
        if points.ndim != 2 or points.shape[1] != 2:
            raise DataError(f"shapes: expected (N, 2) points each, shape {index} is {points.shape}; put a single one in a list")
        if np.isinf(points).any():
            raise DataError(f"shapes: shape {index} holds infinity; a missing point is NaN")
        present = int(np.isfinite(points).all(axis=1).sum())
        if present < min(data.MIN_SHAPE_POINTS, len(points)):
            raise DataError(
                f"shapes: shape {index} has {present} of its {len(points)} points; expected at least {data.MIN_SHAPE_POINTS}"
            )
    return data.Shapes([data.to_crop(points, scale=scale) for points in arrays], [f"shape {i}" for i in range(len(arrays))])
