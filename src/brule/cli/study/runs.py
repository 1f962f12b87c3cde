"""The options that the studies that train share: what their runs learn from, and how they are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from brule.cli.options import Many, Output
from brule.cli.output import INTERRUPTED, note
from brule.errors import DataError

if TYPE_CHECKING:
    from brule.data import SampleList
    from brule.studies import Arm, Protocol, Results, Score, StudyData

SEEDS = (0, 1, 2)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of a study.

    Args:
        images: Folders, files or globs of unlabelled images.
        data: Annotated images to measure on.
        output: The study's folder.
        seeds: Seeds of the runs; by default 0 1 2.
        preset: Base settings: `cpu`, `gpu`, `paper`, `paper-small` (the paper's terms on two cores), or a `.toml` file.
        set_: Settings that all runs share, as `key=value`. A time limit would let them differ in iterations, so there is none
            unless it is set here.
        exclude_validation: Learn from images outside the validation tenth, and measure on that tenth of `--data`.
        quiet: No progress bars.
    """

    images: Annotated[list[str], Many]
    data: Annotated[list[str], Many]
    output: Annotated[Path, Output]
    seeds: Annotated[list[int] | None, Many] = None
    preset: str = "cpu"
    set_: Annotated[list[str] | None, Parameter(name="--set", consume_multiple=True)] = None
    exclude_validation: bool = False
    quiet: bool = False

    def overrides(self) -> dict[str, Any]:
        """The settings that differ from the preset; no time limit unless one is given."""
        from brule.training.config import parse_overrides

        return {"time_limit": "0"} | parse_overrides(self.set_ or [])

    def unlabelled(self) -> SampleList:
        """The unlabelled images."""
        from brule.data.training_data import training_images

        return training_images(self.images, exclude_validation=self.exclude_validation, skip_bad=False)

    def measured(self) -> SampleList:
        """The annotated images to measure on."""
        from brule.data.training_data import annotated_samples

        return annotated_samples(self.data, only_validation=self.exclude_validation)

    def options(self) -> dict[str, Any]:
        """How the runs are trained, as arguments of :func:`brule.studies.run_arms`."""
        return {"preset": self.preset, "overrides": self.overrides(), "quiet": self.quiet, "say": note}

    def protocol(self, study_data: StudyData) -> Protocol:
        """How the runs on this data are made, for tables and charts."""
        from brule.studies import Protocol

        return Protocol.of(study_data, preset=self.preset, overrides=self.overrides())


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LabelRuns(Runs):
    """The runs of a study that learn from annotated images, alone and beside unlabelled ones.

    Args:
        labelled: Images with their landmarks, annotated by a person, to learn from: folders, files, globs or projects.
        shapes: The annotated shapes; by default those of the annotated images that a run gets.
        n_shapes: Shapes a run gets, drawn with its seed.
        start_from: An earlier run, or a saved detector, that all runs begin with: fine-tuning.
    """

    labelled: Annotated[list[str], Many]
    shapes: Annotated[list[str] | None, Many] = None
    n_shapes: int | None = None
    start_from: Path | None = None

    def study_data(self, n_labelled: int | None = None) -> StudyData:
        """What the runs learn from and are measured on.

        Args:
            n_labelled: how many annotated images a run gets; by default all.

        Raises:
            DataError: nothing there.
        """
        from brule.data.training_data import annotated_shapes, labelled_images
        from brule.studies import StudyData

        reading = {"exclude_validation": self.exclude_validation, "skip_bad": False}
        outlines = None
        if self.shapes:
            outlines = annotated_shapes(self.shapes, n_shapes=None, seed=0, warn=self.n_shapes is None, **reading)
        learnt = labelled_images(self.labelled, n_labelled=None, seed=0, **reading)
        return StudyData(
            images=self.unlabelled(),
            shapes=outlines,
            n_shapes=self.n_shapes,
            measured=self.measured(),
            labelled=learnt,
            n_labelled=n_labelled,
            start_from=self.start_from,
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ShapeRuns(Runs):
    """The runs of a study that learn from annotated shapes.

    Args:
        shapes: The annotated shapes, of which each seed draws its own.
        n_shapes: Shapes a run gets.
    """

    shapes: Annotated[list[str], Many]
    n_shapes: int | None = 10

    def study_data(self) -> StudyData:
        """What the runs learn from and are measured on.

        Raises:
            DataError: nothing there, or fewer shapes than a run is to get.
        """
        from brule.data.training_data import annotated_shapes
        from brule.studies import StudyData

        own = {"exclude_validation": self.exclude_validation, "warn": self.n_shapes is None}
        shapes = annotated_shapes(self.shapes, n_shapes=None, seed=0, **own)
        if self.n_shapes is not None and self.n_shapes > len(shapes):
            raise DataError(f"--n-shapes: expected at most {len(shapes)}, as many as there are, got {self.n_shapes}")
        return StudyData(images=self.unlabelled(), shapes=shapes, n_shapes=self.n_shapes, measured=self.measured())

    def run(self, arms: Sequence[Arm], study_data: StudyData) -> Results[Score] | None:
        """Run every arm with every seed; ``None`` if Ctrl-C ended the study."""
        from brule.studies import run_arms

        return run_arms(self.output, arms, self.seeds or SEEDS, data=study_data, **self.options())


def stopped() -> int:
    """Print that a study ended early; returns the exit code."""
    note("stopped; the same command continues from here")
    return INTERRUPTED
