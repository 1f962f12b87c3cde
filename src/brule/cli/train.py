"""``brule train``: from a folder of images and a few shapes to a detector."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from brule.cli.dry_run import print_plan
from brule.cli.launching import COMMAND, launch
from brule.cli.options import Output, checked_device, images_of
from brule.cli.output import INTERRUPTED, PlainTable, commands, is_main_process, note_bad, progress_bar, say, say_commands
from brule.cli.resuming import plan_resume, print_resume
from brule.cli.train_options import PRESET, Machines, Settings, Sources, check_measuring, required, validation_images
from brule.errors import ConfigError

if TYPE_CHECKING:
    from brule.data import Edges
    from brule.data.training_data import TrainingData
    from brule.detector import LandmarkDetector
    from brule.detector.run_record import RunRecord
    from brule.training.config import TrainingConfig


def train(
    paths: list[str] | None = None,
    /,
    *,
    sources: Sources = Sources(),
    output: Annotated[Path | None, Output] = None,
    resume: bool = False,
    start_from: Path | None = None,
    edges: str | None = None,
    dry_run: bool = False,
    json: bool = False,
    quiet: bool = False,
    settings: Settings = Settings(),
    machines: Machines = Machines(),
) -> int:
    """Train a landmark detector on unlabelled images and about ten annotated shapes, or annotated images.

    The images of `--images` need no landmarks. If there are any beside them, only their box is used, to crop the object.
    Without a box, brule finds the object itself if three annotated images or more show where it is; with shapes alone, the
    whole image is used, so the object should fill most of the frame. Stop training with Ctrl-C and continue it with
    `--resume`. The run's folder holds the detector, the settings, the log `metrics.jsonl` and previews.

    **Examples**

        brule train --images photos/ --shapes ten-annotated/ -o runs/first

        brule train --images photos/ --labelled ten-annotated/ -o runs/better

        brule train --labelled trainset/ -o runs/supervised

        brule train --images photos/ --shapes barycenter.json --set encoder.width=24 iterations=2000 -o runs/small

        brule train -o runs/first --resume

    Args:
        paths: The images without landmarks: another way to give `--images`.
        output: The run's folder: the detector is there when training ends, and after every checkpoint.
        resume: Continue a training that was stopped, or make a finished one longer: `brule train -o RUN --resume`, from any
            working directory. It starts from the last checkpoint, with the run's own images and settings, so leave those out.
            Only its length (`--time-limit`, `--set iterations=…`), the device, and what it is measured on (`--data`,
            `--measure-every`) may change. If the files were moved, give their new place with `--images`, `--labelled` or
            `--boxes`.
        start_from: Folder of another run, or of a saved detector, of the same landmarks: training begins with its weights,
            with a new schedule, on these images. Without `--shapes`, the shapes of that detector are used.
        edges: Which landmarks pictures join by lines: `"0-43 closed, 44-93, 12:60"` (a closed curve, an open one, a single
            line; indices from 0), or a JSON file `[[0, 1], …]`. By default the edges of the annotations, else the contours
            of 68 facial points, else each landmark with its two nearest. Training doesn't depend on it.
        dry_run: Read and check everything, and print what would be done. For a new run, only a picture of the crops is written,
            `OUTPUT-crops.jpg` beside the run's folder; for a resumed one, nothing.
        json: With `--dry-run`: print everything as JSON, with all settings.
        quiet: No progress bar.
    """
    from brule.data import read_edges
    from brule.detector.run_record import EVERY_CHECKPOINT, RunRecord

    sources = replace(sources, images=images_of(paths, sources.images) or None)
    overrides = settings.overrides()
    if settings.list_settings:
        return _list_settings(settings.config())
    lines = None if edges is None else read_edges(edges)
    run: Path = required(output, "-o", "the folder to keep the run in")
    plan = machines.plan()
    if plan is not None and not dry_run:
        return launch(plan, ["-m", "brule", *COMMAND.get()])
    how = TrainOptions(
        settings.preset, overrides, edges=lines, start_from=start_from, device=checked_device(machines.device),
        skip_bad=sources.skip_bad, quiet=quiet, resume=resume,
    )  # fmt: skip
    if resume:
        return _resume(run, sources, how, dry_run=dry_run)
    config = settings.config()
    check_measuring(sources.measure_every, sources.data)
    refuse_existing(run)
    training_data = sources.read(config, check_images=dry_run, start_from=start_from)
    if dry_run:
        given = [f"{key}={value}" for key, value in overrides.items()]
        return print_plan(
            run, config, training_data, edges=lines, device=how.device or default_device(), overrides=given, json=json
        )  # fmt: skip
    record = RunRecord.of(
        training_data, images=sources.images, labelled=sources.labelled, exclude_validation=sources.exclude_validation,
        device=how.device or default_device(), boxes=sources.boxes, data=sources.data, examples=sources.shapes,
    )  # fmt: skip
    every = EVERY_CHECKPOINT if sources.measure_every is None else sources.measure_every
    record = replace(record, start_from=str(start_from or ""), measure_every=every)
    return train_run(run, training_data, record, how=how)


@dataclass(frozen=True)
class TrainOptions:
    """How a folder is trained into.

    Attributes:
        preset: base settings; ``None``: the default.
        overrides: settings that differ from them, by their dotted keys.
        edges: the landmarks that pictures join by lines.
        resume: continue from the folder's own checkpoint.
        start_from: folder of a detector whose weights training begins with.
        device: where to compute; ``None``: where it is fastest.
        skip_bad: leave broken files out.
        quiet: no progress bar.
        hints: print the commands that come next.
    """

    preset: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    edges: Edges | None = None
    resume: bool = False
    start_from: Path | None = None
    device: str | None = None
    skip_bad: bool = False
    quiet: bool = False
    hints: bool = True


def train_run(run: Path, training_data: TrainingData, record: RunRecord, *, how: TrainOptions) -> int:
    """Train into a folder, from the start or from the folder's own checkpoint.

    Returns:
        The exit code: 0, or 130 if Ctrl-C ended training early.
    """
    from brule.detector import LandmarkDetector
    from brule.training.distributed import leave_distributed

    detector = LandmarkDetector(how.preset or PRESET, quiet=how.quiet, device=how.device, **how.overrides)
    measured = validation_images(record, how.skip_bad) if is_main_process() else None
    kept = record.kept(run) if is_main_process() else nullcontext()
    with kept, progress_bar("reading images", quiet=how.quiet) as progress:
        detector.fit(
            training_data.images,
            shapes=training_data.shapes,
            labelled=training_data.labelled,
            examples=training_data.examples,
            edges=how.edges,
            directory=run,
            resume=how.resume,
            start_from=how.start_from,
            validation=measured,
            measure_every=record.measure_every if record.measure_every > 0 else None,
            skip_bad=how.skip_bad,
            progress=progress,
        )
    leave_distributed()
    if not is_main_process():
        return 0  # the first process reports how it ended
    note_bad(detector.bad_files_)
    _print_end(run, detector, how.hints)
    if not detector.finished_:
        return INTERRUPTED
    if record.data:
        from brule.cli.evaluate import evaluate

        say()
        return evaluate(
            run,
            data=record.found_from_here().data,
            only_validation=record.exclude_validation,
            device=how.device,
            skip_bad=how.skip_bad,
        )
    return 0


def default_device() -> str:
    """The device that is used by default."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def refuse_existing(run: Path) -> None:
    """Stop before another run is overwritten.

    Raises:
        CheckpointError: the folder holds a run, or a detector.
        ConfigError: it is a file.
    """
    from brule.detector import check_vacant

    if run.exists() and not run.is_dir():
        raise ConfigError(f"-o {run}: expected a folder to keep the run in, this is a file")
    check_vacant(run)


