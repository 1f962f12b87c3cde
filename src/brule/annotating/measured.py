"""Measures of a project's images: of finished annotations and, on request, of predictions for the other images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from brule.annotating.measuring import Measurements
from brule.annotating.predictions import Predictions
from brule.annotating.project import Project
from brule.errors import DataError
from brule.files import write_text
from brule.tables import csv_text

Source = Literal["annotated", "predicted", "flagged"]


@dataclass(frozen=True)
class MeasuredImage:
    """The measures of one image.

    Args:
        image: its id.
        name: its name.
        source: a finished annotation; a prediction; or a prediction that the detector itself holds to be wrong.
        expected: how far off a predicted landmark is on average, in pixels; None for annotations, where the detector isn't
            calibrated, and of flagged predictions.
        values: in the order of :attr:`brule.annotating.measuring.Measurements.columns`.
    """

    image: str
    name: str
    source: Source
    expected: float | None
    values: list[float]


def measurements_of(project: Project) -> Measurements:
    """What is measured in a project; nothing, where its file was changed into something that makes no sense."""
    try:
        return Measurements.model_validate(project.settings.measurements)
    except ValidationError:
        return Measurements()


def measurable(project: Project, predictions: Predictions | None = None) -> list[str]:
    """The ids of images that can be measured: finished ones, then others with a prediction, unless they were rejected.

    Args:
        project: whose images.
        predictions: which count for images that aren't finished; without them, finished ones alone are measured.
    """
    finished = project.accepted()
    if predictions is None:
        return finished
    open_ones = [image for image in project.entries if project.summaries[image].status not in ("accepted", "rejected")]
    return [*finished, *(image for image in open_ones if project.entries[image].name in predictions)]


def measured(
    project: Project, measurements: Measurements, images: list[str], *, predictions: Predictions | None = None
) -> Iterator[MeasuredImage]:
    """Measure images, in their order.

    Args:
        project: whose images.
        measurements: what is measured.
        images: some of :func:`measurable`.
        predictions: as for it. An image that was finished or changed in the meantime is measured as it is now; one that was
            removed, or whose annotation can't be read, is passed over, as the page shows when it is opened.
    """
    names = project.template.names
    for image in images:
        try:
            record = project.record(image)
        except (DataError, KeyError):
            continue
        scale, shown = project.scale(record.marks), record.entry.shown
        if project.summaries[image].status == "accepted":
            yield MeasuredImage(image, shown, "annotated", None, measurements.of(record.marks.array(names), scale))
        elif predictions is not None and (found := predictions.of(record.entry.name)) is not None:
            source: Source = "flagged" if found.flagged else "predicted"
            yield MeasuredImage(image, shown, source, found.expected, measurements.of(found.points, scale))


def measures_csv(project: Project, measurements: Measurements, *, predictions: Predictions | None = None) -> str:
    """The measures of all images as a table; with predictions it says which is which, as :class:`MeasuredImage` does."""
    rows = []
    for one in measured(project, measurements, measurable(project, predictions), predictions=predictions):
        known = [] if predictions is None else [one.source, _text(np.nan if one.expected is None else one.expected)]
        rows.append([one.name, *known, *map(_text, one.values)])
    known = [] if predictions is None else ["source", "expected_error_px"]
    return csv_text([["image", *known, *measurements.columns], *rows])


def write_measures(
    project: Project, measurements: Measurements, target: Path, *, predictions: Predictions | None = None
) -> None:
    """Write the measures of all images as CSV; see :func:`measures_csv`.

    Raises:
        OutputError: it can't be written.
    """
    write_text(target, measures_csv(project, measurements, predictions=predictions))


def _text(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4f}"
