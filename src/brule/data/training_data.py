"""What a run learns from: images, annotated images and shapes, drawn with a seed, validation images held out.

Remarks go to the logger ``brule``; the command line prints them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brule.data.names import Names, match_names, samples_in_order
from brule.data.outliers import odd_shape_remarks
from brule.data.reading import parse_annotations
from brule.data.samples import BadFile, Sample, SampleList, split_by_name
from brule.data.shapes import Shapes, read_shapes
from brule.data.sources import read_samples
from brule.errors import ConfigError, DataError

MANY_SHAPES = 100
MAX_CHECKED_SHAPES = 5000
_log = logging.getLogger("brule")


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from.

    Attributes:
        images: unlabelled; ``None`` if annotated ones alone are to teach.
        labelled: annotated; ``None`` if there are none.
        shapes: the annotated shapes; ``None`` where those of ``labelled`` serve, or those of the run that is resumed.
        examples: annotated images that show where the object is; ``None`` where those of ``labelled`` serve, or none is known.
    """

    images: SampleList | None
    labelled: SampleList | None
    shapes: Shapes | None = None
    examples: SampleList | None = None

    @property
    def bad(self) -> list[BadFile]:
        """The files that were left out."""
        return [file for part in (self.images, self.labelled, self.shapes) if part is not None for file in part.bad]

    def check_names(self) -> None:
        """Compare the landmarks' names of the annotated images with those of the shapes; remark where they can't be compared.

        Raises:
            DataError: they don't match.
        """
        if self.labelled is not None and self.shapes is not None:
            own, wanted = self.labelled.layout.names, self.shapes.landmarks
            if remark := match_names(own, wanted, what="--labelled", reference="--shapes").remark:
                _log.warning(remark)

    @property
    def shape_names(self) -> list[str]:
        """Where the shapes come from."""
        if self.shapes is not None:
            return self.shapes.names
        return [sample.name for sample in self.labelled or ()]


def box_files(paths: list[str] | None) -> list[Path]:
    """The files of ``--boxes``.

    Raises:
        ConfigError: one isn't there, or holds no box.
        DataError: one is damaged.
    """
    files = [Path(path) for path in paths or ()]
    for path in files:
        if not path.is_file():
            raise ConfigError(f"--boxes {path}: no such file; expected annotations with boxes, such as CSV or COCO")
        found = parse_annotations(path, lambda image: (0, 0))
        if found is None or not (found.problems or any(item.box is not None for item in found.items)):
            raise ConfigError(
                f"--boxes {path}: holds no box; expected a CSV with the columns image,left,top,right,bottom (pixels), or any "
                "annotation format with boxes"
            )
    return files


def training_images(
    paths: list[str],
    *,
    exclude_validation: bool,
    skip_bad: bool,
    boxes: list[str] | None = None,
    check_images: bool = False,
) -> SampleList:
    """The images to train on. Files that aren't images are noticed when they are decoded, or here with ``check_images``.

    Raises:
        DataError: nothing there, a bad file, or nothing left.
    """
    samples = read_samples(paths, also=box_files(boxes), check_images=check_images, skip_bad=skip_bad)
    log_remarks(samples)
    if not exclude_validation:
        return samples
    kept = split_by_name(samples).train
    if not kept:
        raise DataError(f"--exclude-validation leaves none of the {len(samples)} images")
    _log.warning(f"held out for validation: {len(samples) - len(kept)} of {len(samples)} images")
    return samples.replaced(kept)


def shape_examples(paths: list[str], names: list[str], *, skip_bad: bool) -> SampleList | None:
    """The annotated images that shapes come from, if they are beside their annotations; ``None`` if there are none.

    Args:
        paths: where the shapes were read from.
        names: of the shapes that are used.
        skip_bad: leave bad files out.
    """
    try:
        found = read_samples(paths, require_points=True, skip_bad=True)
    except (DataError, ConfigError):
        return None
    wanted = set(names)
    kept = [sample for sample in found if sample.name in wanted]
    return found.replaced(kept) if kept else None


def log_remarks(samples: SampleList | Shapes) -> None:
    """Log the remarks of the readers."""
    for remark in samples.notes:
        _log.warning(remark)


def in_landmark_order(samples: SampleList, names: Names | None) -> SampleList:
    """Annotated images with their landmarks in a detector's order; a remark if names can't be compared.

    Args:
        samples: as read.
        names: the detector's landmark names, if it has any.

    Raises:
        DataError: the names don't match.
    """
    ordered = samples_in_order(samples, names)
    for remark in ordered.notes[len(samples.notes) :]:
        _log.warning(remark)
    return ordered


