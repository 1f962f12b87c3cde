"""What the studies that train have in common: their images and shapes, and how one that was stopped ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brule.cli.output import INTERRUPTED, note
from brule.errors import DataError

if TYPE_CHECKING:
    from brule.studies import StudyMaterial

SEEDS = (0, 1, 2)


def study_material(
    images: list[str], shapes: list[str], data: list[str], *, n_shapes: int | None, exclude_validation: bool
) -> StudyMaterial:
    """What the runs learn from and are measured on.

    Raises:
        DataError: nothing there, or fewer shapes than a run is to get.
    """
    from brule.cli.evaluate import annotated_samples
    from brule.data.training_data import annotated_shapes, training_images
    from brule.studies import StudyMaterial

    outlines = annotated_shapes(shapes, n_shapes=None, seed=0, exclude_validation=exclude_validation, warn=n_shapes is None)
    if n_shapes is not None and n_shapes > len(outlines):
        raise DataError(f"--n-shapes: expected at most {len(outlines)}, as many as there are, got {n_shapes}")
    learnt = training_images(images, exclude_validation=exclude_validation, skip_bad=False)
    return StudyMaterial(learnt, outlines, n_shapes, annotated_samples(data, only_validation=exclude_validation))


def stopped() -> int:
    """Say that a study ended early; returns the exit code."""
    note("stopped; the same command continues from here")
    return INTERRUPTED
