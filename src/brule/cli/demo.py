"""``brule demo``: all of brule in ten minutes, on drawn faces."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from brule.cli.options import Device, Output, checked_device
from brule.cli.output import commands, note, say, say_commands, say_table, write_json
from brule.errors import ConfigError
from brule.files import write_text

if TYPE_CHECKING:
    from PIL.Image import Image

    from brule.data import SampleList
    from brule.detector import LandmarkDetector
    from brule.detector.run_record import RunRecord
    from brule.evaluation import Evaluation

SETTINGS = "demo.json"
SIZE = 96
N_SHAPES, N_HELD_OUT = 10, 200
# The faces of a seed are numbered: three ranges that can't meet.
HELD_OUT_FROM, SHAPES_FROM = 1_000_000, 2_000_000
TARGET = 0.5  # of the floor
N_PICTURES = 24
FEWEST = 24  # images: a batch of the cpu preset


@dataclass(frozen=True)
class _Settings:
    images: int
    seed: int


def demo(
    *,
    output: Annotated[Path, Output],
    minutes: float = 8.0,
    images: Annotated[int, Parameter(name="--images")] = 2000,
    seed: int = 0,
    device: Device = None,
    quiet: bool = False,
) -> int:
    """Try everything on drawn faces, in ten minutes on two cores.

    Draws faces with 68 known landmarks, trains the `cpu` preset on them *without labels* plus ten annotated shapes, and
    measures it on 200 other faces. (The training images have annotations beside them, as real data sets do; only their
    boxes are used, to cut the faces out.) At the end stands `OUTPUT/index.html`: figures, pictures, and the commands to
    go on with images of your own. An earlier demo in the same folder is taken up where it stopped.

    **Examples**

        brule demo -o demo-run

        brule demo -o quick --minutes 2 --images 1000

    Args:
        output: The folder to write everything to.
        minutes: Training time.
        images: How many faces to train on.
        seed: Of the faces, of the shapes, and of training.
        quiet: No progress bar.
    """
    from brule.cli.train import default_device, train_run
    from brule.data.training_data import TrainingData, annotated_shapes, training_images
    from brule.detector import LandmarkDetector
    from brule.detector.run_record import RunRecord
    from brule.training.run import CHECKPOINT

    where = checked_device(device)
    if seed < 0 or minutes <= 0 or images < FEWEST:
        raise ConfigError(
            f"demo: expected --seed ≥ 0, --minutes > 0 and --images ≥ {FEWEST}, got {seed}, {minutes:g} and {images}"
        )
    _take_folder(output, _Settings(images, seed))
    _draw_faces(output, images, seed)
    run = output / "run"
    shapes = annotated_shapes([str(output / "shapes")], n_shapes=None, seed=seed)
    _draw_barycenter(output)
    samples = training_images([str(output / "images")], exclude_validation=False, skip_bad=False)
    material = TrainingData(samples, None, shapes)
    record = RunRecord.of(material, [str(output / "images")], None, False, where or default_device())
    resume = (run / CHECKPOINT).exists()
    note(f"training{' goes on' if resume else ''}: {minutes:g} minutes at most, no labels, {N_SHAPES} annotated shapes")
    overrides = {"seed": seed, "time_limit": minutes}
    code = train_run(
        run, replace(material, shapes=None) if resume else material, record, preset="cpu", overrides=overrides,
        resume=resume, device=where, quiet=quiet, hints=False,
    )  # fmt: skip
    if code:
        note(f"the same command takes the demo up again: brule demo -o {output} --images {images} --seed {seed}")
        return code
    _measure(output, LandmarkDetector.load(run, device=where), record)
    return 0


def _take_folder(output: Path, settings: _Settings) -> None:
    """Begin in an empty folder, or go on in that of the same demo."""
    path = output / SETTINGS
    if path.is_file():
        try:
            earlier = _Settings(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise ConfigError(f"{path}: damaged; remove {output}, or choose another folder") from None
        if earlier != settings:
            raise ConfigError(
                f"{output}: holds a demo with --images {earlier.images} --seed {earlier.seed}; go on with these, remove "
                "it, or choose another folder"
            )
        note(f"{output}: an earlier demo, taken up")
        return
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"-o {output}: expected a new or empty folder, or that of an earlier demo; choose another")
    write_json(path, asdict(settings))


def _draw_faces(output: Path, images: int, seed: int) -> None:
    from brule.data.synthetic import write_synthetic_faces

    parts = {"images": (images, 0), "held-out": (N_HELD_OUT, HELD_OUT_FROM), "shapes": (N_SHAPES, SHAPES_FROM)}
    for name, (count, start) in parts.items():
        folder = output / name
        if folder.is_dir():
            continue
        note(f"drawing {count} faces: {folder}")
        part = output / f".{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        write_synthetic_faces(part, count, size=SIZE, seed=seed, start=start)
        os.replace(part, folder)  # so that a folder that is there is complete


def _draw_barycenter(output: Path) -> None:
    from brule.cli.barycenter import barycenter

    if not (output / "barycenter.json").exists():
        barycenter([str(output / "shapes")], output=output / "barycenter.json")


def _measure(output: Path, detector: LandmarkDetector, record: RunRecord) -> None:
    from brule.cli.evaluate import annotated_samples, crop_reader, evaluate_detector, known_facts, report_dict
    from brule.evaluation.reports import evaluation_page

    samples = annotated_samples([str(output / "held-out")])
    result, _ = evaluate_detector(detector, samples)
    facts = known_facts(detector, record, result)
    target = TARGET * result.scores.floor_nme
    reached = result.scores.nme <= target
    write_json(output / "evaluation.json", report_dict(detector, record, result) | {"target_nme": target, "reached": reached})
    _draw_predictions(output / "predictions.png", detector, samples, result)
    verdict = (
        f"{result.scores.nme:.2f} % on {result.scores.n} held-out faces; the constant barycenter has "
        f"{result.scores.floor_nme:.2f} %, the target is half of that, {target:.2f} %: "
        f"{'reached' if reached else 'NOT reached'}"
    )
    steps = _next_steps(output)
    text = evaluation_page(
        result,
        title="Landmarks learnt without labels",
        eyebrow="brule demo",
        summary=f"TrainingResult on {record.n_images} drawn faces of which only the boxes were used, and {len(record.shapes)} "
        f"annotated shapes. Mean error: {verdict}.",
        crop=crop_reader(detector, samples, result),
        facts=facts,
        pictures=_shown_pictures(output),
        commands=steps,
    )
    write_text(output / "index.html", text)
    say()
    say_table(result, facts)
    say(f"\nmean error: {verdict}")
    say(f"\nlook at {output / 'index.html'} or {output / 'predictions.png'}")
    say_commands(steps)


def _next_steps(output: Path) -> list[tuple[str, str]]:
    run = str(output / "run")
    return commands(
        [
            ("Landmarks of images with this detector", ["predict", run, str(output / "held-out"), "-o", "landmarks"]),
            (
                "With images of your own: annotate ten (.pts files of ibug's format), look at their barycenter",
                ["barycenter", "ten-annotated", "-o", "barycenter.json"],
            ),
            (
                "Train on the others, without labels (20 minutes on two cores; Ctrl-C and --resume at any time)",
                ["train", "--images", "photos", "--shapes", "barycenter.json", "-o", "runs/mine"],
            ),
            ("Find landmarks", ["predict", "runs/mine", "photos", "-o", "landmarks"]),
            ("Measure, if some images are annotated", ["evaluate", "runs/mine", "--data", "annotated"]),
        ]
    )


def _draw_predictions(path: Path, detector: LandmarkDetector, samples: SampleList, result: Evaluation) -> None:
    import numpy as np

    from brule.data import load_crop
    from brule.plots import preview_sheet, save_picture

    scale = detector.config_.crop.scale
    crops = np.stack([load_crop(sample, 2 * SIZE, scale)[0] for sample in samples[:N_PICTURES]])
    save_picture(preview_sheet(crops, result.predictions[:N_PICTURES], columns=6, tile=256, edges=result.edges), path)


def _shown_pictures(output: Path) -> list[tuple[Image, str]]:
    """The barycenter, if it was drawn."""
    from PIL import Image

    path = output / "barycenter.png"
    if not path.is_file():
        return []
    with Image.open(path) as picture:
        return [(picture.convert("RGB"), "All that training knew about landmarks: the barycenter of ten annotated shapes.")]