def labelled_images(
    paths: list[str], *, n_labelled: int | None, seed: int, exclude_validation: bool, skip_bad: bool
) -> SampleList:
    """The annotated images to learn from, or some of them, drawn with the seed.

    Raises:
        DataError: nothing there, a bad file, or fewer than are to be drawn.
    """
    found = read_samples(paths, require_points=True, skip_bad=skip_bad)
    log_remarks(found)
    kept = list(split_by_name(found).train if exclude_validation else found)
    if not kept:
        raise DataError(f"--exclude-validation leaves none of the {len(found)} annotated images")
    if n_labelled is not None:
        if not 1 <= n_labelled <= len(kept):
            raise DataError(f"--n-labelled: expected 1 to {len(kept)}, as many as there are, got {n_labelled}")
        drawn = np.random.default_rng(seed).choice(len(kept), n_labelled, replace=False)
        kept = [kept[index] for index in sorted(drawn.tolist())]
    points = [(sample.name, sample.points) for sample in kept if sample.points is not None]
    log_odd_shapes([own for _, own in points], [name for name, _ in points], found.layout.names)
    return found.replaced(kept)


def annotated_samples(data: list[str], *, only_validation: bool = False, skip_bad: bool = False) -> SampleList:
    """The annotated images to evaluate on.

    Raises:
        DataError: there is none.
    """
    samples = read_samples(data, require_points=True, skip_bad=skip_bad)
    log_remarks(samples)
    if not only_validation:
        return samples
    kept = split_by_name(samples).validation
    if not kept:
        raise DataError(f"--only-validation: none of the {len(samples)} annotated images belongs to the validation tenth")
    return samples.replaced(kept)


def log_odd_shapes(shapes: list[np.ndarray], labels: list[str], names: tuple[str, ...] | None) -> None:
    """Remark on shapes that differ from all others, up to a number that takes a second."""
    for remark in odd_shape_remarks(shapes[:MAX_CHECKED_SHAPES], labels, names=names):
        _log.warning(remark)


def log_missing_boxes(samples: SampleList, how: str = "whole images are used, so the object should fill most of them") -> None:
    """Remark on images without a box.

    Args:
        samples: the images.
        how: in words, how their objects are found.
    """
    without = sum(sample.crop() is None for sample in samples)
    if without:
        _log.warning(
            f"{without} of {len(samples)} images have no annotation beside them that would give the object's box: {how}"
        )


def annotated_shapes(
    paths: list[str],
    *,
    n_shapes: int | None,
    seed: int,
    scale: float = 1.3,
    exclude_validation: bool = False,
    skip_bad: bool = False,
    warn: bool = True,
) -> Shapes:
    """Read the annotated shapes, or draw some of them.

    Raises:
        DataError: nothing there, a bad file, or fewer than are to be drawn.
        ConfigError: ``exclude_validation`` where no image's name decides which ones to hold out.
    """
    keep = _outside_validation if exclude_validation else None
    shapes = read_shapes(paths, n_shapes=n_shapes, seed=seed, scale=scale, keep=keep, skip_bad=skip_bad)
    log_remarks(shapes)
    log_missing_points(shapes)
    log_odd_shapes(shapes.points, shapes.names, shapes.landmarks)
    if warn and len(shapes) > MANY_SHAPES:
        _log.warning(f"{len(shapes)} shapes: their barycenter may take minutes; --n-shapes 10 draws ten of them")
    return shapes


def log_missing_points(shapes: Shapes) -> None:
    """Remark on points that the shapes lack, and what becomes of them."""
    missing = [count for count in shapes.missing if count]
    if not missing:
        return
    points, lacking = _counted(sum(missing), "point"), _counted(len(missing), "shape")
    completed = "and completed from the other shapes for the mean shape, the symmetry and the shape prior"
    unknown = "and can't be completed, since the shapes have different numbers of points"
    _log.warning(
        f"{points} missing in {lacking} of {len(shapes)}: left out of the barycenter, "
        f"{unknown if shapes.n_points is None else completed}"
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _outside_validation(annotation: Path, images: list[str]) -> bool:
    """Whether the image of an annotation belongs to the training images."""
    if not images:
        raise ConfigError(
            f"--exclude-validation: {annotation} names no image, so it may belong to the validation tenth; give .pts files "
            "beside their images, or annotations that name their images, or leave the option out if no shape is of an image "
            "that you evaluate on"
        )
    return not split_by_name(Sample(Path(image)) for image in images).validation
