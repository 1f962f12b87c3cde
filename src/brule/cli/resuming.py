"""``brule train --resume``: the run that is continued, and the options that can't apply to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brule.cli.output import note, say
from brule.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from brule.data.samples import SampleList
    from brule.data.training_data import TrainingData
    from brule.detector import LandmarkDetector
    from brule.detector.run_record import RunRecord
    from brule.training.config import TrainingConfig

_PLACES = {
    "--images": "images",
    "--labelled": "labelled",
    "--boxes": "boxes",
}  # options that name files, and where they are kept


@dataclass(frozen=True)
class ResumePlan:
    """A run that is about to continue.

    Attributes:
        detector: as the run's folder holds it.
        config: its settings, with the new length.
        record: what it is trained on, as it will be kept.
        training_data: the images, read.
    """

    detector: LandmarkDetector
    config: TrainingConfig
    record: RunRecord
    training_data: TrainingData


def plan_resume(
    run: Path,
    given: Mapping[str, Any],
    *,
    preset: str | None,
    overrides: dict[str, Any],
    data: list[str] | None,
    skip_bad: bool,
) -> ResumePlan:
    """Read what a run needs to continue; nothing is written.

    Args:
        run: its folder.
        given: the options about the run's data, by name, as they were given; empty or ``None`` where they weren't.
        preset: of the command line.
        overrides: settings of the command line.
        data: annotated images to measure on at the end, in place of those of the run.
        skip_bad: leave bad files out.

    Raises:
        CheckpointError: there is no run to continue, or it doesn't record its images.
        ConfigError: an option can't apply to a run that has already started.
    """
    from brule.detector import LandmarkDetector
    from brule.detector.run_record import RunRecord, absolute
    from brule.tracking.run_files import CHECKPOINT
    from brule.training.config import lengthened

    if not (run / CHECKPOINT).is_file():
        raise CheckpointError(f"{run}: expected a run to continue, found no {CHECKPOINT}; start it without --resume")
    detector = LandmarkDetector.load(run)
    if preset is not None and not _is_preset(preset, started := _preset_of(run) or detector.config_.preset):
        raise ConfigError(f"--resume: the run was started with the preset {started!r}; leave --preset {preset} out")
    config = lengthened(detector.config_, overrides)  # refuses whatever else would change
    stored = RunRecord.read(run)
    record = None if stored is None else stored.found_from_here()
    _refuse_others(given, run, record)
    if record is None and not (given["--images"] or given["--labelled"]):
        raise CheckpointError(f"{run}: does not record its training images; give them again with --images")
    record = replace(
        record or RunRecord(images=[], exclude_validation=False, n_images=0, shapes=[], device=""),
        **{key: given[one] for one, key in _PLACES.items() if given[one]},
    )
    training_data = _training_data(record, config, skip_bad=skip_bad)
    kept = _to_keep(stored, record, training_data)
    return ResumePlan(
        detector=detector,
        config=config,
        record=replace(kept, data=[absolute(one) for one in data]) if data else kept,
        training_data=training_data,
    )


def _refuse_others(given: Mapping[str, Any], run: Path, record: RunRecord | None) -> None:
    """Refuse options that would be ignored, or would turn the run into another one.

    Raises:
        ConfigError: naming the first.
    """
    from brule.detector.run_record import is_there

    for option, value in given.items():
        if value is None or value is False:
            continue
        own = [] if record is None else getattr(record, _PLACES.get(option, ""), [])
        lost = [path for path in own if not is_there(path)]
        if option in _PLACES and (record is None or lost):  # nobody else can say where they are
            continue
        raise ConfigError(
            f"{option}: --resume continues a run with its own weights, images and shapes; leave {option} out: "
            f"brule train -o {run} --resume"
        )


def _training_data(record: RunRecord, config: TrainingConfig, *, skip_bad: bool) -> TrainingData:
    from brule.data.training_data import TrainingData, shape_examples, training_images

    reading = {"exclude_validation": record.exclude_validation, "skip_bad": skip_bad}
    own_examples = record.examples and not record.labelled
    return TrainingData(
        training_images(record.images, boxes=record.boxes, **reading) if record.images else None,
        _labelled(record, config, reading) if record.labelled else None,
        examples=shape_examples(record.examples, record.shapes, skip_bad=skip_bad) if own_examples else None,
    )


def _labelled(record: RunRecord, config: TrainingConfig, reading: dict[str, bool]) -> SampleList:
    """The annotated images of the run, even if others have been added to their folder."""
    from brule.data.training_data import labelled_images

    found = labelled_images(record.labelled, n_labelled=None, seed=config.seed, **reading)
    wanted, count = set(record.shapes), record.n_labelled or len(found)
    own = [sample for sample in found if sample.name in wanted]
    if len(own) != len(found) and len(own) == count:  # the shapes were theirs
        return found.replaced(own)
    return labelled_images(record.labelled, n_labelled=count, seed=config.seed, **reading) if len(found) != count else found


def _to_keep(stored: RunRecord | None, record: RunRecord, training_data: TrainingData) -> RunRecord:
    """The record with the paths as they were first given, unless other paths are given now."""
    from brule.detector.run_record import absolute

    counted = replace(record, n_images=len(training_data.images or ()), n_labelled=len(training_data.labelled or ()))
    if stored is None:
        return replace(counted, shapes=training_data.shape_names)
    here = stored.found_from_here()
    moved = [key for key in _PLACES.values() if getattr(record, key) != getattr(here, key)]
    places: dict[str, Any] = {key: [absolute(one) for one in getattr(record, key)] for key in moved}
    return replace(stored, n_images=counted.n_images, n_labelled=counted.n_labelled, **places)


def print_resume(run: Path, plan: ResumePlan, device: str) -> int:
    """Check that the checkpoint fits, and print what would be continued; returns the exit code. Nothing is written."""
    from brule.detector.continuing import Continuation
    from brule.training.run import build_shape_model, start_run

    detector, config, training_data = plan.detector, plan.config, plan.training_data
    taught = training_data.labelled or training_data.examples or ()
    continuation = Continuation.of(
        detector.training_images_,
        detector.provenance_,
        unlabelled=[sample.path for sample in training_data.images or ()],
        annotated=[sample.path for sample in taught],
    )
    if continuation.remark:
        note(continuation.remark)
    shape_model = build_shape_model(detector.barycenter_, detector.shapes_, config, indexed=training_data.labelled is not None)
    state = start_run(shape_model, config, directory=run, resume=True, run=detector.provenance_.run)
    done, share = state.progress, min(1.0, state.progress.fraction(config))
    minutes = f" of {config.time_limit:g}" if config.time_limit else ""
    say(f"run      {run}")
    took = f"{done.elapsed / 60:.1f}{minutes} minutes"
    say(f"done     {done.iteration} of {config.iterations} iterations, {took}: {100 * share:.0f} %")
    say(f"images   {len(training_data.images or ())}")
    say(f"labelled {len(training_data.labelled or ())}")
    say(f"shapes   those of the run, of {len(detector.barycenter_)} landmarks")
    say(f"device   {device}")
    say(f"then     {'measured on ' + ', '.join(plan.record.data) if plan.record.data else 'nothing is measured'}")
    if share >= 1:
        note("nothing was written, and nothing is left to do: --set iterations=… or --time-limit … makes the run longer")
    else:
        note("nothing was written; leave --dry-run out to continue")
    return 0


def _preset_of(run: Path) -> str | None:
    """The preset that a run was started with, of one's own with its path; None if its folder doesn't say."""
    from brule.files import json_object
    from brule.tracking.run_files import SETTINGS

    preset = json_object(run / SETTINGS).get("preset")
    return None if preset is None else str(preset)


def _is_preset(given: str, started: str) -> bool:
    return given == started or os.path.abspath(given) == os.path.abspath(started)
