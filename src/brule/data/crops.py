"""Decoded crops: every image is read, cut and shrunk once, and then kept ready as uint8.

:func:`build_cache` keeps the crops of files on disk, memory-mapped, so that a second run starts at once and an epoch
costs no JPEG decoding. :func:`cache_from_arrays` makes the same from images in memory. A store
(:mod:`brule.data.crop_store`) is a folder named by a hash of everything that decides its content.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from brule.coordinates import pixels_to_unit
from brule.data.crop_store import STORE_VERSION, Store
from brule.data.images import as_image, crop_image, load_crop, whole_image_crop
from brule.data.samples import CROP_SCALE, BadFile, BadFiles, Box, Sample, SampleList, common_n_points, crop_box
from brule.errors import ConfigError, DataError
from brule.threads import usable_cores

Progress = Callable[[int, int], object]
_Crop = tuple[int, float, float]  # size, scale, context

_AHEAD = 16  # crops that wait for their turn to be written, for each decoding thread


@dataclass(frozen=True, eq=False)
class CropCache:
    """The crops of a set of images, all of one size.

    Args:
        images: ``(n, size, size, 3)`` uint8, memory-mapped when it comes from files.
        boxes: ``(n, 4)`` float32, each crop in pixels of its upright image; turned about its centre by the sample's angle.
        points: ``(n, N, 2)`` float32 in the unit square of each crop, NaN where a landmark or a label is missing; None
            if no image is labelled.
        samples: the records behind them, one per image.
        bad: the files that were left out.
    """

    images: np.ndarray
    boxes: np.ndarray
    points: np.ndarray | None
    samples: SampleList
    bad: BadFiles = field(default_factory=BadFiles)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """Side of the crops in pixels."""
        return int(self.images.shape[1])

    @property
    def names(self) -> list[str]:
        """The name of each image."""
        return [sample.name for sample in self.samples]


def build_cache(
    samples: Sequence[Sample],
    size: int,
    *,
    scale: float = CROP_SCALE,
    context: float = 1.0,
    directory: Path | str | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    skip_bad: bool = False,
) -> CropCache:
    """Decode, cut and shrink every image once; reuse the result when nothing has changed.

    What decides: the files (path, size, time of change), their boxes, ``size`` and ``scale``. Landmarks decide only
    through the crop, so labelled and unlabelled readings of the same images may share a store.

    When building ends early (Ctrl-C, a bad file, a full disk, a killed process), the same call continues with what was there,
    but for the last second's. A store whose checksums differ was damaged since, and is decoded again from there on. Two
    processes that want the same store build it once: the second waits for the first, and takes over if that one ends early.
    Memory doesn't grow with the number of images, but for the samples themselves.

    Args:
        samples: what to decode.
        size: side of the crops in pixels.
        scale: the crop rule's side over the longer side of the box.
        context: how many crops each stored picture shows across, as for :func:`~brule.data.images.load_crop`.
        directory: the folder of the stores; by default :func:`cache_directory`.
        progress: called as ``progress(done, total)``, from this thread; just once, with ``done == total``, on reuse. Where a
            store is gone on with, or another process writes it, it starts from what is there.
        workers: decoding threads; by default one per core, at most eight.
        skip_bad: leave files out that can't be decoded, and list them in ``bad`` of the result.

    Raises:
        DataError: no samples, samples with different numbers of points, nothing left, no room on the disk; or a bad
            file, without ``skip_bad``.
        ConfigError: ``size`` or ``scale`` is out of range.
    """
    samples = list(samples)
    _check(samples, size, scale, context=context)
    folder = Path(directory) if directory is not None else cache_directory()
    crop = (size, scale, context)
    store = Store(folder / _key(samples, crop), len(samples), size)

    def report(done: int) -> None:
        if progress is not None:
            progress(done, len(samples))

    done = store.done(verify=True)
    if done.read < len(samples) or not done.kept:
        _build(store, samples, crop, workers=workers or default_workers(), bad=BadFiles(skip=skip_bad), progress=report)
    else:
        report(len(samples))
    done = store.done()
    bad = BadFiles([BadFile(samples[i].path, reason) for i, reason in done.bad], skip=True)
    if bad and not skip_bad:  # a store that was built with skip_bad serves a strict caller only if all were good
        BadFiles().reject(*bad[0])
    left_out = {i for i, _ in done.bad}
    crops = store.open()
    return _cache(crops.images, crops.boxes, [sample for i, sample in enumerate(samples) if i not in left_out], bad=bad)


def cache_from_arrays(
    images: Sequence[object],
    boxes: Sequence[Box | None] | np.ndarray | None = None,
    points: Sequence[np.ndarray | None] | np.ndarray | None = None,
    *,
    size: int,
    scale: float = CROP_SCALE,
    context: float = 1.0,
    angles: Sequence[float] | None = None,
) -> CropCache:
    """The same from images in memory; nothing is written.

    Args:
        images: arrays or Pillow images, as :func:`~brule.data.images.as_image` takes them.
        boxes: the object's box in pixels, one per image (None: from the points, else the whole image).
        points: ``(N, 2)`` landmarks in pixels, one per image, NaN where one is missing (None: unlabelled).
        size: side of the crops in pixels.
        scale: the crop rule's side over the longer side of the box.
        context: how many crops each picture is to show across.
        angles: by how many degrees each object is turned, see :class:`Sample`; by default none is.

    Raises:
        DataError: an image, box or set of points isn't what it should be; the message names it ("image 3").
        ConfigError: ``size`` or ``scale`` is out of range.
    """
    known = zip(_one_each("points", points, images), _one_each("boxes", boxes, images), strict=True)
    turned = [0.0] * len(images) if angles is None else angles
    samples = [
        Sample(Path(f"image {i}"), points=own_points, box=box, angle=turned[i]) for i, (own_points, box) in enumerate(known)
    ]
    _check(samples, size, scale, context=context)
    crops = np.empty((len(samples), size, size, 3), dtype=np.uint8)
    corners = np.empty((len(samples), 4), dtype=np.float32)
    for i, (sample, image) in enumerate(zip(samples, images, strict=True)):
        picture = as_image(image, sample.path.name)
        box = crop_box(sample.crop(scale) or whole_image_crop(*picture.size), scale=context)
        crops[i], corners[i] = crop_image(picture, box, size, angle=sample.angle), box
    return _cache(crops, corners, samples, bad=BadFiles())


def cache_directory() -> Path:
    """Where decoded crops are kept: ``$BRULE_CACHE``, else ``brule`` in the user's cache folder of the platform."""
    if own := os.environ.get("BRULE_CACHE"):
        return Path(own)
    import platformdirs

    return Path(platformdirs.user_cache_dir("brule", appauthor=False))


