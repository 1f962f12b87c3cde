"""From the arguments of commands to samples and shapes, with validation images kept out where that is asked for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from brule.cli.output import note, write_json
from brule.errors import CheckpointError, ConfigError, DataError

if TYPE_CHECKING:
    from brule.data import SampleList, Shapes

RECORD = "data.json"
MANY_SHAPES = 100


@dataclass(frozen=True)
class DataRecord:
    """What a run was trained on: kept as ``data.json`` beside its settings.

    Attributes:
        images: the paths that were given.
        exclude_validation: whether images and shapes were held out by name.
        n_images: how many images were found.
        shapes: the names of the annotated shapes.
        device: where it was trained.
    """

    images: list[str]
    exclude_validation: bool
    n_images: int
    shapes: list[str]
    device: str

    def write(self, run: Path) -> None:
        """Keep it in a run."""
        write_json(run / RECORD, asdict(self))

    @classmethod
    def read(cls, run: Path) -> DataRecord | None:
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


def training_images(paths: list[str], *, exclude_validation: bool, skip_bad: bool) -> SampleList:
    """The images to train on.

    Raises:
        DataError: nothing there, a bad file, or nothing left.
    """
    from brule.data import read_samples, split_by_name

    samples = read_samples(paths, skip_bad=skip_bad)
    note_remarks(samples)
    if not exclude_validation:
        return samples
    kept = split_by_name(samples).train
    if not kept:
        raise DataError(f"--exclude-validation leaves none of the {len(samples)} images")
    note(f"held out for validation: {len(samples) - len(kept)} of {len(samples)} images")
    return samples.replaced(kept)


def note_remarks(samples: SampleList) -> None:
    """Say what the readers remarked."""
    for remark in samples.notes:
        note(remark)


def note_boxes(samples: SampleList) -> None:
    """Say where the whole image is taken for want of a box."""
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
) -> Shapes:
    """Read the annotated shapes, or draw some of them.

    Raises:
        DataError: nothing there, a bad file, or fewer than are to be drawn.
        ConfigError: ``exclude_validation`` where no image says which ones to hold out.
    """
    from brule.data import read_shapes

    keep = _outside_validation if exclude_validation else None
    shapes = read_shapes(paths, n_shapes=n_shapes, seed=seed, scale=scale, keep=keep, skip_bad=skip_bad)
    if len(shapes) > MANY_SHAPES:
        note(f"{len(shapes)} shapes: their barycenter may take minutes; --n-shapes 10 draws ten of them")
    return shapes


def _outside_validation(annotation: Path, images: list[str]) -> bool:
    """Whether the image of an annotation isn't held out."""
    from brule.data import Sample, split_by_name

    if not images:
        raise ConfigError(
            f"--exclude-validation: {annotation} has no image whose name could decide; give .pts files that lie beside "
            "their images, or annotations that name them, or leave the option out if no shape is of an image that you "
            "evaluate on"
        )
    return not split_by_name(Sample(Path(image)) for image in images).validation
