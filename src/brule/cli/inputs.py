"""From the arguments of commands to samples and shapes, with validation images kept out where that is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from brule.cli.output import note, write_json
from brule.errors import CheckpointError, ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np

    from brule.data import BadFile, SampleList, Shapes
    from brule.detector import LandmarkDetector

RECORD = "data.json"
MANY_SHAPES = 100
MANY_CHECKED = 5000


@dataclass(frozen=True)
class DataUsed:
    """What a run was trained on: kept as ``data.json`` beside its settings.

    Attributes:
        images: the paths of the unlabelled images that were given.
        exclude_validation: whether images and shapes were held out by name.
        n_images: how many images were found.
        shapes: the names of the annotated shapes.
        device: where it was trained.
        labelled: the paths of the annotated images that were given.
        n_labelled: how many of these were used.
        boxes: the files that boxes of the unlabelled images were read from.
        data: annotated images that the detector is measured on when training ends.
    """

    images: list[str]
    exclude_validation: bool
    n_images: int
    shapes: list[str]
    device: str
    labelled: list[str] = field(default_factory=list)
    n_labelled: int = 0
    boxes: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)

    @contextmanager
    def kept(self, run: Path) -> Iterator[None]:
        """Keep it in a run; a new one that never begins leaves nothing behind."""
        new = not run.exists()
        write_json(run / RECORD, asdict(self))
        try:
            yield
        except BaseException:
            from brule.detector import CONFIG

            left = list(run.iterdir())
            if new and {path.name for path in left} <= {RECORD, CONFIG}:
                for path in left:
                    path.unlink()
                run.rmdir()
            raise

    @classmethod
    def of(
        cls, material: TrainingData, images: list[str] | None, labelled: list[str] | None, exclude_validation: bool, device: str
    ) -> DataUsed:
        """That of a run on this material, which was read from these paths."""
        n_images, n_labelled = len(material.images or ()), len(material.labelled or ())
        shapes = material.shape_names
        return cls(list(images or ()), exclude_validation, n_images, shapes, device, list(labelled or ()), n_labelled)

    @classmethod
    def read(cls, run: Path) -> DataUsed | None:
        """That of a run; ``None`` if it has none.

        Raises:
            CheckpointError: it is damaged.
        """
        path = run / RECORD
        if not path.is_file():
            return None
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{path}: damaged: {error}") from None


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from.

    Attributes:
        images: unlabelled; ``None`` if annotated ones alone are to teach.
        labelled: annotated; ``None`` if there are none.
        shapes: the annotated shapes; ``None`` where those of ``labelled`` serve, or those of the run that is taken up.
    """

    images: SampleList | None
    labelled: SampleList | None
    shapes: Shapes | None = None

    @property
    def bad(self) -> list[BadFile]:
        """The files that were left out."""
        return [file for part in (self.images, self.labelled, self.shapes) if part is not None for file in part.bad]

    def check_names(self) -> None:
        """Compare the landmarks' names of the annotated images with those of the shapes; remark where they can't be compared.

        Raises:
            DataError: they don't match.
        """
        from brule.data.names import match_names

        if self.labelled is not None and self.shapes is not None:
            own, wanted = self.labelled.layout.names, self.shapes.landmarks
            if remark := match_names(own, wanted, what="--labelled", reference="--shapes").remark:
                note(remark)

    @property
    def shape_names(self) -> list[str]:
        """Where the shapes come from."""
        if self.shapes is not None:
            return self.shapes.names
        return [sample.name for sample in self.labelled or ()]


def box_files(paths: list[str] | None) -> list[Path]:
    """The files of ``--boxes``.

    Raises:
        ConfigError: one isn't there.
    """
    files = [Path(path) for path in paths or ()]
    for path in files:
        if not path.is_file():
            raise ConfigError(f"--boxes {path}: no such file; expected annotations with boxes, such as CSV or COCO")
    return files


def training_images(
    paths: list[str],
    *,
    exclude_validation: bool,
    skip_bad: bool,
    boxes: list[str] | None = None,
    check_images: bool = False,
) -> SampleList:
    """The images to train on; what is no image shows when they are decoded, unless ``check_images``.

    Raises:
        DataError: nothing there, a bad file, or nothing left.
    """
    from brule.data import read_samples, split_by_name

    samples = read_samples(paths, also=box_files(boxes), check_images=check_images, skip_bad=skip_bad)
    note_remarks(samples)
    if not exclude_validation:
        return samples
    kept = split_by_name(samples).train
    if not kept:
        raise DataError(f"--exclude-validation leaves none of the {len(samples)} images")
    note(f"held out for validation: {len(samples) - len(kept)} of {len(samples)} images")
    return samples.replaced(kept)