def _check(samples: list[Sample], size: int, scale: float, *, context: float) -> None:
    if size < 1 or not scale > 0 or not context >= 1:
        raise ConfigError(f"expected a crop size ≥ 1, a scale > 0 and a context ≥ 1, got {size=}, {scale=}, {context=}")
    if not samples:
        raise DataError("expected at least one image, got none")
    common_n_points(samples)


def _one_each(what: str, values: Sequence[object] | np.ndarray | None, images: Sequence[object]) -> list:
    if values is None:
        return [None] * len(images)
    if len(values) != len(images):
        raise DataError(f"expected {what} for each of {len(images)} images, got {len(values)}; None means unknown")
    return list(values)


def _cache(images: np.ndarray, boxes: np.ndarray, samples: list[Sample], *, bad: BadFiles) -> CropCache:
    n_points = common_n_points(samples)
    points = None
    if n_points is not None:
        points = np.full((len(samples), n_points, 2), np.nan, dtype=np.float32)
        for i, sample in enumerate(samples):
            if sample.points is not None:
                left, top, right, bottom = boxes[i].tolist()
                own = sample.in_frame(sample.points.astype(np.float64), ((left + right) / 2, (top + bottom) / 2))
                points[i] = pixels_to_unit(own, (left, top, right, bottom))
    return CropCache(images, boxes, points, SampleList(samples, bad=bad), bad)


def _key(samples: list[Sample], crop: _Crop) -> str:
    size, scale, context = crop
    digest = hashlib.sha256(f"{STORE_VERSION} {size} {scale!r} {context!r}".encode())
    for sample in samples:
        try:
            status = os.stat(sample.path)
            state = (status.st_size, status.st_mtime_ns)
        except OSError:
            state = None  # missing: reported when it is decoded
        what = (state, sample.crop(scale), *([sample.angle] if sample.angle else []))
        digest.update(os.fsencode(os.path.abspath(sample.path)) + repr(what).encode() + b"\n")
    return f"{size}px-{digest.hexdigest()[:24]}"


def _build(
    store: Store, samples: list[Sample], crop: _Crop, *, workers: int, bad: BadFiles, progress: Callable[[int], object]
) -> None:
    """Decode what a store doesn't hold yet."""
    with store.writer(waiting=lambda: progress(store.done().read)) as writer:
        if writer.bad and not bad.skip:
            return  # no need to decode the rest: the caller refuses the store
        if writer.read:
            progress(writer.read)
        with closing(_decoded(samples, writer.read, crop, workers=workers)) as decoded:
            for sample, result in decoded:
                if isinstance(result, DataError):
                    bad.reject_error(sample.path, result)
                    writer.reject(bad[-1].reason)
                else:
                    writer.add(*result)
                progress(writer.read)
        if not writer.kept:
            reason = (bad or [BadFile(samples[i].path, reason) for i, reason in writer.bad])[0]
            raise DataError(f"none of the {len(samples)} images can be used; the first: {reason}")
        writer.commit()


def _decoded(
    samples: list[Sample], start: int, crop: _Crop, *, workers: int
) -> Generator[tuple[Sample, tuple[np.ndarray, Box] | DataError], None, None]:
    """The crops of samples from ``start`` on, in order, decoded a little ahead; the error instead of one that is bad."""
    size, scale, context = crop

    def attempt(sample: Sample) -> tuple[np.ndarray, Box] | DataError:
        try:
            return load_crop(sample, size, scale, context=context)
        except DataError as error:
            return error

    pool = ThreadPoolExecutor(workers, thread_name_prefix="brule-decode")
    ahead: deque[tuple[Sample, Future[tuple[np.ndarray, Box] | DataError]]] = deque()
    try:
        for i in range(start, len(samples)):
            ahead.append((samples[i], pool.submit(attempt, samples[i])))
            if len(ahead) == _AHEAD * workers:
                sample, future = ahead.popleft()
                yield sample, future.result()
        for sample, future in ahead:
            yield sample, future.result()
    finally:
        # On Ctrl-C or a bad file, don't decode the rest first.
        pool.shutdown(wait=True, cancel_futures=True)


def default_workers() -> int:
    """Number of decoding threads: one per core, at most eight."""
    return min(usable_cores(), 8)
