"""Look at data before training on it: what is there, what is odd, and what is wrong with which file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from brule.arrays import evenly_spread
from brule.coordinates import image_box, pixels_to_unit
from brule.data.crops import default_workers
from brule.data.discovery import Paths
from brule.data.images import check_image, image_size, load_crop
from brule.data.outliers import odd_shape_remarks
from brule.data.samples import BadFiles, Layout, Sample, SampleList
from brule.data.sources import read_samples
from brule.errors import DataError


@dataclass(frozen=True, eq=False)
class Inspection:
    """What :func:`inspect_data` found.

    Args:
        samples: the usable samples.
        n_images: how many images they are of.
        n_labelled: how many samples have landmarks.
        n_boxes: how many have a box that doesn't come from landmarks.
        sizes: how many images have which width and height.
        n_points: how many landmarks the labelled samples have; None if there is no label.
        missing: how often each landmark is missing, by index; without those that never are.
        doubles: images of the same file name in different folders.
        points_outside: images with landmarks outside of them, and how many.
        boxes_outside: images with boxes that reach outside of them.
        layout: names and edges of the landmarks.
        bad: what can't be used, and why.
        notes: remarks of the readers.
    """

    samples: SampleList
    n_images: int
    n_labelled: int
    n_boxes: int
    sizes: dict[tuple[int, int], int]
    n_points: int | None
    missing: dict[int, int]
    doubles: list[list[Path]]
    points_outside: dict[Path, int]
    boxes_outside: list[Path]
    layout: Layout
    bad: BadFiles = field(default_factory=BadFiles)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Sheet:
    """Crops with their landmarks, for :func:`brule.plots.preview_sheet`.

    Args:
        images: ``(B, size, size, 3)`` uint8.
        points: ``(B, N, 2)`` in the unit square of each, NaN where there is none.
    """

    images: np.ndarray
    points: np.ndarray


def inspect_data(paths: Paths, *, progress: Callable[[int, int], object] | None = None) -> Inspection:
    """Read images and annotations, and report counts and problems. Every image is decoded.

    Args:
        paths: as for :func:`~brule.data.read_samples`.
        progress: called as ``progress(done, total)`` while images are decoded.

    Raises:
        DataError: there is nothing at all that can be used.
    """
    samples = _decoded(read_samples(paths, skip_bad=True), progress)
    sizes = {sample.path: image_size(sample.path) for sample in samples}
    names = defaultdict(set)
    for path in sizes:
        names[path.name].add(path)
    labelled = [sample.points for sample in samples if sample.points is not None]
    missing = Counter(i for points in labelled for i in np.flatnonzero(~np.isfinite(points).all(axis=1)).tolist())
    outside: Counter[Path] = Counter()
    for sample in samples:
        outside[sample.path] += _n_outside(sample, sizes[sample.path])
    return Inspection(
        samples=samples,
        n_images=len(sizes),
        n_labelled=len(labelled),
        n_boxes=sum(sample.box is not None for sample in samples),
        sizes=dict(Counter(sizes.values()).most_common()),
        n_points=samples.n_points,
        missing=dict(sorted(missing.items())),
        doubles=[sorted(own) for _, own in sorted(names.items()) if len(own) > 1],
        points_outside={path: count for path, count in outside.items() if count},
        boxes_outside=[sample.path for sample in samples if _box_outside(sample, sizes[sample.path])],
        layout=samples.layout,
        bad=samples.bad,
        notes=[*samples.notes, *_odd(samples)],
    )


def contact_sheet(samples: SampleList, *, count: int = 24, size: int = 192) -> Sheet:
    """Cut samples out as training does, evenly spread over all of them; labelled ones, if there are any.

    Args:
        samples: what to choose from.
        count: how many, at most.
        size: side of a crop in pixels.

    Raises:
        DataError: none of them can be decoded.
    """
    labelled = [sample for sample in samples if sample.points is not None]
    known = labelled or list(samples)
    chosen = [known[i] for i in evenly_spread(len(known), count)]
    n_points = samples.n_points or 0
    images, points = [], []
    for sample in chosen:
        try:
            image, box = load_crop(sample, size)
        except DataError as error:
            failed = error
            continue
        images.append(image)
        own = np.full((n_points, 2), np.nan) if sample.points is None else sample.points.astype(np.float64)
        points.append(pixels_to_unit(own, box))
    if not images:
        raise failed if chosen else DataError("expected samples to draw, got none")
    return Sheet(np.stack(images), np.stack(points))


def _decoded(samples: SampleList, progress: Callable[[int, int], object] | None) -> SampleList:
    """The samples whose images are whole; the others are bad."""
    paths = list(dict.fromkeys(sample.path for sample in samples))
    broken: dict[Path, DataError] = {}

    def check(path: Path) -> None:
        try:
            check_image(path)
        except DataError as error:
            broken[path] = error

    with ThreadPoolExecutor(default_workers(), thread_name_prefix="brule-inspect") as pool:
        for done, _ in enumerate(pool.map(check, paths), 1):
            if progress is not None:
                progress(done, len(paths))
    for path in sorted(broken):
        samples.bad.reject_error(path, broken[path])
    kept = [sample for sample in samples if sample.path not in broken]
    if not kept:
        raise DataError(f"none of the {len(paths)} images can be used; the first: {samples.bad[0]}")
    return samples.replaced(kept)


def _odd(samples: SampleList) -> list[str]:
    labelled = [(str(sample.path), sample.points) for sample in samples if sample.points is not None]
    return odd_shape_remarks([points for _, points in labelled], [name for name, _ in labelled], names=samples.layout.names)


def _n_outside(sample: Sample, size: tuple[int, int]) -> int:
    if sample.points is None:
        return 0
    left, top, right, bottom = image_box(*size)
    x, y = sample.points.T
    return int(((x < left) | (x > right) | (y < top) | (y > bottom)).sum())


def _box_outside(sample: Sample, size: tuple[int, int]) -> bool:
    if sample.box is None:
        return False
    left, top, right, bottom = image_box(*size)
    own = sample.box
    return own[0] < left or own[1] < top or own[2] > right or own[3] > bottom
