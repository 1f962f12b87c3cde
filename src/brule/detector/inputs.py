"""What a detector is given, in any of its forms: images, shapes, annotated images."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice, repeat, zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from brule.data import (
    CROP_SCALE,
    BadFiles,
    Box,
    CropCache,
    Sample,
    SampleList,
    Shapes,
    build_cache,
    cache_from_arrays,
    read_samples,
    read_shapes,
)
from brule.data.cutting import Picture
from brule.data.images import as_image, load_picture
from brule.data.names import samples_in_order
from brule.data.shapes import MIN_POINTS, to_crop
from brule.errors import BruleError, ConfigError, DataError
from brule.geometry import complete_shapes
from brule.training.sections import Crop

Progress = Callable[[int, int], object]

_MOST_PIXELS = 50_000_000  # decoded at a time: bounds the memory that prediction takes
_WHOLE_SHAPES = 10  # of annotated images: so many whole ones, and those that lack points aren't needed


@dataclass(frozen=True)
class Annotated:
    """Annotated images, as they were given.

    Attributes:
        images: samples with points, or images in memory.
        points: of images in memory, pixels; ``None`` where the samples hold them.
        bad: files that were left out.
    """

    images: Any
    points: list[np.ndarray] | None
    bad: BadFiles

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
        """Names, landmarks ``(N, 2)`` in pixels, and the object's box where the annotation has one."""
        if self.points is not None:
            return [(f"image {index}", points, None) for index, points in enumerate(self.points)]
        return [(sample.name, sample.points, sample.box) for sample in self.images if sample.points is not None]


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
        sets = [np.asarray(one, dtype=np.float64) for one in points]
        for index, one in enumerate(sets):
            if one.ndim != 2 or one.shape[1] != 2 or one.shape != sets[0].shape:
                raise DataError(f"labelled: expected {sets[0].shape} points each, those of image {index} are {one.shape}")
        return Annotated(images, sets, BadFiles())
    if not isinstance(labelled, SampleList) and in_memory(labelled):
        raise DataError("labelled: expected a folder, files, or a pair (images, points), got images without points")
    samples = labelled if isinstance(labelled, SampleList) else read_samples(labelled, require_points=True, skip_bad=skip_bad)
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
        usable = [count >= min(MIN_POINTS, len(own[1])) for own, count in zip(named, present, strict=True)]
        chosen = [own for own, enough in zip(named, usable, strict=True) if enough]
    if not chosen:
        raise DataError(f"labelled: no image has {MIN_POINTS} landmarks, so none shows a shape; give shapes")
    crops = [to_crop(points, scale=scale, box=box) for _, points, box in chosen]
    placed = frozenset(number for number, (_, _, box) in enumerate(chosen) if box is not None)
    edges = annotated.images.layout.edges if isinstance(annotated.images, SampleList) else ()
    return Shapes(crops, [name for name, _, _ in chosen], edges=edges, placed=placed, landmarks=annotated.names)


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
        DataError: a point that no shape has, or shapes that can't be completed (:func:`brule.geometry.complete_shapes`).
    """
    sets = [torch.from_numpy(np.asarray(points, dtype=np.float64)) for points in shapes.points]
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
            filled[k] = torch.from_numpy(to_crop(filled[k].numpy(), scale=scale))
        sets[k] = filled[k].masked_fill(gaps, torch.nan)
    return ReadyShapes(sets, filled)


@dataclass(frozen=True)
class Unlabelled:
    """Unlabelled images, as they were given.

    Attributes:
        images: samples, or images in memory.
        boxes: of images in memory: one for each, ``None`` where unknown; ``None`` where the samples hold them.
    """

    images: Any
    boxes: Sequence[Box | None] | None = None

    @classmethod
    def of(cls, images: Any, boxes: Any, *, skip_bad: bool) -> Unlabelled:
        """Those of :meth:`LandmarkDetector.fit`.

        Raises:
            ConfigError: boxes are given of files.
            DataError: there isn't one for each image, or the images are none.
        """
        if in_memory(images):
            if boxes is not None and len(boxes) != len(images):
                raise DataError(f"boxes: expected one for each of {len(images)} images, got {len(boxes)}; None where unknown")
            return cls(images, [None] * len(images) if boxes is None else list(boxes))
        if boxes is not None:
            raise ConfigError("boxes: only for images in memory; beside files, annotations give the boxes")
        if isinstance(images, SampleList):
            return cls(images)
        return cls(read_samples(images, check_images=False, skip_bad=skip_bad))

    @property
    def boxless(self) -> np.ndarray:
        """Indices of the images without a box."""
        known = [sample.crop() for sample in self.images] if self.boxes is None else self.boxes
        return np.array([k for k, box in enumerate(known) if box is None], dtype=np.int64)

    @property
    def sources(self) -> list[Any]:
        """The images as a locator takes them: paths, or the images themselves."""
        return [sample.path for sample in self.images] if self.boxes is None else list(self.images)

    def boxed(self, found: Mapping[int, Box], dropped: Container[int]) -> Unlabelled:
        """With boxes for some of the images, by index, and without others."""
        kept = [k for k in range(len(self.images)) if k not in dropped]
        if self.boxes is not None:
            return Unlabelled([self.images[k] for k in kept], [found.get(k, self.boxes[k]) for k in kept])
        samples = [replace(self.images[k], box=found[k]) if k in found else self.images[k] for k in kept]
        return Unlabelled(self.images.replaced(samples))


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
        return cache_from_arrays(images, unlabelled.boxes, size=size, scale=crop.scale, context=context)
    # Labels give the box for the crop and are dropped here: nothing behind this line can see them.
    stripped = images.unlabelled()
    cache = build_cache(stripped, size, scale=crop.scale, context=context, skip_bad=skip_bad, progress=progress)
    return replace(cache, bad=BadFiles([*images.bad, *cache.bad], skip=skip_bad))


def labelled_crops(annotated: Annotated, crop: Crop, *, skip_bad: bool, progress: Progress | None) -> CropCache:
    """The same of annotated images; ``points`` of the result lie in the unit square of the crop without its context."""
    size, context = _stored(crop)
    scale = crop.scale
    cache = (
        cache_from_arrays(annotated.images, None, annotated.points, size=size, scale=scale, context=context)
        if annotated.points is not None
        else build_cache(annotated.images, size, scale=scale, context=context, skip_bad=skip_bad, progress=progress)
    )
    assert cache.points is not None
    return replace(cache, points=(cache.points - 0.5) * context + 0.5)


def _stored(crop: Crop) -> tuple[int, float]:
    """Side of the stored crops, and how many crops they show across: a whole number of pixels, the same everywhere."""
    size = round(crop.image_size * crop.context)
    return size, size / crop.image_size


@dataclass(frozen=True, eq=False)
class Item:
    """One image to predict: an annotated box of it, or the whole.

    Attributes:
        index: of the image in the input, from 0; boxes of one file share it.
        sample: path and box.
        picture: decoded.
    """

    index: int
    sample: Sample
    picture: Picture


Factor = Callable[[Sample, int, int], float]  # sample, width, height → the share of its size at which it may be decoded


def items_one_by_one(images: Any, boxes: Any, bad: BadFiles, *, factor: Factor) -> Iterator[Item]:
    """Decoded images, one after the other; bad files are noted in ``bad``.

    A generator is drawn from as the images are, but for one of paths, which are all looked up first.

    Args:
        images: as :meth:`LandmarkDetector.predict` takes them.
        boxes: of images in memory.
        bad: takes files that can't be read.
        factor: how small JPEG files may be decoded.
    """
    kind, images = _recognised(images)
    uneven = boxes is not None and isinstance(images, Sized) and len(boxes) != len(images)
    if uneven or (boxes is not None and kind != "pictures"):
        raise ConfigError(
            "boxes: expected one for each image in memory (None where unknown); beside files, annotations give the boxes"
        )
    if kind == "pictures":
        yield from _items_in_memory(images, boxes)
        return
    samples = read_samples(images, check_images=False, skip_bad=bad.skip) if kind == "files" else images
    bad.extend(getattr(samples, "bad", ()))
    index, last = -1, None
    for sample in samples:
        if not isinstance(sample, Sample):
            raise DataError(f"images: expected samples from a generator whose first was one, got {type(sample).__name__!r}")
        index, last = (index if sample.path == last else index + 1), sample.path
        try:
            picture = load_picture(sample.path, partial(factor, sample))
        except DataError as error:
            bad.reject_error(sample.path, error)
            continue
        yield Item(index, sample, picture)


def _recognised(images: Any) -> tuple[Literal["files", "samples", "pictures"], Any]:
    """What images are, and the images; of a generator, nothing is lost by looking at its first."""
    if not isinstance(images, Iterator):
        return "samples" if isinstance(images, SampleList) else "pictures" if in_memory(images) else "files", images
    first = list(islice(images, 1))
    images = chain(first, images)
    if first and isinstance(first[0], (str, Path)):
        return "files", list(images)
    return "samples" if first and isinstance(first[0], Sample) else "pictures", images


def in_batches(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    """Items in batches of ``count``, or of fewer where their pictures are large."""
    batch: list[Item] = []
    pixels = 0
    for item in items:
        batch.append(item)
        pixels += item.picture.image.width * item.picture.image.height
        if len(batch) == count or pixels > _MOST_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _items_in_memory(images: Iterable[Any], boxes: Iterable[Box | None] | None) -> Iterator[Item]:
    nothing: Any = object()
    known: Iterable[Any] = repeat(None) if boxes is None else boxes
    pairs = zip(images, known, strict=False) if boxes is None else zip_longest(images, known, fillvalue=nothing)
    for index, (image, box) in enumerate(pairs):
        if image is nothing or box is nothing:
            more, fewer = ("boxes", "images") if image is nothing else ("images", "boxes")
            raise ConfigError(f"boxes: expected one for each image (None where unknown), got {index} {fewer} and more {more}")
        rgb = as_image(image, f"image {index}")
        yield Item(index, Sample(Path(f"image {index}"), box=box), Picture(rgb, rgb.size))


def in_memory(images: Any) -> bool:
    """Whether images are arrays or pictures rather than paths.

    Raises:
        DataError: if they are neither, or just one.
    """
    if isinstance(images, (str, Path, SampleList)):
        return False
    if isinstance(images, np.ndarray) and images.ndim == 4:
        return True
    if not isinstance(images, (list, tuple)) or not images:
        what = f"an array of shape {images.shape}" if isinstance(images, np.ndarray) else repr(type(images).__name__)
        raise DataError(
            f"images: expected a folder, files, globs, an array (B, H, W, C), or a list of arrays or pictures, got {what}; "
            "put a single image in a list"
        )
    return not isinstance(images[0], (str, Path))


def as_shapes(shapes: Any, scale: float, skip_bad: bool) -> Shapes:
    """Annotated shapes in any of their forms.

    Raises:
        DataError: if there are none, or they are nothing of the kind.
    """
    known = isinstance(shapes, (str, Path, Shapes, np.ndarray, Tensor, list, tuple))
    if not known or (not isinstance(shapes, (str, Path)) and len(shapes) == 0):
        raise DataError(
            "shapes: expected about ten annotated shapes (.pts files, a folder, a JSON file, or a list of (N, 2) arrays), got "
            f"{'none' if shapes is None or known else type(shapes).__name__}"
        )
    if isinstance(shapes, Shapes):
        return shapes
    if isinstance(shapes, (str, Path)) or isinstance(shapes[0], (str, Path)):
        return read_shapes(shapes, scale=scale, skip_bad=skip_bad)
    return _shapes_from_arrays([np.asarray(points, dtype=np.float64) for points in shapes], scale)


def _shapes_from_arrays(arrays: list[np.ndarray], scale: float) -> Shapes:
    for index, points in enumerate(arrays):
        if points.ndim != 2 or points.shape[1] != 2:
            raise DataError(f"shapes: expected (N, 2) points each, shape {index} is {points.shape}; put a single one in a list")
        if np.isinf(points).any():
            raise DataError(f"shapes: shape {index} holds infinity; a missing point is NaN")
        present = int(np.isfinite(points).all(axis=1).sum())
        if present < min(MIN_POINTS, len(points)):
            raise DataError(f"shapes: shape {index} has {present} of its {len(points)} points; expected at least {MIN_POINTS}")
    return Shapes([to_crop(points, scale=scale) for points in arrays], [f"shape {i}" for i in range(len(arrays))])
