"""The options of ``brule train``, in groups: what it learns from, its settings, the machines that compute."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from brule.cli.dry_run import plan_of, shapes_of_labelled
from brule.cli.launching import LaunchPlan, launch_plan
from brule.cli.options import Device, Many, SkipBad
from brule.cli.output import note
from brule.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from brule.data import Edges, SampleList
    from brule.data.training_data import TrainingData
    from brule.detector.run_record import RunRecord
    from brule.training.config import TrainingConfig

PRESET = "cpu"
Preset = Annotated[str | None, Parameter(show_default=lambda _: PRESET)]


@Parameter(name="*", group=Group("What it learns from", sort_key=1))
@dataclass(frozen=True)
class Sources:
    """What a run learns from, and what it is measured on.

    Args:
        images: Images without landmarks to learn from: folders, files or globs, or data sets as `NAME:SPLIT:ROOT`, such as
            `wflw:train:downloads/wflw`. Landmarks beside them are ignored. Without any, only `--labelled` is learnt from.
        shapes: The annotated shapes: annotations of any format, folders of them, data sets, or a JSON file (`brule
            barycenter` writes one; its shapes are read, and their barycenter is computed again). By default those of
            `--labelled`.
        n_shapes: Number of shapes to draw with the seed; by default all are used. Ten are enough.
        labelled: Images on which you have placed the landmarks, which the detector is to learn: folders, files or globs,
            projects of `brule annotate`, or data sets. The landmarks are read from the files beside the images or in their
            folder. Five such images already help; the more, the better.
        n_labelled: How many images of `--labelled` to use, drawn at random with the seed; by default all.
        boxes: Files with the object's box in each of `--images`: a CSV with the columns `image,left,top,right,bottom`
            (pixels), or any annotation format that holds boxes.
        data: Annotated images to measure the detector on when training ends, as `brule evaluate` does; the run gets its report
            page. With --exclude-validation only their validation tenth. Before, their NME and W₁, given boxes, are
            measured every --measure-every iterations, for `brule watch` and the report; training isn't changed by it.
        measure_every: Iterations between two measurements on --data during training; 0 for none before the end. By default
            those between checkpoints.
        exclude_validation: Leave out every image, and every shape, whose image's name falls into the validation tenth
            (SHA-256 of the file name); `brule evaluate --only-validation` then measures on images never seen.
    """

    images: Annotated[list[str] | None, Many] = None
    shapes: Annotated[list[str] | None, Many] = None
    n_shapes: int | None = None
    labelled: Annotated[list[str] | None, Many] = None
    n_labelled: int | None = None
    boxes: Annotated[list[str] | None, Many] = None
    data: Annotated[list[str] | None, Many] = None
    measure_every: int | None = None
    exclude_validation: bool = False
    skip_bad: SkipBad = False

    def read(self, config: TrainingConfig, *, check_images: bool, start_from: Path | None = None) -> TrainingData:
        """Read it, as far as that can be done without decoding images.

        Args:
            config: the run's settings.
            check_images: look into every image file, too.
            start_from: a detector that training begins with, whose shapes are taken where no others are given.

        Raises:
            ConfigError: nothing to learn from was given.
            DataError: nothing there, or a bad file.
        """
        from brule.data.training_data import TrainingData, annotated_shapes, labelled_images, shape_examples, training_images

        if not self.labelled:
            required(self.images, "--images", "folders, files or globs of images")
            required(self.shapes or start_from, "--shapes", "about ten annotated shapes")
        reading = {"exclude_validation": self.exclude_validation, "skip_bad": self.skip_bad}
        drawn: dict[str, Any] = {"n_shapes": self.n_shapes, "seed": config.seed, "scale": config.crop.scale}
        training_data = TrainingData(
            images=training_images(self.images, boxes=self.boxes, check_images=check_images, **reading)
            if self.images
            else None,
            labelled=labelled_images(self.labelled, n_labelled=self.n_labelled, seed=config.seed, **reading)
            if self.labelled
            else None,
            shapes=annotated_shapes(self.shapes, **drawn, **reading) if self.shapes else None,
        )
        if start_from is not None and not self.shapes and not self.labelled:
            from brule.detector import read_detector, shapes_of_detector

            earlier = shapes_of_detector(read_detector(start_from), start_from, scale=config.crop.scale)
            training_data = replace(training_data, shapes=earlier)
        if self.shapes and training_data.shapes is not None and not self.labelled:
            examples = shape_examples(self.shapes, training_data.shapes.names, skip_bad=self.skip_bad)
            training_data = replace(training_data, examples=examples)
        _note_oddities(training_data, config)
        return training_data


@Parameter(name="*", group=Group("Settings", sort_key=2))
@dataclass(frozen=True)
class Settings:
    """The settings of a run.

    Args:
        preset: Base settings: `cpu` (two cores, 20 minutes), `gpu` (one GPU, an hour), `paper-small` (the paper's terms on two
            cores, half an hour), `paper` (the paper's terms at its sizes, days on a GPU), or a `.toml` file of your own.
        set_: Settings that differ from the preset, as `key=value`; `--list-settings` shows all of them.
        time_limit: Minutes of training; the schedule is fitted to them. Same as the setting `time_limit`.
        seed: Random seed, also of the draw of the shapes. Same as the setting `seed`.
        mirror_pairs: Which landmarks swap in a mirrored image: `"0:1, 3:4"` (indices from 0; all others keep theirs), or a
            JSON file `[[0, 1], [3, 4]]`; the setting `loss.mirror_pairs`. By default found from the shapes; `--dry-run`
            and `brule barycenter` print them. `--set loss.mirror=false` mirrors nothing.
        any_rotation: Objects may be turned by any angle: the locator looks for all of them, and crops show them upright. Same
            as `--set locator.any_rotation=always`. By default only if an annotated one is turned by more than 20°.
        list_settings: List every setting with its value in the preset, and end.
    """

    preset: Preset = None
    set_: Annotated[list[str] | None, Parameter(name="--set", consume_multiple=True)] = None
    time_limit: float | None = None
    seed: int | None = None
    mirror_pairs: str | None = None
    any_rotation: Annotated[bool, Parameter(negative="")] = False
    list_settings: bool = False

    def overrides(self) -> dict[str, Any]:
        """Every setting that was given, by its dotted key."""
        from brule.training.config import parse_overrides

        own: dict[str, Any] = {
            "seed": self.seed,
            "time_limit": self.time_limit,
            "loss.mirror_pairs": _read_pairs(self.mirror_pairs),
            "locator.any_rotation": "always" if self.any_rotation else None,
        }
        return {**parse_overrides(self.set_ or []), **{key: value for key, value in own.items() if value is not None}}

    def config(self) -> TrainingConfig:
        """The preset with what was given."""
        from brule.training.config import load_config

        return load_config(self.preset or PRESET, self.overrides())


@Parameter(name="*", group=Group("Where it computes", sort_key=3))
@dataclass(frozen=True)
class Machines:
    """The devices and machines that compute.

    Args:
        devices: GPUs of this machine to train on (processes, on a CPU); each takes its share of every
            batch. It needs `pip install 'brule-landmarks[devices]'`. docs/cluster.md explains.
        nodes: Machines that train together: the same command on each, with its --node-rank.
        node_rank: Index of this machine, from 0; by default the variable `NODE_RANK`.
        main_address: `HOST:PORT` of machine 0; by default the variables `MASTER_ADDR` and `MASTER_PORT`.
    """

    device: Device = None
    devices: int | None = None
    nodes: int | None = None
    node_rank: int | None = None
    main_address: str | None = None

    def plan(self) -> LaunchPlan | None:
        """The processes to start; ``None`` if this process does the work itself."""
        return launch_plan(
            self.devices, nodes=self.nodes, node_rank=self.node_rank, main_address=self.main_address, device=self.device
        )


def required(value: Any, option: str, what: str) -> Any:
    """A value that must be given.

    Raises:
        ConfigError: it wasn't.
    """
    if not value:
        raise ConfigError(f"{option} is missing: {what}; `brule train --help` shows examples")
    return value


def check_measuring(every: int | None, data: Sequence[str] | None) -> None:
    """Check ``--measure-every``.

    Raises:
        ConfigError: it is negative, or there is nothing to measure on.
    """
    if every is not None and every < 0:
        raise ConfigError(f"--measure-every: expected a number of iterations, or 0 for none before the end, got {every}")
    if every and not data:
        raise ConfigError("--measure-every: there is nothing to measure on; give annotated images with --data")


def validation_images(record: RunRecord, skip_bad: bool) -> SampleList | None:
    """The images of ``--data`` where they are to be measured during training.

    Raises:
        DataError: there is none.
    """
    from brule.data.training_data import annotated_samples

    if not record.data or record.measure_every == 0:
        return None
    return annotated_samples(record.found_from_here().data, only_validation=record.exclude_validation, skip_bad=skip_bad)


def _read_pairs(text: str | None) -> Edges | None:
    from brule.data import read_edges
    from brule.errors import DataError

    try:
        return None if text is None else read_edges(text)
    except DataError:
        message = f'--mirror-pairs: expected pairs as in "0:1, 3:4", or a JSON file [[0, 1], [3, 4]] of them, got {text!r}'
        raise ConfigError(message) from None


def _note_oddities(training_data: TrainingData, config: TrainingConfig) -> None:
    """Print what a person may not expect of the images and shapes."""
    from brule.data.training_data import log_missing_boxes, log_missing_points

    training_data.check_names()
    if training_data.images is not None:
        log_missing_boxes(training_data.images, plan_of(training_data, config).how)
        if (count := len(training_data.images)) < config.batch_size:
            note(f"{count} images are fewer than a batch: batches of {count} instead of batch_size={config.batch_size}")
    if training_data.shapes is None:
        log_missing_points(shapes_of_labelled(training_data, config))
