"""Decoded crops: every image is read, cut and shrunk once, and then lies ready as uint8.

:func:`build_cache` keeps the crops of files on disk, memory-mapped, so that a second run starts at once and an epoch
costs no JPEG decoding. :func:`cache_from_arrays` makes the same from images in memory. A store is a folder named by a
hash of everything that decides its content; it appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from brule.coordinates import pixels_to_unit
from brule.data.images import as_image, crop_image, load_crop, whole_image_crop
from brule.data.samples import CROP_SCALE, BadFile, BadFiles, Box, Sample, SampleList, common_n_points, crop_box
from brule.errors import ConfigError, DataError

Progress = Callable[[int, int], object]
_Crop = tuple[int, float, float]  # size, scale, context

# Part of the hash: raise it when the same files would give other crops than before.
STORE_VERSION = 2


@dataclass(frozen=True, eq=False)
class CropCache:
    """The crops of a set of images, all of one size.

    Args:
        images: ``(n, size, size, 3)`` uint8, memory-mapped when it comes from files.
        boxes: ``(n, 4)`` float32, each crop in pixels of its upright image.
        points: ``(n, N, 2)`` float32 in the unit square of each crop, NaN where a landmark or a label is missing; None
            if no image is labelled.
        names: what to call each, one an image.
        samples: the records behind them, one an image.
        bad: the files that were left out.
    """

    images: np.ndarray
    boxes: np.ndarray
    points: np.ndarray | None
    names: list[str]
    samples: SampleList
    bad: BadFiles = field(default_factory=BadFiles)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """Side of the crops in pixels."""
        return int(self.images.shape[1])


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

    Args:
        samples: what to decode.
        size: side of the crops in pixels.
        scale: the crop rule's side over the longer side of the box.
        context: how many crops each stored picture shows across, as for :func:`~brule.data.images.load_crop`.
        directory: where the stores lie; by default :func:`cache_directory`.
        progress: called as ``progress(done, total)``, from this thread; just once, with ``done == total``, on reuse.
        workers: decoding threads; by default one a core, at most eight.
        skip_bad: leave files out that can't be decoded, and list them in ``bad`` of the result.

    Raises:
        DataError: no samples, samples with different numbers of points, nothing left, no room on the disk; or a bad
            file, without ``skip_bad``.
        ConfigError: ``size`` or ``scale`` is out of range.
    """
    samples = list(samples)
    _check(samples, size, scale, context)
    folder = Path(directory) if directory is not None else cache_directory()
    crop = (size, scale, context)
    store = folder / _key(samples, crop)
    cache = _open_store(store, samples, size)
    if cache is None:
        _write_store(store, samples, crop, progress, workers or _default_workers(), skip_bad)
        cache = _open_store(store, samples, size)
    elif progress is not None:
        progress(len(samples), len(samples))
    if cache is None:
        raise DataError(f"{store}: the crops were written but can't be read back; is the disk full or damaged?")
    if cache.bad and not skip_bad:  # a store that was built with skip_bad serves a strict caller only if all were good
        BadFiles().reject(*cache.bad[0])
    return cache


def cache_from_arrays(
    images: Sequence[object],
    boxes: Sequence[Box | None] | np.ndarray | None = None,
    points: Sequence[np.ndarray | None] | np.ndarray | None = None,
    *,
    size: int,
    scale: float = CROP_SCALE,
    context: float = 1.0,
) -> CropCache:
    """The same from images in memory; nothing is written.

    Args:
        images: arrays or Pillow images, as :func:`~brule.data.images.as_image` takes them.
        boxes: the object's box in pixels, one an image (None: from the points, else the whole image).
        points: ``(N, 2)`` landmarks in pixels, one an image, NaN where one is missing (None: unlabelled).
        size: side of the crops in pixels.
        scale: the crop rule's side over the longer side of the box.
        context: how many crops each picture is to show across.

    Raises:
        DataError: an image, box or set of points isn't what it should be; the message says which ("image 3").
        ConfigError: ``size`` or ``scale`` is out of range.
    """
    known = zip(_one_each("points", points, images), _one_each("boxes", boxes, images), strict=True)
    samples = [Sample(Path(f"image {i}"), points=own_points, box=box) for i, (own_points, box) in enumerate(known)]
    _check(samples, size, scale, context)
    crops = np.empty((len(samples), size, size, 3), dtype=np.uint8)
    corners = np.empty((len(samples), 4), dtype=np.float32)
    for i, (sample, image) in enumerate(zip(samples, images, strict=True)):
        picture = as_image(image, sample.path.name)
        box = crop_box(sample.crop(scale) or whole_image_crop(*picture.size), scale=context)
        crops[i], corners[i] = crop_image(picture, box, size), box
    return _cache(crops, corners, samples, BadFiles())


def cache_directory() -> Path:
    """Where decoded crops are kept: ``$BRULE_CACHE``, else ``brule`` in the user's cache folder of the platform."""
    if own := os.environ.get("BRULE_CACHE"):
        return Path(own)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "brule"


def _check(samples: list[Sample], size: int, scale: float, context: float) -> None:
    if size < 1 or not scale > 0 or not context >= 1:
        raise ConfigError(f"expected a crop size ≥ 1, a scale > 0 and a context ≥ 1, got {size=}, {scale=}, {context=}")
    if not samples:
        raise DataError("expected at least one image, got none")
    common_n_points(samples)