def note_remarks(samples: SampleList | Shapes) -> None:
    """Print the remarks of the readers."""
    for remark in samples.notes:
        note(remark)


def in_detector_order(samples: SampleList, detector: LandmarkDetector) -> SampleList:
    """Annotated images with their landmarks in the detector's order; a remark where names can't be compared.

    Raises:
        DataError: the names don't match.
    """
    from brule.data.names import samples_in_order

    ordered = samples_in_order(samples, detector.landmark_names_)
    for remark in ordered.notes[len(samples.notes) :]:
        note(remark)
    return ordered


def labelled_images(
    paths: list[str], *, n_labelled: int | None, seed: int, exclude_validation: bool, skip_bad: bool
) -> SampleList:
    """The annotated images to learn from, or some of them, drawn with the seed.

    Raises:
        DataError: nothing there, a bad file, or fewer than are to be drawn.
    """
    import numpy as np

    from brule.data import read_samples, split_by_name

    found = read_samples(paths, require_points=True, skip_bad=skip_bad)
    note_remarks(found)
    kept = list(split_by_name(found).train if exclude_validation else found)
    if not kept:
        raise DataError(f"--exclude-validation leaves none of the {len(found)} annotated images")
    if n_labelled is not None:
        if not 1 <= n_labelled <= len(kept):
            raise DataError(f"--n-labelled: expected 1 to {len(kept)}, as many as there are, got {n_labelled}")
        drawn = np.random.default_rng(seed).choice(len(kept), n_labelled, replace=False)
        kept = [kept[index] for index in sorted(drawn.tolist())]
    points = [(sample.name, sample.points) for sample in kept if sample.points is not None]
    note_odd([own for _, own in points], [name for name, _ in points], found.layout.names)
    return found.replaced(kept)


def note_odd(shapes: list[np.ndarray], labels: list[str], names: tuple[str, ...] | None) -> None:
    """Remark on shapes that differ from all others, up to a number that takes a second."""
    from brule.data.outliers import odd_shape_remarks

    for remark in odd_shape_remarks(shapes[:MANY_CHECKED], labels, names=names):
        note(remark)


def note_boxes(samples: SampleList) -> None:
    """Remark on images that are used whole, because they have no box."""
    without = sum(sample.crop() is None for sample in samples)
    if without:
        note(
            f"{without} of {len(samples)} images have no annotation beside them that would give the object's box: they are "
            "taken whole, so the object should fill most of them"
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
    from brule.data import read_shapes

    keep = _outside_validation if exclude_validation else None
    shapes = read_shapes(paths, n_shapes=n_shapes, seed=seed, scale=scale, keep=keep, skip_bad=skip_bad)
    note_remarks(shapes)
    note_missing(shapes)
    note_odd(shapes.points, shapes.names, shapes.landmarks)
    if warn and len(shapes) > MANY_SHAPES:
        note(f"{len(shapes)} shapes: their barycenter may take minutes; --n-shapes 10 draws ten of them")
    return shapes


def note_missing(shapes: Shapes) -> None:
    """Remark on points that the shapes lack, and what becomes of them."""
    missing = [count for count in shapes.missing if count]
    if not missing:
        return
    points, lacking = _counted(sum(missing), "point"), _counted(len(missing), "shape")
    completed = "and completed from the other shapes for the mean shape, the symmetry and the shape prior"
    unknown = "and can't be completed, since the shapes have different numbers of points"
    note(
        f"{points} missing in {lacking} of {len(shapes)}: left out of the barycenter, "
        f"{unknown if shapes.n_points is None else completed}"
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _outside_validation(annotation: Path, images: list[str]) -> bool:
    """Whether the image of an annotation isn't held out."""
    from brule.data import Sample, split_by_name

    if not images:
        raise ConfigError(
            f"--exclude-validation: {annotation} has no image whose name could decide; give .pts files beside "
            "their images, or annotations that name them, or leave the option out if no shape is of an image that you "
            "evaluate on"
        )
    return not split_by_name(Sample(Path(image)) for image in images).validation
