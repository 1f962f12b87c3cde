"""The images to predict, one after the other, in whatever form they were given."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, repeat, zip_longest
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from torch import Tensor

import brule.data as data  # the readers of annotation files are imported when files are given
from brule.data import BadFiles, Box, Sample, SampleList
from brule.data.cutting import Picture
from brule.data.images import as_image, load_picture
from brule.detector.types import Boxes, Images
from brule.errors import ConfigError, DataError

_MAX_PIXELS = 50_000_000  # decoded at a time: bounds the memory that prediction takes
_EXPECTED = (
    "images: expected a path, a Pillow image, an array (H, W, C), a tensor (C, H, W), the bytes of an image file, an open "
    "binary file, or many of them: a folder, a glob, a list, a batch (B, H, W, C), a generator; got"
)

Factor = Callable[[Sample, int, int], float]  # sample, width, height → the share of its size at which it may be decoded
Kind = Literal["files", "samples", "pictures"]


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


def items_one_by_one(images: Images, boxes: Boxes | None, bad: BadFiles, *, factor: Factor) -> Iterator[Item]:
    """Decoded images, one after the other; bad files are noted in ``bad``.

    A generator is drawn from as the images are, but for one of paths, which are all looked up first.

    Args:
        images: as :meth:`LandmarkDetector.predict` takes them.
        boxes: one for each image; not beside a folder or a glob.
        bad: takes files that can't be read.
        factor: how small JPEG files may be decoded.
    """
    kind, given = _with_video(*recognised(images))
    known = None if boxes is None else as_boxes(boxes, single=isinstance(given, list) and len(given) == 1)
    if known is not None and isinstance(given, Sized) and isinstance(known, Sized) and len(known) != len(given):
        raise ConfigError(f"boxes: expected one for each of {len(given)} images (None where unknown), got {len(known)}")
    if kind == "pictures":
        yield from _items_in_memory(given, known, bad, factor=factor)
        return
    if kind == "samples" and known is not None:
        raise ConfigError("boxes: samples have boxes of their own; put them there (Sample(path, box=…))")
    if kind == "samples":
        samples = given
    else:
        samples = _in_input_order(samples_of(given, None, bad), given) if known is None else samples_of(given, list(known), bad)
    bad.extend(getattr(samples, "bad", ()))
    for index, sample in enumerate(samples) if known is not None else _numbered(samples):
        try:
            picture = load_picture(sample.path, partial(factor, sample))
        except DataError as error:
            bad.reject_error(sample.path, error)
            continue
        yield Item(index, sample, picture)


def predicted_files(images: Images) -> dict[int, Sample]:
    """The files of images that were predicted, by the index that their landmarks have.

    Args:
        images: as :meth:`LandmarkDetector.predict` took them, without boxes; files that can't be read are left out.

    Raises:
        DataError: they are in memory.
    """
    kind, given = _with_video(*recognised(images))
    if kind == "pictures":
        raise DataError("expected image files, got pictures in memory, which have no names; save them first")
    samples = given if kind == "samples" else _in_input_order(samples_of(given, None, BadFiles(skip=True)), given)
    return dict(_numbered(samples))


def _numbered(samples: Iterable[Any]) -> Iterator[tuple[int, Sample]]:
    """Samples with the index of their image, from 0. The boxes of one file share it; a file given again has another."""
    index, same = -1, list[Sample]()  # the samples of the image so far
    for sample in samples:
        if not isinstance(sample, Sample):
            raise DataError(f"images: expected samples from a generator whose first was one, got {type(sample).__name__!r}")
        if not same or sample.path != same[0].path or any(sample is one for one in same):
            index, same = index + 1, []
        same.append(sample)
        yield index, sample


def _in_input_order(samples: SampleList, paths: Sequence[Any]) -> SampleList:
    """Samples in the order in which their files were given; those of a folder or a glob are sorted."""
    if len(paths) == 1:
        return samples
    from brule.data.discovery import find_images_if_any

    by_file: dict[str, list[Sample]] = {}
    for sample in samples:
        by_file.setdefault(os.path.abspath(sample.path), []).append(sample)
    given = [file for path in paths for file in (find_images_if_any(path) if _holds_many(path) else [path])]
    files = [os.path.abspath(file) for file in given]
    named = set(files)
    others = [sample for sample in samples if os.path.abspath(sample.path) not in named]
    return samples.replaced([*(sample for file in files for sample in by_file.get(file, ())), *others])


def _holds_many(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder or a glob."""
    return os.path.isdir(path) or (glob.has_magic(os.fspath(path)) and not os.path.exists(path))