def _one_each(what: str, values: Sequence[object] | np.ndarray | None, images: Sequence[object]) -> list:
    if values is None:
        return [None] * len(images)
    if len(values) != len(images):
        raise DataError(f"expected {what} for each of {len(images)} images, got {len(values)}; None stands for unknown")
    return list(values)


def _cache(images: np.ndarray, boxes: np.ndarray, samples: list[Sample], bad: BadFiles) -> CropCache:
    n_points = common_n_points(samples)
    points = None
    if n_points is not None:
        points = np.full((len(samples), n_points, 2), np.nan, dtype=np.float32)
        for i, sample in enumerate(samples):
            if sample.points is not None:
                left, top, right, bottom = boxes[i].tolist()
                points[i] = pixels_to_unit(sample.points.astype(np.float64), (left, top, right, bottom))
    return CropCache(images, boxes, points, [sample.name for sample in samples], SampleList(samples, bad=bad), bad)


def _key(samples: list[Sample], crop: _Crop) -> str:
    size, scale, context = crop
    digest = hashlib.sha256(f"{STORE_VERSION} {size} {scale!r} {context!r}".encode())
    for sample in samples:
        try:
            status = os.stat(sample.path)
            state = (status.st_size, status.st_mtime_ns)
        except OSError:
            state = None  # missing: reported when it is decoded
        digest.update(os.fsencode(os.path.abspath(sample.path)) + repr((state, sample.crop(scale))).encode() + b"\n")
    return f"{size}px-{digest.hexdigest()[:24]}"


def _open_store(store: Path, samples: list[Sample], size: int) -> CropCache | None:
    """The cache in a folder; None if there is none, or none that can be used."""
    try:
        index = json.loads((store / "index.json").read_text(encoding="utf-8"))
        images = np.load(store / "images.npy", mmap_mode="r", allow_pickle=False)
        boxes = np.load(store / "boxes.npy", allow_pickle=False)
        kept = [samples[i] for i in index["rows"]]
        bad = BadFiles([BadFile(samples[i].path, reason) for i, reason in index["bad"]], skip=True)
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None
    if images.shape != (len(kept) + len(bad), size, size, 3) or boxes.shape != (len(kept), 4):
        return None
    return _cache(images[: len(kept)], boxes, kept, bad)


def _write_store(
    store: Path, samples: list[Sample], crop: _Crop, progress: Progress | None, workers: int, skip_bad: bool
) -> None:
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=store.parent))
    except OSError as error:
        raise _not_kept(store, error) from error
    try:
        _fill(building, samples, crop, progress, workers, BadFiles(skip=skip_bad))
        _move(building, store, usable=lambda: _open_store(store, samples, crop[0]) is not None)
    except OSError as error:
        raise _not_kept(store, error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _not_kept(store: Path, error: OSError) -> DataError:
    return DataError(
        f"{store.parent}: decoded images can't be kept there ({error.strerror or error}); make room, or set the environment "
        "variable BRULE_CACHE to another folder that can be written"
    )


def _fill(folder: Path, samples: list[Sample], crop: _Crop, progress: Progress | None, workers: int, bad: BadFiles) -> None:
    size = crop[0]
    _check_room(folder, len(samples) * size * size * 3)
    shape = (len(samples), size, size, 3)
    images = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    boxes = np.full((len(samples), 4), np.nan, dtype=np.float32)

    def decode(i: int) -> None:
        images[i], boxes[i] = load_crop(samples[i], *crop)

    failed = _in_threads(decode, samples, workers, progress, bad)
    if len(failed) == len(samples):
        raise DataError(f"none of the {len(samples)} images can be used; the first: {bad[0]}")
    rows = [i for i in range(len(samples)) if i not in failed]
    for row, i in enumerate(rows if failed else []):
        images[row] = images[i]  # the last rows of the file stay unused
    images.flush()
    np.save(folder / "boxes.npy", boxes[rows])
    index = {"rows": rows, "bad": sorted(failed.items())}
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _in_threads(
    decode: Callable[[int], None], samples: list[Sample], workers: int, progress: Progress | None, bad: BadFiles
) -> dict[int, str]:
    """Decode all samples; returns the index and the reason of each that is bad."""
    failed = {}
    pool = ThreadPoolExecutor(workers, thread_name_prefix="brule-decode")
    try:
        futures = {pool.submit(decode, i): i for i in range(len(samples))}
        for done, future in enumerate(as_completed(futures), 1):
            i = futures[future]
            try:
                future.result()
            except DataError as error:
                bad.reject_error(samples[i].path, error)
                failed[i] = bad[-1].reason
            if progress is not None:
                progress(done, len(samples))
    finally:
        # On Ctrl-C or a bad file, don't decode the rest first.
        pool.shutdown(wait=True, cancel_futures=True)
    return failed


def _check_room(folder: Path, needed: int) -> None:
    # Writing to a mapped file on a full disk kills the process (SIGBUS) rather than raise.
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder.parent}: {needed >> 20} MiB are needed there for the decoded images, {free >> 20} MiB are free; "
            "make room, or set the environment variable BRULE_CACHE to another folder"
        )


def _move(building: Path, store: Path, *, usable: Callable[[], bool]) -> None:
    try:
        os.replace(building, store)
    except OSError:  # something is there already
        if usable():  # another process was faster, and its store is as good
            return
        shutil.rmtree(store) if store.is_dir() else store.unlink()
        os.replace(building, store)


def _default_workers() -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, 8)