def _resume(run: Path, sources: Sources, how: TrainOptions, *, dry_run: bool) -> int:
    given = {
        "--images": sources.images, "--labelled": sources.labelled, "--boxes": sources.boxes, "--shapes": sources.shapes,
        "--n-shapes": sources.n_shapes, "--n-labelled": sources.n_labelled, "--start-from": how.start_from,
        "--exclude-validation": sources.exclude_validation,
    }  # fmt: skip
    plan = plan_resume(run, given, preset=how.preset, overrides=how.overrides, data=sources.data, skip_bad=how.skip_bad)
    check_measuring(sources.measure_every, plan.record.data)
    device = how.device or default_device()
    if dry_run:
        return print_resume(run, plan, device)
    every = plan.record.measure_every if sources.measure_every is None else sources.measure_every
    record = replace(plan.record, device=device, measure_every=every)
    return train_run(run, plan.training_data, record, how=replace(how, preset=plan.config.preset))


def _list_settings(config: TrainingConfig) -> int:
    from rich.console import Console

    from brule.training.config import dotted_keys, setting

    table = PlainTable("setting", f"in {config.preset}", "", padding=(0, 2, 0, 0))
    for key, description in dotted_keys().items():
        table.add_row(key, str(setting(config, key)), description)
    Console().print(table, markup=False, highlight=False)
    return 0


def _print_end(run: Path, detector: LandmarkDetector, hints: bool) -> None:
    done = detector.progress_
    how = "trained" if detector.finished_ else "stopped after"
    say(f"{how} {done.iteration} iterations in {done.elapsed / 60:.1f} minutes; the detector is in {run}")
    if not detector.finished_:
        say_commands(commands([("To continue", ["train", "-o", str(run), "--resume"])]))
    elif hints:
        say_commands(
            commands(
                [
                    ("How good it is, on annotated images", ["evaluate", str(run), "--data", "ANNOTATED"]),
                    ("Landmarks of new images", ["predict", str(run), "IMAGES", "-o", "landmarks"]),
                ]
            )
        )
