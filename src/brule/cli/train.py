"""``brule train``: from a folder of images and a few shapes to a detector."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from brule.cli.dry_run import plan_of, print_plan, shapes_of_labelled
from brule.cli.launching import COMMAND, launch, launch_plan
from brule.cli.options import Device, Many, Output, SkipBad, checked_device
from brule.cli.output import INTERRUPTED, commands, is_main_process, note, note_bad, progress_bar, say, say_commands
from brule.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from brule.data import Edges
    from brule.data.training_data import TrainingData
    from brule.detector import LandmarkDetector
    from brule.detector.run_record import RunRecord
    from brule.training.config import TrainingConfig

PRESET = "cpu"


def train(
    *,
    images: Annotated[list[str] | None, Many] = None,
    shapes: Annotated[list[str] | None, Many] = None,
    output: Annotated[Path | None, Output] = None,
    n_shapes: int | None = None,
    preset: Annotated[str | None, Parameter(show_default=lambda _: PRESET)] = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", consume_multiple=True)] = None,
    time_limit: float | None = None,
    seed: int | None = None,
    resume: bool = False,
    start_from: Path | None = None,
    labelled: Annotated[list[str] | None, Many] = None,
    n_labelled: int | None = None,
    boxes: Annotated[list[str] | None, Many] = None,
    edges: str | None = None,
    mirror_pairs: str | None = None,
    data: Annotated[list[str] | None, Many] = None,
    exclude_validation: bool = False,
    skip_bad: SkipBad = False,
    device: Device = None,
    devices: int | None = None,
    nodes: int | None = None,
    node_rank: int | None = None,
    main_address: str | None = None,
    dry_run: bool = False,
    list_settings: bool = False,
    quiet: bool = False,
) -> int:
    """Train a landmark detector on unlabelled images and about ten annotated shapes, or annotated images.

    Images need no annotation. If an image has one, only its box is used, to crop the object. Without a box the whole
    image is used, so the object should fill most of the frame. Stop training with Ctrl-C and continue it with
    `--resume`. The run's folder holds the detector, the settings, the log `metrics.jsonl` and previews.

    **Examples**

        brule train --images photos/ --shapes ten-annotated/ -o runs/first

        brule train --images photos/ --labelled ten-annotated/ -o runs/better

        brule train --labelled trainset/ -o runs/supervised

        brule train --images photos/ --shapes barycenter.json --set encoder.width=24 iterations=2000 -o runs/small

        brule train -o runs/first --resume

    Args:
        images: Folders, files or globs of the unlabelled images to learn from, or data sets as `NAME:SPLIT:ROOT`, such as
            `wflw:train:downloads/wflw`. Without any, `--labelled` alone teaches.
        shapes: The annotated shapes: annotations of any format, folders of them, data sets, or a JSON file (`brule
            barycenter` writes one; its shapes are read, and their barycenter is computed anew). By default those of
            `--labelled`.
        output: The run's folder: the detector is there when training ends, and after every checkpoint.
        n_shapes: Number of shapes to draw with the seed; by default all are used. Ten are enough.
        preset: Base settings: `cpu` (two cores, 20 minutes), `gpu` (one GPU, an hour), `paper` (the paper's, for GPUs and
            days), or a `.toml` file of your own.
        set_: Settings that differ from the preset, as `key=value`; `--list-settings` shows all of them.
        time_limit: Minutes of training; the schedule is fitted to them. Same as the setting `time_limit`.
        seed: Random seed, also of the draw of the shapes. Same as the setting `seed`.
        resume: Continue the run in OUTPUT with its own settings, shapes and images. Only its length may change
            (`--time-limit`, `--set iterations=…`).
        start_from: Folder of another run, or of a saved detector, of the same landmarks: training begins with its weights,
            with a new schedule, on these images.
        labelled: Folders, files or globs of annotated images, or data sets, to learn from directly. Five already help, and
            any number does.
        n_labelled: Number of annotated images to draw with the seed; by default all are used.
        boxes: Files with the object's box in each of `--images`: a CSV with the columns `image,left,top,right,bottom`
            (pixels), or any annotation format that holds boxes.
        edges: Which landmarks pictures join by lines: `"0-43 closed, 44-93, 12:60"` (a closed curve, an open one, a single
            line; indices from 0), or a JSON file `[[0, 1], …]`. By default the edges of the annotations, else the contours
            of 68 facial points, else each landmark with its two nearest. Training doesn't depend on it.
        mirror_pairs: Which landmarks change places in a mirrored image: `"0:1, 3:4"` (indices from 0; all others stay), or a
            JSON file `[[0, 1], [3, 4]]`; the setting `loss.mirror_pairs`. By default found from the shapes; `--dry-run`
            and `brule barycenter` print them. `--set loss.mirror=false` mirrors nothing.
        data: Annotated images to measure the detector on when training ends, as `brule evaluate` does; the run gets its report
            page. With --exclude-validation only their validation tenth.
        exclude_validation: Leave out every image, and every shape, whose image's name falls into the validation tenth
            (SHA-256 of the file name); `brule evaluate --only-validation` then measures on images never seen.
        devices: GPUs of this machine to train on (processes, on a CPU); each takes its share of every
            batch. It needs `pip install 'brule-landmarks[devices]'`. docs/cluster.md explains.
        nodes: Machines that train together: the same command on each, with its --node-rank.
        node_rank: Index of this machine, from 0; by default the variable `NODE_RANK`.
        main_address: `HOST:PORT` of machine 0; by default the variables `MASTER_ADDR` and `MASTER_PORT`.
        dry_run: Read and check everything, and print what would be done. Writes nothing but a picture of the crops beside the
            run's folder, `OUTPUT-crops.jpg`.
        list_settings: List every setting with its value in the preset, and end.
        quiet: No progress bar.
    """
    from brule.data import read_edges
    from brule.detector.run_record import RunRecord
    from brule.training.config import load_config, parse_overrides

    said = {"seed": seed, "time_limit": time_limit, "loss.mirror_pairs": _read_pairs(mirror_pairs)}
    overrides: dict[str, Any] = {**parse_overrides(set_ or []), **{key: one for key, one in said.items() if one is not None}}
    if list_settings:
        return _list_settings(load_config(preset or PRESET, overrides))
    lines = None if edges is None else read_edges(edges)
    run: Path = _required(output, "-o", "the folder to keep the run in")
    plan = launch_plan(devices, nodes=nodes, node_rank=node_rank, main_address=main_address, device=device)
    if plan is not None and not dry_run:
        return launch(plan, ["-m", "brule", *COMMAND.get()])
    where = checked_device(device)
    if resume:
        return _resume(
            run, images, labelled, preset=preset, overrides=overrides, data=data, exclude_validation=exclude_validation,
            skip_bad=skip_bad, device=where, quiet=quiet, edges=lines, start_from=start_from,
        )  # fmt: skip
    config = load_config(preset or PRESET, overrides)
    refuse_existing(run)
    material = _material(
        config, images, shapes, labelled=labelled, boxes=boxes, n_shapes=n_shapes, n_labelled=n_labelled,
        check_images=dry_run, exclude_validation=exclude_validation, skip_bad=skip_bad,
    )  # fmt: skip
    if dry_run:
        return print_plan(run, config, material, edges=lines)
    record = RunRecord.of(material, images, labelled, exclude_validation, where or default_device())
    record = replace(record, boxes=list(boxes or ()), data=list(data or ()), examples=list(shapes or ()))
    options: dict[str, Any] = {"edges": lines, "device": where, "skip_bad": skip_bad, "quiet": quiet, "start_from": start_from}
    return train_run(run, material, record, preset=preset or PRESET, overrides=overrides, **options)


def train_run(
    run: Path,
    material: TrainingData,
    record: RunRecord,
    *,
    preset: str,
    overrides: dict[str, Any],
    edges: Edges | None = None,
    resume: bool = False,
    start_from: Path | None = None,
    device: str | None = None,
    skip_bad: bool = False,
    quiet: bool = False,
    hints: bool = True,
) -> int:
    """Train into a folder, anew or from the folder's own checkpoint.

    Returns:
        The exit code: 0, or 130 if Ctrl-C ended training early.
    """
    from brule.detector import LandmarkDetector
    from brule.training.distributed import leave_distributed

    detector = LandmarkDetector(preset, quiet=quiet, device=device, **overrides)
    kept = record.kept(run) if is_main_process() else nullcontext()
    with kept, progress_bar("reading images", quiet=quiet) as progress:
        detector.fit(
            material.images,
            shapes=material.shapes,
            labelled=material.labelled,
            examples=material.examples,
            edges=edges,
            directory=run,
            resume=resume,
            start_from=start_from,
            skip_bad=skip_bad,
            progress=lambda done, total: progress(done, total),
        )
    leave_distributed()
    if not is_main_process():
        return 0  # how it ended is for the first process to say
    note_bad(detector.bad_files_)
    _print_end(run, detector, hints)
    if not detector.finished_:
        return INTERRUPTED
    if record.data:
        from brule.cli.evaluate import evaluate

        say()
        return evaluate(run, data=record.data, only_validation=record.exclude_validation, device=device, skip_bad=skip_bad)
    return 0


def default_device() -> str:
    """Where is computed if nobody says otherwise."""
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


def _read_pairs(text: str | None) -> Edges | None:
    from brule.data import read_edges
    from brule.errors import DataError

    try:
        return None if text is None else read_edges(text)
    except DataError:
        message = f'--mirror-pairs: expected pairs as in "0:1, 3:4", or a JSON file [[0, 1], [3, 4]] of them, got {text!r}'
        raise ConfigError(message) from None


def _required(value: Any, option: str, what: str) -> Any:
    if not value:
        raise ConfigError(f"{option} is missing: {what}; `brule train --help` shows examples")
    return value


def _resume(
    run: Path,
    images: list[str] | None,
    labelled: list[str] | None,
    *,
    preset: str | None,
    overrides: dict[str, Any],
    data: list[str] | None,
    exclude_validation: bool,
    skip_bad: bool,
    device: str | None,
    quiet: bool,
    edges: Edges | None,
    start_from: Path | None = None,
) -> int:
    from brule.data.training_data import TrainingData, labelled_images, shape_examples, training_images
    from brule.detector import LandmarkDetector
    from brule.detector.run_record import RunRecord
    from brule.training.config import lengthened

    if start_from is not None:
        raise ConfigError("--start-from: --resume continues a run with its own weights; leave one of the two out")
    config = LandmarkDetector.load(run).config_
    if preset is not None and preset != config.preset:
        raise ConfigError(f"--resume: the run was started with the preset {config.preset!r}; leave --preset {preset} out")
    lengthened(config, overrides)  # refuses, before the images are read, whatever else would change
    record = RunRecord.read(run)
    if record is None and images is None and labelled is None:
        raise CheckpointError(f"{run}: doesn't say which images it was trained on; give them again with --images")
    if record is None:
        record = RunRecord([], exclude_validation, 0, [], "")
    elif exclude_validation and not record.exclude_validation:
        raise ConfigError("--exclude-validation: this run was started without it and has seen those images already")
    images, labelled = images or record.images, labelled or record.labelled
    reading = {"exclude_validation": record.exclude_validation, "skip_bad": skip_bad}
    count = record.n_labelled or None
    material = TrainingData(
        training_images(images, boxes=record.boxes, **reading) if images else None,
        labelled_images(labelled, n_labelled=count, seed=config.seed, **reading) if labelled else None,
        examples=shape_examples(record.examples, record.shapes, skip_bad=skip_bad)
        if record.examples and not labelled
        else None,
    )
    now = RunRecord.of(material, images, labelled, record.exclude_validation, device or default_device())
    now = replace(now, shapes=record.shapes, boxes=record.boxes, data=data or record.data, examples=record.examples)
    return train_run(
        run, material, now, preset=config.preset, overrides=overrides, edges=edges, resume=True, device=device,
        skip_bad=skip_bad, quiet=quiet,
    )  # fmt: skip


def _list_settings(config: TrainingConfig) -> int:
    from rich.console import Console
    from rich.table import Table

    from brule.training.config import dotted_keys, setting

    table = Table("setting", f"in {config.preset}", "", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for key, description in dotted_keys().items():
        table.add_row(key, str(setting(config, key)), description)
    Console().print(table, markup=False, highlight=False)
    return 0


def _material(
    config: TrainingConfig,
    images: list[str] | None,
    shapes: list[str] | None,
    *,
    labelled: list[str] | None,
    boxes: list[str] | None,
    n_shapes: int | None,
    n_labelled: int | None,
    check_images: bool,
    **reading: bool,
) -> TrainingData:
    """What is to be learnt from, read as far as that can be done without decoding images."""
    from brule.data.training_data import (
        TrainingData,
        annotated_shapes,
        labelled_images,
        shape_examples,
        training_images,
    )

    if not labelled:
        _required(images, "--images", "folders, files or globs of images")
        _required(shapes, "--shapes", "about ten annotated shapes")
    drawn: dict[str, Any] = {"n_shapes": n_shapes, "seed": config.seed, "scale": config.crop.scale}
    material = TrainingData(
        training_images(images, boxes=boxes, check_images=check_images, **reading) if images else None,
        labelled_images(labelled, n_labelled=n_labelled, seed=config.seed, **reading) if labelled else None,
        annotated_shapes(shapes, **drawn, **reading) if shapes else None,
    )
    if shapes and material.shapes is not None and not labelled:
        examples = shape_examples(shapes, material.shapes.names, skip_bad=reading["skip_bad"])
        material = replace(material, examples=examples)
    _note_oddities(material, config)
    return material


def _note_oddities(material: TrainingData, config: TrainingConfig) -> None:
    """Say what of the images and shapes a person may not expect."""
    from brule.data.training_data import log_missing_boxes, log_missing_points

    material.check_names()
    if material.images is not None:
        log_missing_boxes(material.images, plan_of(material, config).how)
        if (count := len(material.images)) < config.batch_size:
            note(f"{count} images are fewer than a batch: batches of {count} instead of batch_size={config.batch_size}")
    if material.shapes is None:
        log_missing_points(shapes_of_labelled(material, config))


def _print_end(run: Path, detector: LandmarkDetector, hints: bool) -> None:
    done = detector.progress_
    how = "trained" if detector.finished_ else "stopped after"
    say(f"{how} {done.iteration} iterations in {done.elapsed / 60:.1f} minutes; the detector is in {run}")
    if not detector.finished_:
        say_commands(commands([("To go on", ["train", "-o", str(run), "--resume"])]))
    elif hints:
        say_commands(
            commands(
                [
                    ("How good it is, on annotated images", ["evaluate", str(run), "--data", "ANNOTATED"]),
                    ("Landmarks of new images", ["predict", str(run), "IMAGES", "-o", "landmarks"]),
                ]
            )
        )