def in_batches(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    """Items in batches of ``count``, or of fewer where their pictures are large."""
    batch: list[Item] = []
    pixels = 0
    for item in items:
        batch.append(item)
        pixels += item.picture.image.width * item.picture.image.height
        if len(batch) == count or pixels > _MAX_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def recognised(images: Any) -> tuple[Kind, Any]:
    """What images are, and all of them; of a generator, nothing is lost by looking at its first.

    Returns:
        The kind; and paths (a list, or one that may be a folder), samples, or pictures.

    Raises:
        DataError: they are nothing of the kind.
    """
    if isinstance(images, Iterator) and not hasattr(images, "read"):
        first = list(islice(images, 1))
        images = chain(first, images)
        kind = _kind_of(first)
        return kind, list(images) if kind == "files" else images
    if isinstance(images, (str, os.PathLike)):
        return "files", [images]
    if isinstance(images, SampleList):
        return "samples", images
    if isinstance(images, Sample):
        return "samples", SampleList([images])
    if _is_picture(images):
        return "pictures", [images]
    if isinstance(images, (np.ndarray, Tensor)):
        if images.ndim == 4:
            return "pictures", images
        raise DataError(f"{_EXPECTED} {type(images).__name__} of shape {tuple(images.shape)}")
    if isinstance(images, Sequence):
        kind = _kind_of(images)
        return kind, SampleList(images) if kind == "samples" else images
    raise DataError(f"{_EXPECTED} {type(images).__name__!r}")


def _with_video(kind: Kind, given: Any) -> tuple[Kind, Any]:
    """The frames of a video as pictures, one after the other; anything else as it is."""
    from brule.data.video import is_video, read_frames

    if kind != "files" or not any(is_video(path) for path in given):
        return kind, given
    if len(given) > 1:
        raise DataError("images: expected one video at a time, so that the index of an image is the number of its frame")
    return "pictures", (frame.image for frame in read_frames(given[0]))


def in_memory(images: Images) -> bool:
    """Whether images are in memory rather than files.

    Raises:
        DataError: if they are neither, none, or a generator.
    """
    if isinstance(images, Iterator) and not hasattr(images, "read"):
        raise DataError(f"{_EXPECTED} a generator, which training would have to read more than once; make it a list")
    kind, given = recognised(images)
    if not len(given):
        raise DataError(f"{_EXPECTED} none")
    return kind == "pictures"


def as_boxes(boxes: Boxes, *, single: bool = False) -> Iterable[Box | None]:
    """Boxes in any of their forms, one for each image.

    Args:
        boxes: of one image or many.
        single: whether there is one image, whose box needn't be in a list.

    Raises:
        ConfigError: they are no boxes.
    """
    found: Any = boxes.tolist() if isinstance(boxes, (np.ndarray, Tensor)) else boxes
    if single and isinstance(found, Sequence) and len(found) == 4 and all(isinstance(value, Real) for value in found):
        found = [found]
    if isinstance(found, (str, bytes, Mapping)) or not isinstance(found, Iterable):
        raise ConfigError(f"boxes: expected (left, top, right, bottom) or None for each image, got {type(boxes).__name__!r}")
    return [_as_box(box) for box in found] if isinstance(found, Sized) else map(_as_box, found)


def _as_box(box: Any) -> Box | None:
    values = box.tolist() if isinstance(box, (np.ndarray, Tensor)) else box
    if values is None:
        return None
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 4:
        raise ConfigError(f"boxes: expected (left, top, right, bottom) in pixels or None for each image, got {box!r}")
    try:
        left, top, right, bottom = (float(value) for value in values)
    except (TypeError, ValueError):
        raise ConfigError(f"boxes: expected (left, top, right, bottom) in pixels, four numbers, got {box!r}") from None
    return left, top, right, bottom


def _kind_of(images: Sequence[Any]) -> Kind:
    """Paths alone are files, samples alone are samples; anything else, mixed too, is read one by one."""
    if images and all(isinstance(image, Sample) for image in images):
        return "samples"
    return "files" if images and all(isinstance(image, (str, os.PathLike)) for image in images) else "pictures"


def _is_picture(image: object) -> bool:
    """Whether it is one image in memory."""
    if isinstance(image, (np.ndarray, Tensor)):
        channels = {image.shape[-1]} | ({image.shape[0]} if isinstance(image, Tensor) else set()) if image.ndim == 3 else {1}
        return image.ndim in (2, 3) and bool(channels & {1, 3, 4})
    return isinstance(image, (Image.Image, bytes, bytearray, memoryview)) or hasattr(image, "read")


def samples_of(paths: Sequence[Any], boxes: Iterable[Box | None] | None, bad: BadFiles) -> SampleList:
    """The samples of paths; with boxes, one for each file.

    Raises:
        ConfigError: there are boxes, and a path is a folder or a glob.
    """
    if boxes is None:
        return data.read_samples([os.fspath(path) for path in paths], check_images=False, skip_bad=bad.skip)
    for path in paths:
        if _holds_many(path):
            raise ConfigError(
                f"boxes: expected one image file per box; {path} holds many images: give their boxes as annotations"
            )
    return SampleList([Sample(Path(path), box=box) for path, box in zip(paths, boxes, strict=True)])


def kept_in_memory(images: Sequence[Any]) -> Sequence[Any]:
    """Images in memory that can be read more than once: open files are decoded now.

    Raises:
        DataError: paths are among them.
    """
    if isinstance(images, (np.ndarray, Tensor)):
        return images
    if any(isinstance(image, (str, os.PathLike, Sample)) for image in images):
        raise DataError("images: expected either files or images in memory to learn from, got both; load the files first")
    return [as_image(image, f"image {k}") if hasattr(image, "read") else image for k, image in enumerate(images)]


def _items_in_memory(
    images: Iterable[Any], boxes: Iterable[Box | None] | None, bad: BadFiles, *, factor: Factor
) -> Iterator[Item]:
    nothing: Any = object()
    known: Iterable[Any] = repeat(None) if boxes is None else boxes
    pairs = zip(images, known, strict=False) if boxes is None else zip_longest(images, known, fillvalue=nothing)
    for index, (image, box) in enumerate(pairs):
        if image is nothing or box is nothing:
            more, fewer = ("boxes", "images") if image is nothing else ("images", "boxes")
            raise ConfigError(f"boxes: expected one for each image (None where unknown), got {index} {fewer} but more {more}")
        try:
            sample, picture = _loaded(image, index, box, factor=factor)
        except DataError as error:
            if not bad.skip:
                raise
            bad.reject_error(Path(f"image {index}"), error)
            continue
        yield Item(index, sample, picture)


def _loaded(image: Any, index: int, box: Box | None, *, factor: Factor) -> tuple[Sample, Picture]:
    """One image of a list whose images may be of different kinds, decoded."""
    if isinstance(image, (str, os.PathLike, Sample)):
        sample = image if isinstance(image, Sample) else Sample(Path(image), box=box)
        return sample, load_picture(sample.path, partial(factor, sample))
    rgb = as_image(image, f"image {index}")
    return Sample(Path(f"image {index}"), box=box), Picture(rgb, rgb.size)
